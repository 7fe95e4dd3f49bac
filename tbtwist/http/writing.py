"""The head of an answer, and the chunks of a body, as bytes."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from tbtwist.api.response import Headers, reason_phrase

LAST_CHUNK: Final = b"0\r\n\r\n"
GO_AHEAD: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class HeaderInjection(ValueError):
    """A header of an answer has a line end in it."""


@lru_cache(maxsize=256)
def status_line(status: int) -> str:
    """Return ``HTTP/1.1 200 OK`` and a line end."""
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n"


class ServerLines:
    """The lines that every answer has: Server, and a Date that is made once a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._second = -1
        self._lines = ""

    def __call__(self) -> str:
        """Return both lines."""
        second = int(self._now())
        if second != self._second:
            self._second = second
            date = formatdate(second, usegmt=True)
            self._lines = f"Server: tbtwist\r\nDate: {date}\r\n"
        return self._lines


def head_bytes(status: str, headers: Headers, lines: str) -> bytes:
    """Return a whole head: status line, ``headers``, ``lines`` and the empty line.

    Raises:
        HeaderInjection: a header is more than one line.
    """
    block = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not block.count("\n") == block.count("\r") == len(headers):
        raise HeaderInjection
    return f"{status}{block}{lines}\r\n".encode("latin-1", "replace")


def chunk(data: bytes) -> bytes:
    """Return one chunk (RFC 9112 §7.1); ``data`` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)
