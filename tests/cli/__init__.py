"""Tests of ``tbtwist.cli``."""
