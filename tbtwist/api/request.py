"""A request as the core sees it, whoever received it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Request:
    """A complete request.

    ``path`` is percent-decoded once, ``query`` is as it came, without the
    question mark. Header names are in lower case. ``client_ip`` is the client's,
    not the proxy's; ``secure`` says whether the client speaks TLS.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = attrs.Factory(dict)
    body: bytes = b""
    client_ip: str = ""
    secure: bool = False

    @property
    def content_type(self) -> str:
        """Return the media type alone, in lower case; empty if there is none."""
        full = self.headers.get("content-type", "")
        return full.partition(";")[0].strip().lower()

    @property
    def effective_method(self) -> str:
        """Return what is really asked for: HEAD is GET without the body."""
        return "GET" if self.method == "HEAD" else self.method
