"""Waitress with eight threads, our WSGI callable, and the inherited listener."""

from __future__ import annotations

import socket

import waitress

from benchmarks.pinned import LISTENER
from tbtwist.http.wsgi import from_environ


def main() -> None:
    """Serve until the end."""
    listener = socket.socket(fileno=LISTENER)
    waitress.serve(from_environ(), sockets=[listener], threads=8)


if __name__ == "__main__":
    main()
