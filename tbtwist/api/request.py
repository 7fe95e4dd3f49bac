"""A request as the core sees it, whoever received it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
from msgspec import UNSET

from tbtwist.apps.uploads import UploadedFile
from tbtwist.tracing import Trace

Fields = Mapping[str, Any]
Files = Mapping[str, UploadedFile | list[UploadedFile]]


@attrs.frozen(eq=False)
class ParsedBody:
    """A body, taken apart by its content type.

    ``raw`` is what came, except for multipart, where it is empty. In ``form`` and
    ``files`` a field that came more than once is a list. ``json`` is UNSET if the
    body is no JSON.
    """

    raw: bytes = b""
    form: Fields = attrs.Factory(dict)
    json: Any = UNSET
    files: Files = attrs.Factory(dict)

    def close(self) -> None:
        """Remove uploads from disk; calling this twice is fine."""
        for found in self.files.values():
            for file in found if isinstance(found, list) else (found,):
                file.discard()


REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
"""What a client may name its request."""
NO_BODY: Final = ParsedBody()


@attrs.frozen
class Request:
    """A complete request.

    ``path`` is percent-decoded once, ``query`` is as it came, without the
    question mark. Header names are in lower case. ``client_ip`` is the client's,
    not the proxy's; ``secure`` says whether the client speaks TLS. ``id`` is empty
    where nobody has named the request yet. ``trace`` is the span that answers it.
    """

    method: str
    path: str
    query: str = attrs.field(default="", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    parsed: ParsedBody = attrs.field(default=NO_BODY, repr=False)
    client_ip: str = ""
    secure: bool = False
    id: str = ""
    trace: Trace | None = None

    @property
    def content_type(self) -> str:
        """Return the media type alone, in lower case; empty if there is none."""
        full = self.headers.get("content-type", "")
        return full.partition(";")[0].strip().lower()

    @property
    def effective_method(self) -> str:
        """Return what is really asked for: HEAD is GET without the body."""
        return "GET" if self.method == "HEAD" else self.method
