"""Tests of ``tbtwist.roles``; whole roles run in ``tests/integration``."""
