"""Bytes and files to clients: whole, in part, or not at all (RFC 9110 §13, §14)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from tbtwist.api import conditions, ranges
from tbtwist.api.conditions import Validators
from tbtwist.api.failures import failure
from tbtwist.api.ranges import Span, Unsatisfiable
from tbtwist.api.request import Request
from tbtwist.api.response import FileBody, Headers, Response
from tbtwist.api.streams import Streams

_BLOCK: Final = 64 * 1024
_NOT_MODIFIED: Final = frozenset({"etag", "last-modified", "cache-control", "vary"})
"""Headers that a 304 repeats (RFC 9110 §15.4.5)."""


@attrs.frozen
class Download:
    """Something that can be sent in parts; ``headers`` say what it is."""

    body: bytes | FileBody
    content_type: str
    headers: Headers
    validators: Validators

    @classmethod
    def of_bytes(
        cls, body: bytes, content_type: str, headers: Headers = ()
    ) -> Download:
        """Return a download whose version is its content."""
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        return cls(body, content_type, headers, Validators(f'"{digest}"'))

    @classmethod
    def of_file(cls, path: Path, content_type: str, headers: Headers = ()) -> Download:
        """Return a download whose version is the file's size and date of change.

        Raises:
            OSError: there is no such file.
            ValueError: nothing can have such a name.
        """
        facts = path.stat()
        if not path.is_file():
            raise FileNotFoundError(path)
        etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        validators = Validators(etag, int(facts.st_mtime))
        return cls(FileBody(path, facts.st_size), content_type, headers, validators)

    @property
    def size(self) -> int:
        """Return how many bytes there are."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.length

    @property
    def all_headers(self) -> Headers:
        """Return the headers that every answer with content has."""
        accept = ("Accept-Ranges", "bytes")
        return (*self.headers, accept, *self.validators.headers())

    def part(self, span: Span) -> bytes | FileBody:
        """Return some of it."""
        if isinstance(self.body, bytes):
            return self.body[span.start : span.stop]
        offset = self.body.offset + span.start
        return attrs.evolve(self.body, offset=offset, length=span.length)


def answer(
    request: Request, download: Download, streams: Streams, boundary: str
) -> Response:
    """Return what ``request`` gets of ``download``; see `conditions` and `ranges`.

    ``boundary`` must not occur in the content; it separates parts.
    """
    if request.effective_method != "GET":
        return _whole(download)
    match conditions.verdict(request.headers, download.validators):
        case 412:
            return failure(412, "It has changed meanwhile")
        case 304:
            return _not_modified(download)
        case 200:
            return _wanted(request, download, streams, boundary)


def _not_modified(download: Download) -> Response:
    kept = ((k, v) for k, v in download.all_headers if k.lower() in _NOT_MODIFIED)
    return Response(304, tuple(kept))


def _wanted(
    request: Request, download: Download, streams: Streams, boundary: str
) -> Response:
    match _spans(request, download):
        case None:
            return _whole(download)
        case Unsatisfiable():
            size = ("Content-Range", f"bytes */{download.size}")
            return failure(416, "None of these bytes exist", (size,))
        case (span,):
            where = ("Content-Range", span.content_range(download.size))
            headers = (_type(download), *download.all_headers, where)
            return Response(206, headers, download.part(span))
        case spans:
            return _several(download, spans, streams, boundary)


def _spans(request: Request, download: Download) -> ranges.Wanted:
    """Return the ranges asked for; they have a meaning for GET alone (§14.2)."""
    header = request.headers.get("range")
    if header is None or request.method != "GET":
        return None
    if not conditions.ranges_apply(request.headers, download.validators):
        return None
    return ranges.wanted(header, download.size)


def _whole(download: Download) -> Response:
    return Response(200, (_type(download), *download.all_headers), download.body)


def _type(download: Download) -> tuple[str, str]:
    return ("Content-Type", download.content_type)


def _several(
    download: Download, spans: tuple[Span, ...], streams: Streams, boundary: str
) -> Response:
    """Return several parts in one body (§14.6)."""
    pieces: list[bytes | FileBody] = []
    for span in spans:
        pieces += [_preamble(download, span, boundary), download.part(span)]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    length = sum(len(p) if isinstance(p, bytes) else p.length for p in pieces)
    kind = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    headers = (kind, *download.all_headers)
    in_memory = [piece for piece in pieces if isinstance(piece, bytes)]
    if len(in_memory) == len(pieces):
        return Response(206, headers, b"".join(in_memory))
    body = streams.make(_read(pieces), length=length)
    return Response(206, headers, body, length)


def _preamble(download: Download, span: Span, boundary: str) -> bytes:
    where = span.content_range(download.size)
    lines = (
        f"\r\n--{boundary}",
        f"Content-Type: {download.content_type}",
        f"Content-Range: {where}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _read(pieces: list[bytes | FileBody]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from _blocks(piece)


def _blocks(part: FileBody) -> Iterator[bytes]:
    with part.path.open("rb") as file:
        file.seek(part.offset, os.SEEK_SET)
        left = part.length
        while left and (block := file.read(min(left, _BLOCK))):
            left -= len(block)
            yield block
