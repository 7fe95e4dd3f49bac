"""Waitress with its defaults, our WSGI callable, and the inherited listener."""

from __future__ import annotations

import socket

import waitress

from benchmarks.pinned import LISTENER
from tbtwist.http.wsgi import from_environ


def main() -> None:
    """Serve until the end."""
    waitress.serve(from_environ(), sockets=[socket.socket(fileno=LISTENER)])


if __name__ == "__main__":
    main()
