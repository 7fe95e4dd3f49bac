"""Tests of ``tbtwist.control``."""
