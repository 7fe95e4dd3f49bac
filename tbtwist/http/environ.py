"""From a WSGI environ to a `Request` and back (PEP 3333), pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Protocol

import attrs

from tbtwist.api.bodies import BodyReader
from tbtwist.api.request import ParsedBody, Request
from tbtwist.api.response import FileBody, Response, reason_phrase
from tbtwist.errors import Refused
from tbtwist.net.proxies import TrustedProxies
from tbtwist.tracing import continued, current_trace

Environ = Mapping[str, Any]
_BLOCK: Final = 64 * 1024


class Input(Protocol):
    """The part of ``wsgi.input`` that we use."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; fewer only at the end."""


def read_head(environ: Environ, proxies: TrustedProxies) -> Request:
    """Return the request without its body; an unreadable path is empty.

    ``PATH_INFO`` holds bytes that look like latin-1 (PEP 3333); they are UTF-8. Our
    own server calls us under the request's trace already.
    """
    headers = dict(_headers(environ))
    parent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
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
        trace=current_trace() or continued(parent, state),
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


def read_body(environ: Environ, reader: BodyReader) -> ParsedBody:
    """Feed the body to ``reader``, which has seen the head, and return it.

    Raises:
        Refused: ``reader`` does not want it, or it ended early.
    """
    try:
        _feed(environ, reader)
    except BaseException:
        reader.discard()
        raise
    return reader.finish()


def _feed(environ: Environ, reader: BodyReader) -> None:
    """Feed what belongs to this request, and not a byte of the next one."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        left = int(length)
    elif environ.get("wsgi.input_terminated"):
        left = sys.maxsize
    else:
        return
    source: Input = environ["wsgi.input"]
    while left and (block := source.read(min(left, _BLOCK))):
        reader.feed(block)
        left -= len(block)
    if left and length:
        raise Refused(400, "The body ended early")


def status_line(response: Response) -> str:
    """Return ``404 Not Found``, with words for every code."""
    return f"{response.status} {reason_phrase(response.status)}"


def header_list(response: Response) -> list[tuple[str, str]]:
    """Return the headers with the length, where the status allows a body."""
    headers = list(response.headers)
    if response.has_body and response.length is not None:
        headers.append(("Content-Length", str(response.length)))
    return headers


@attrs.define(eq=False)
class FileBlocks:
    """The ``length`` bytes of a file body, block by block."""

    _file: BinaryIO
    _left: int

    @classmethod
    def open(cls, body: FileBody) -> FileBlocks:
        """Open the file; OSError if it went away."""
        file = body.path.open("rb")
        file.seek(body.offset)
        return cls(file, body.length)

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
