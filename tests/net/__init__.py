"""Tests of ``tbtwist.net``."""
