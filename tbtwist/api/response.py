"""A response as a value: status, headers, and bytes or a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import attrs

Headers = tuple[tuple[str, str], ...]

_OWN_REASONS: Final[Mapping[int, str]] = {
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
    """The ``length`` bytes of a file, read only when they are sent."""

    path: Path
    length: int


@attrs.frozen
class Response:
    """A response. The length and the connection are its carrier's business."""

    status: int
    headers: Headers = ()
    body: bytes | FileBody = b""

    @property
    def length(self) -> int:
        """Return how many bytes the body has."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.length

    @property
    def has_body(self) -> bool:
        """Whether the status allows a body at all (RFC 9110 §6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)

    def with_headers(self, *added: tuple[str, str]) -> Response:
        """Return the same response with more headers."""
        return attrs.evolve(self, headers=(*self.headers, *added))


def reason_phrase(status: int) -> str:
    """Return the words beside a status code, for any code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return _OWN_REASONS.get(status, "Status of the Application")


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
