"""Tests of ``tbtwist.config``."""
