"""Tests of ``tbtwist.ws``."""
