"""A constant rate, and how long an answer takes from when it was due. Pure.

A request counts from when it should have been sent, not from when there was a
connection for it: a server that stalls does not hide its stall by slowing the
load down (no coordinated omission).
"""

from __future__ import annotations

import re
from typing import Final

import attrs

_END_OF_HEAD: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Load:
    """The same request again and again; every answer has ``expected`` in its body."""

    port: int
    path: str
    cookie: str
    expected: str
    connections: int
    rate: float
    seconds: float

    @property
    def request(self) -> bytes:
        """Return what goes over the wire."""
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Cookie: {self.cookie}",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


@attrs.define(eq=False)
class Pace:
    """``total`` requests, ``rate`` a second; times are a clock's seconds."""

    rate: float
    total: int
    began: float
    started: int = 0
    took_ms: list[float] = attrs.Factory(list)

    @property
    def next_at(self) -> float | None:
        """Return when the next request is due; None when all have started."""
        if self.started == self.total:
            return None
        return self.began + self.started / self.rate

    @property
    def over(self) -> bool:
        """Whether all have been answered."""
        return len(self.took_ms) == self.total

    def take(self, now: float) -> float | None:
        """Start the next request if it is due; return when that was."""
        at = self.next_at
        if at is None or at > now:
            return None
        self.started += 1
        return at

    def answered(self, due_at: float, now: float) -> None:
        """Take the answer to a request that was due at ``due_at``."""
        self.took_ms.append((now - due_at) * 1e3)


class AnswerReader:
    """Puts together an answer that has a Content-Length."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """Return status and body when they are complete; ValueError if unreadable."""
        self._data += data
        head, end, body = self._data.partition(_END_OF_HEAD)
        if not end:
            return None
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        if status is None or length is None:
            msg = f"neither status nor length in {head!r}"
            raise ValueError(msg)
        if len(body) < int(length[1]):
            return None
        self._data = b""
        return int(status[1]), body
