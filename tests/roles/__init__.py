"""Tests of ``tbtwist.roles``; the roles themselves run in ``tests/integration``."""
