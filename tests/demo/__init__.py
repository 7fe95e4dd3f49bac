"""Tests of ``tbtwist.demo``."""
