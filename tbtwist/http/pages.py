"""The few pages that people may see who do not talk to the API."""

from __future__ import annotations

from typing import Any, Final

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from typing_extensions import override

from tbtwist.api.response import reason_phrase

_PAGE: Final = (
    "<!doctype html>\n<html lang=en><meta charset=utf-8>"
    "<title>{status} {reason}</title><h1>{reason}</h1><p>{text}\n"
)


class Page(Resource):
    """A small HTML page with a status. It never shows anything of a request."""

    def __init__(
        self, status: int, text: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self._status = status
        self._headers = headers or {}
        reason = reason_phrase(status)
        page = _PAGE.format(status=status, reason=reason, text=text)
        self._body = page.encode()

    @override
    def render(self, request: Any) -> bytes:
        """Write the page, whatever the method; Twisted drops the body for HEAD."""
        request.setResponseCode(self._status, reason_phrase(self._status).encode())
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        for name, value in self._headers.items():
            request.setHeader(name.encode(), value.encode())
        return self._body

    @override
    def getChild(self, path: bytes, request: IRequest) -> Page:
        """Return the page for everything below as well."""
        return self


NOT_FOUND: Final = Page(404, "There is nothing at this address.")
NOT_ALLOWED: Final = Page(405, "This address can only be read.", {"allow": "GET, HEAD"})
BUSY: Final = Page(503, "Too many requests at once.", {"retry-after": "1"})
FAILED: Final = Page(500, "The server could not answer this request.")
