"""One request and its answer on our own server: limits, counters, access log."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.server import Request
from typing_extensions import override

from tbtwist.api.bodies import too_large
from tbtwist.api.failures import envelope
from tbtwist.api.health import Health
from tbtwist.http.pages import FAILED
from tbtwist.http.proxies import TrustedProxies

_access_log = Logger(namespace="tbtwist.access")

LINGER_S: Final = 2.0
"""How long we listen to the rest of a body that we have refused (RFC 9112 §9.6)."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")


@attrs.define(eq=False)
class House:
    """What all requests of one site share."""

    reactor: IReactorTime
    health: Health
    proxies: TrustedProxies
    max_body_bytes: int
    access_log: bool
    channels: set[Channel] = attrs.Factory(set)


class Exchange(Request):
    """A request on our server. Bodies are limited and never parsed here (T1, T2)."""

    def __init__(self, channel: Any, queued: object = None) -> None:
        del queued
        super().__init__(channel, parsePOSTFormSubmission=False)
        self.house: House = channel.site.house
        self._began_at = self.house.reactor.seconds()
        self._counted = False
        self._refused = False
        self._linger: IDelayedCall | None = None
        self._received = 0
        self.request_id = b""

    # --- receiving -----------------------------------------------------------

    def head_received(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Take note of the head, before the body comes."""
        self.method, self.uri, self.clientproto = method, uri, version
        self.path = uri.partition(b"?")[0]
        self._began_at = self.house.reactor.seconds()
        self._counted = True
        self.house.health.request_started()
        self._drop_ambiguous_names()
        given = self.getHeader(b"x-request-id") or b""
        valid = _REQUEST_ID.match(given)
        self.request_id = given if valid else secrets.token_hex(8).encode()
        self.requestHeaders.setRawHeaders(b"x-request-id", [self.request_id])

    def _drop_ambiguous_names(self) -> None:
        """Drop ``X_Forwarded_For``: in a WSGI environ it is X-Forwarded-For."""
        for name, _ in tuple(self.requestHeaders.getAllRawHeaders()):
            if b"_" in name:
                self.requestHeaders.removeHeader(name)

    @override
    def gotLength(self, length: int | None) -> None:
        """Refuse a body that is announced as too large."""
        super().gotLength(length)
        if (length or 0) > self.house.max_body_bytes:
            self._refuse()

    @override
    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body, as long as there is room for it."""
        if self._refused:
            return
        self._received += len(data)
        if self._received > self.house.max_body_bytes:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def _refuse(self) -> None:
        """Answer 413 now, and listen a little so that the client can read it."""
        self._refused = True
        self.requestHeaders.removeHeader(b"expect")
        self.channel.persistent = False
        error = too_large(self.house.max_body_bytes)
        body = envelope(error.status, error.message)
        self.setResponseCode(error.status, b"Content Too Large")
        self.setHeader(b"content-type", b"application/json")
        self.setHeader(b"content-length", str(len(body)))
        self.write(body)
        self._linger = self.house.reactor.callLater(LINGER_S, self.finish)

    @override
    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Answer the request, unless that has been done already."""
        if self._refused:
            self.finish()
            return
        if self.requestHeaders.hasHeader(b"transfer-encoding"):
            self.requestHeaders.removeHeader(b"transfer-encoding")
            length = str(self._received).encode()
            self.requestHeaders.setRawHeaders(b"content-length", [length])
        super().requestReceived(command, path, version)

    # --- answering -----------------------------------------------------------

    @override
    def write(self, data: bytes) -> None:
        """Send a piece of the answer; the first one sends the headers."""
        if not self.startedWriting and not self._disconnected:
            self._complete_headers()
        super().write(data)

    def _complete_headers(self) -> None:
        headers = self.responseHeaders
        headers.setRawHeaders(b"server", [b"tbtwist"])
        if not headers.hasHeader(b"date"):
            headers.setRawHeaders(b"date", [datetimeToString()])
        if self.request_id and not headers.hasHeader(b"x-request-id"):
            headers.setRawHeaders(b"x-request-id", [self.request_id])
        if self.house.health.draining:
            self.channel.persistent = False
        if not self.channel.persistent:
            headers.setRawHeaders(b"connection", [b"close"])

    @override
    def finish(self) -> None:
        """End the answer."""
        super().finish()
        self._ended(self.code)

    @override
    def connectionLost(self, reason: Failure) -> None:
        """Learn that the client has left before its answer was complete."""
        super().connectionLost(reason)
        self._ended(413 if self._refused else 499)

    def _ended(self, status: int) -> None:
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        if not self._counted:
            return
        self._counted = False
        self.house.health.request_ended()
        if self.house.access_log:
            self._log_access(status)

    def _log_access(self, status: int) -> None:
        """Write the access log's event: no query, no header, nothing secret."""
        _access_log.info(
            "{client} {method} {path} {status} {bytes} {duration_ms}ms {request_id}",
            client=self._client(),
            method=_text(self.method),
            path=_text(self.path),
            status=status,
            bytes=self.sentLength,
            duration_ms=round((self.house.reactor.seconds() - self._began_at) * 1e3, 1),
            request_id=_text(self.request_id),
        )

    def _client(self) -> str:
        peer = getattr(self.getClientAddress(), "host", "")
        forwarded = self.getHeader("x-forwarded-for") or ""
        return self.house.proxies.client_of(peer, forwarded)

    @override
    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500 without a word about us, and log what happened."""
        self._log.failure("a request failed", failure=reason)
        if not self.startedWriting:
            body = FAILED.render(self)
            self.setHeader(b"content-length", str(len(body)))
            self.write(body)
        self.finish()
        return reason


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")


class Channel(HTTPChannel):
    """A connection. Its limits are those of contract §2."""

    maxHeaders = 64  # noqa: N815 - the base class' name
    totalHeadersSize = 40 * 1024  # noqa: N815 - the base class' name
    MAX_LENGTH = 8 * 1024
    site: Any

    @override
    def connectionMade(self) -> None:
        """Let the site know us, so that a drain can close us."""
        self.site.house.channels.add(self)
        super().connectionMade()

    @override
    def allHeadersReceived(self) -> None:
        """Tell the request its head before the body is judged."""
        exchange: Exchange = self.requests[-1]
        exchange.head_received(self._command, self._path, self._version)
        super().allHeadersReceived()

    @property
    def idle(self) -> bool:
        """Whether no request is being received or answered."""
        return not self.requests

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        self.site.house.channels.discard(self)
        super().connectionLost(reason)
