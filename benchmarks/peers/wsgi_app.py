"""Our WSGI callable for servers that load it in a process of their own."""

from __future__ import annotations

import os
import sys

from benchmarks.pinned import die_with
from tbtwist.http import wsgi


def from_environ() -> wsgi.WsgiApplication:
    """Return it; this process ends with the server that has started it."""
    if sys.platform == "linux":
        die_with(os.getppid())
    return wsgi.from_environ()
