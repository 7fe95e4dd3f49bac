"""The few pages that people may see who do not talk to the API."""

from __future__ import annotations

from typing import Any, Final

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from typing_extensions import override

from tbtwist.api.failures import RETRY_AFTER_S, envelope
from tbtwist.api.response import Headers, reason_phrase

_PAGE: Final = (
    "<!doctype html>\n<html lang=en><meta charset=utf-8>"
    "<title>{status} {reason}</title><h1>{reason}</h1><p>{text}\n"
)


class Page(Resource):
    """An answer that is always the same. It never shows anything of a request."""

    isLeaf = 1

    def __init__(self, status: int, body: bytes, headers: Headers) -> None:
        super().__init__()
        self._status = status
        self.body = body
        self.headers = headers

    @override
    def render(self, request: Any) -> bytes:
        """Write the page, whatever the method; Twisted drops the body for HEAD."""
        request.setResponseCode(self._status, reason_phrase(self._status).encode())
        for name, value in self.headers:
            request.setHeader(name.lower(), value)
        return self.body

    @override
    def getChild(self, path: bytes, request: IRequest) -> Page:
        """Return the page for everything below as well."""
        return self


def _html(status: int, text: str, *headers: tuple[str, str]) -> Page:
    reason = reason_phrase(status)
    page = _PAGE.format(status=status, reason=reason, text=text)
    kind = ("Content-Type", "text/html; charset=utf-8")
    return Page(status, page.encode(), (kind, *headers))


NOT_FOUND: Final = _html(404, "There is nothing at this address.")
NOT_ALLOWED: Final = _html(
    405, "This address can only be read.", ("Allow", "GET, HEAD")
)
FAILED: Final = _html(500, "The server could not answer this request.")
BUSY: Final = Page(
    503,
    envelope(503, "Too many requests at once"),
    (("Content-Type", "application/json"), ("Retry-After", str(RETRY_AFTER_S))),
)
