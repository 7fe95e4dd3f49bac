"""From a WSGI environ to a `Request` and back (PEP 3333), pure."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Protocol

import attrs

from tbtwist.api.request import Request
from tbtwist.api.response import FileBody, Response, reason_phrase
from tbtwist.errors import Refused
from tbtwist.http.proxies import TrustedProxies

Environ = Mapping[str, Any]
_LENGTH: Final = re.compile(r"[0-9]{1,18}\Z")
_BLOCK: Final = 64 * 1024


class Input(Protocol):
    """The part of ``wsgi.input`` that we use."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end."""


def read_head(environ: Environ, proxies: TrustedProxies) -> Request:
    """Return the request without its body; an unreadable path is empty.

    ``PATH_INFO`` holds bytes that look like latin-1 (PEP 3333); they are UTF-8.
    """
    headers = dict(_headers(environ))
    peer = environ.get("REMOTE_ADDR", "")
    path = (environ.get("PATH_INFO") or "/").encode("latin-1")
    query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=_utf8(path),
        query=query.decode("utf-8", "replace"),
        headers=headers,
        client_ip=proxies.client_of(peer, headers.get("x-forwarded-for", "")),
        secure=proxies.is_secure(
            peer,
            environ.get("wsgi.url_scheme", "http"),
            headers.get("x-forwarded-proto", ""),
        ),
    )


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").lower(), value
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            yield key.replace("_", "-").lower(), environ[key]


def read_body(environ: Environ, max_bytes: int) -> bytes:
    """Return the body; it is refused before a byte of it has been read.

    Raises:
        Refused: 413 for what is over ``max_bytes``, 400 for a wrong or broken length.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if length:
        return _read_exactly(environ["wsgi.input"], _number(length), max_bytes)
    if environ.get("wsgi.input_terminated"):
        return _read_to_end(environ["wsgi.input"], max_bytes)
    return b""


def _number(text: str) -> int:
    if not _LENGTH.match(text):
        raise Refused(400, "Content-Length is not a number")
    return int(text)


def too_large(max_bytes: int) -> Refused:
    """Return what a body over the limit is answered with."""
    return Refused(413, f"The body is larger than {max_bytes} bytes")


def _read_exactly(source: Input, length: int, max_bytes: int) -> bytes:
    if length > max_bytes:
        raise too_large(max_bytes)
    body = _read(source, length)
    if len(body) < length:
        raise Refused(400, "The body ended early")
    return body


def _read_to_end(source: Input, max_bytes: int) -> bytes:
    body = _read(source, max_bytes + 1)
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return body


def _read(source: Input, size: int) -> bytes:
    """Read ``size`` bytes from a source that may return fewer at a time."""
    got = io.BytesIO()
    while got.tell() < size:
        block = source.read(min(size - got.tell(), _BLOCK))
        if not block:
            break
        got.write(block)
    return got.getvalue()


def status_line(response: Response) -> str:
    """Return ``404 Not Found``, with words for every code."""
    return f"{response.status} {reason_phrase(response.status)}"


def header_list(response: Response) -> list[tuple[str, str]]:
    """Return the headers with the length, where the status allows a body."""
    headers = list(response.headers)
    if response.has_body:
        headers.append(("Content-Length", str(response.length)))
    return headers


@attrs.define(eq=False)
class FileBlocks:
    """The first ``length`` bytes of an open file, block by block."""

    _file: BinaryIO
    _left: int

    @classmethod
    def open(cls, body: FileBody) -> FileBlocks:
        """Open the file; OSError if it went away."""
        return cls(body.path.open("rb"), body.length)

    def __iter__(self) -> FileBlocks:
        return self

    def __next__(self) -> bytes:
        """Return the next block.

        Raises:
            OSError: the file is shorter than was announced.
        """
        if not self._left:
            raise StopIteration
        block = self._file.read(min(self._left, _BLOCK))
        if not block:
            msg = "a file shrank while it was sent"
            raise OSError(msg)
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Close the file; PEP 3333 promises that this is called."""
        self._file.close()
