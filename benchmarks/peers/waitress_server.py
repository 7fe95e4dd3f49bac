"""Waitress with its defaults, our WSGI callable, and the inherited listener.

``python -m benchmarks.peers.waitress_server CONFIG``.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import waitress

from benchmarks.pinned import LISTENER
from tbtwist.config.loading import load
from tbtwist.http.wsgi import standalone


def main(config: str) -> None:
    """Serve until the end."""
    loaded = load(config, os.environ, cwd=Path.cwd(), home=Path.home())
    application = standalone(loaded.settings)
    waitress.serve(application, sockets=[socket.socket(fileno=LISTENER)])


if __name__ == "__main__":
    main(sys.argv[1])
