"""Tests of ``tbtwist.bus``."""
