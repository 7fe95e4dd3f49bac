"""Tests of ``tbtwist.http``."""
