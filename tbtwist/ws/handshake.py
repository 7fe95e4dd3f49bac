"""The first bytes of a connection: one HTTP request head, read strictly.

Autobahn reads headers without a bound and splits them at bytes that other
servers take for part of a value. So every head is read here first; what is
not plainly good is answered, and only what is left goes to Autobahn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import attrs
import msgspec

from tbtwist.tracing import Trace

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 64

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/([0-9]\.[0-9])\Z")
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f\x85]")
"""Control bytes; ``\\x85`` is one to whoever reads headers as Latin-1 text."""


@attrs.frozen
class Head:
    """A request head. Header names are in lower case, repeated ones are joined."""

    method: str
    path: str
    query: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    version: str = "1.1"

    @property
    def trace(self) -> Trace | None:
        """Return the client's span, if it works under a trace."""
        parent = self.headers.get("traceparent", "")
        return Trace.parse(parent, self.headers.get("tracestate", ""))

    @property
    def wants_websocket(self) -> bool:
        """Whether the client asks for a WebSocket, rather than for an HTTP answer."""
        asked = self.headers.get("upgrade", "").split(",")
        return any(word.strip().lower() == "websocket" for word in asked)


_JSON: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


@attrs.frozen
class Answer:
    """A plain HTTP answer, after which the connection is closed.

    Its body becomes JSON; bytes go out as they are, with ``headers`` that say what
    they are.
    """

    status: int
    body: Mapping[str, object] | bytes
    headers: tuple[tuple[str, str], ...] = ()
    bodiless: bool = False

    def to_bytes(self) -> bytes:
        """Return the whole answer as it goes over the wire."""
        if isinstance(self.body, bytes):
            body, headers = self.body, self.headers
        else:
            body, headers = msgspec.json.encode(self.body), (*_JSON, *self.headers)
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if not any(name == "Connection" for name, _ in self.headers):
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if self.bodiless else head + body


def refusal(
    status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """Return an error in the envelope of contract §2: ``error`` and ``message``."""
    word = "".join(HTTPStatus(status).phrase.title().split())
    return Answer(status, {"error": word, "message": message}, headers)


def read_head(data: bytes) -> Head | Answer | None:
    """Read the head at the beginning of ``data``.

    Returns:
        The head; or the answer to a request that is refused for its form; or
        None while the head is not complete.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES + 4)
    if end < 0:
        too_long = len(data) > MAX_HEAD_BYTES
        return refusal(431, "The request head is too long.") if too_long else None
    lines = data[:end].split(b"\r\n")
    if _FORBIDDEN.search(b"".join(lines)):
        return refusal(400, "The request has control characters in its head.")
    if len(lines) > MAX_HEADERS + 1:
        return refusal(431, "The request has too many headers.")
    return _read_lines(*lines)


def _read_lines(first: bytes, *rest: bytes) -> Head | Answer:
    request, headers = _REQUEST_LINE.match(first), _read_headers(rest)
    if request is None or headers is None:
        return refusal(400, "The request is not HTTP/1.1.")
    method, target, version = (part.decode("ascii") for part in request.groups())
    if version not in _VERSIONS:
        return refusal(505, "Only HTTP/1.1 is spoken here.")
    path, _, query = target.partition("?")
    return Head(method, path, query, headers, version)


def _read_headers(lines: Sequence[bytes]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for name, value in _fields(lines):
        if not name:
            return None
        joint = "; " if name == "cookie" else ", "
        headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
    return headers


def _fields(lines: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        field = _HEADER.match(line)
        if field is None:
            yield "", ""
        else:
            yield field[1].decode("ascii").lower(), field[2].decode("latin-1")
