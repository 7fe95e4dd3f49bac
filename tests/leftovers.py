"""Sockets that Twisted itself leaves to the garbage collector when something fails."""

from __future__ import annotations

import gc
import warnings


def forget() -> None:
    """Collect them now, so that no warning is blamed on a later test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
