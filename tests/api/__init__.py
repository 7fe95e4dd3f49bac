"""Tests of ``tbtwist.api``."""
