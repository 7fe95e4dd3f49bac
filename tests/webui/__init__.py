"""Tests of ``tbtwist.webui``."""
