"""Tests of ``tbtwist.apps``."""
