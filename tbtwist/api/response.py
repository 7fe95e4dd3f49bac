"""A response as a value: status, headers, and bytes, a file, or a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import attrs

from tbtwist.apps.encoding import to_json

Headers = tuple[tuple[str, str], ...]

_OWN_REASONS: Final[Mapping[int, str]] = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    450: "Refused by the Application",
    499: "Client Closed Request",
}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_THE_APPLICATIONS: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)


@attrs.frozen
class FileBody:
    """``length`` bytes of a file from ``offset`` on, read only when they are sent."""

    path: Path
    length: int
    offset: int = 0


class StreamBody(Protocol):
    """A body that is made while it is sent.

    A carrier asks for the next piece only when the client has taken the last one:
    that is the backpressure. It calls `close` in the end, whatever happened, also
    when the client has left or the answer was to HEAD. What both return can be
    awaited wherever `Dispatcher.handle` can be.
    """

    async def next(self) -> bytes | None:
        """Return the next piece, never an empty one; None: that was all.

        Raises:
            Exception: the body cannot be completed. What has been sent cannot be
                taken back, so the carrier must cut the connection.
        """

    async def close(self) -> None:
        """Stop and clean up; calling this twice, or while `next` waits, is fine."""


Body = bytes | FileBody | StreamBody


@attrs.frozen
class Response:
    """A response. The length and the connection are its carrier's business.

    ``stream_length`` is the length of a stream's body where that is known.
    """

    status: int
    headers: Headers = ()
    body: Body = b""
    stream_length: int | None = None

    @property
    def length(self) -> int | None:
        """Return how many bytes the body has; None: it ends when it ends."""
        if isinstance(self.body, bytes):
            return len(self.body)
        if isinstance(self.body, FileBody):
            return self.body.length
        return self.stream_length

    @property
    def has_body(self) -> bool:
        """Whether the status allows a body at all (RFC 9110 §6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)

    def with_headers(self, *added: tuple[str, str]) -> Response:
        """Return the same response with more headers."""
        headers = (*self.headers, *added)
        return Response(self.status, headers, self.body, self.stream_length)


def json_response(value: object, status: int = 200) -> Response:
    """Return JSON that no cache keeps."""
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Response(status, headers, to_json(value))


def reason_phrase(status: int) -> str:
    """Return the words beside a status code, for any code (RFC 9110 §15)."""
    if status in _OWN_REASONS:
        return _OWN_REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status of the Application"


def application_headers(headers: Mapping[str, object]) -> Headers:
    """Return headers that application code wants, as far as it may set them.

    Framing belongs to the server; a name that is no token is left out; control
    characters become spaces, so that no value can start a header of its own.
    """
    return tuple(
        (name, header_value(str(value)))
        for name, value in headers.items()
        if _TOKEN.match(name) and name.lower() not in _NOT_THE_APPLICATIONS
    )


def header_value(text: str) -> str:
    """Return ``text`` fit for a header: one line, latin-1 (others become ``?``)."""
    return _CONTROL.sub(" ", text).encode("latin-1", "replace").decode("latin-1")
