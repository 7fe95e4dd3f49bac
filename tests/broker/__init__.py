"""Tests of ``tbtwist.broker``."""
