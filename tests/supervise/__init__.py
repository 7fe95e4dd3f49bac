"""Tests of ``tbtwist.supervise``."""
