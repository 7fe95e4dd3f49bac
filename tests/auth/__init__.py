"""Tests of ``tbtwist.auth``."""
