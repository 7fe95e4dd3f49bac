"""Where a request's body ends: by its length, or chunk by chunk (RFC 9112 §6, §7).

Both take what was received and return the body in it, and what follows it. The
chunked one is stricter than the grammar's friends: one CR LF, hexadecimal digits
only, short extensions, few trailers, and all of those dropped.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from tbtwist.errors import Refused
from tbtwist.http.parsing import CHUNKED

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e]*)?\Z")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\Z")
_LINE_BYTES: Final = 256
_TRAILER_BYTES: Final = 4 * 1024


class Framing(Protocol):
    """Finds the end of one body."""

    done: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the body's part of ``data``, and what is after the body.

        Raises:
            Refused: 400, it cannot be told where the body ends.
        """


def framing(length: int) -> Framing:
    """Return what finds the end of a body of ``length``, or `CHUNKED`."""
    return Chunked() if length == CHUNKED else Counted(length)


class Counted:
    """A body with a Content-Length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the body's part of ``data``, and what is after the body."""
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self.done = self._left == 0
        return body, rest


class Chunked:
    """A body in chunks."""

    def __init__(self) -> None:
        self.done = False
        self._line = b""
        self._left = 0
        self._step = self._size
        self._trailer_bytes = 0
        self._body: list[bytes] = []

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the body's part of ``data``, and what is after the body."""
        while data and not self.done:
            data = self._step(data)
        body = b"".join(self._body)
        self._body.clear()
        return body, data

    def _next_line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Return a whole line and what follows it; None: it is not complete."""
        start = max(len(self._line) - 1, 0)
        self._line += data[: _LINE_BYTES + 2]
        end = self._line.find(b"\r\n", start)
        if end < 0:
            if len(self._line) > _LINE_BYTES or b"\n" in self._line:
                raise Refused(400, "A line of the chunked body is not one")
            return None, b""
        consumed = end + 2 - (len(self._line) - len(data[: _LINE_BYTES + 2]))
        line, self._line = self._line[:end], b""
        return line, data[consumed:]

    def _size(self, data: bytes) -> bytes:
        line, rest = self._next_line(data)
        if line is None:
            return rest
        found = _SIZE.match(line)
        if found is None:
            raise Refused(400, "The size of a chunk is not a number")
        self._left = int(found[1], 16)
        self._step = self._data if self._left else self._trailer
        return rest

    def _data(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._body.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = self._end_of_chunk
        return data[len(piece) :]

    def _end_of_chunk(self, data: bytes) -> bytes:
        self._line += data[: 2 - len(self._line)]
        if not b"\r\n".startswith(self._line):
            raise Refused(400, "A chunk is longer than its size")
        if len(self._line) < 2:
            return b""
        consumed = 2 if data.startswith(b"\r\n") else 1
        self._line = b""
        self._step = self._size
        return data[consumed:]

    def _trailer(self, data: bytes) -> bytes:
        line, rest = self._next_line(data)
        if line is None:
            return rest
        self._trailer_bytes += len(line) + 2
        if not line:
            self.done = True
        elif self._trailer_bytes > _TRAILER_BYTES:
            raise Refused(431, "The trailers are too long")
        elif not _TRAILER.match(line):
            raise Refused(400, "A trailer cannot be read")
        return rest
