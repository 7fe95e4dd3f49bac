"""A token issuer of the tests: a real TLS server with an authority of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site


def certificate(authority: trustme.CA, host: str) -> PrivateCertificate:
    """Return a certificate of ``authority`` for a host."""
    made = authority.issue_cert(host)
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    pem = made.private_key_pem.bytes() + b"\n" + chain
    found: PrivateCertificate = PrivateCertificate.loadPEM(pem)
    return found


def write_authority(authority: trustme.CA, path: Path) -> Path:
    """Write an authority's certificate to a file."""
    path.write_bytes(authority.cert_pem.bytes())
    return path


class Document(Resource):
    """Answers as the test says, and remembers who asked."""

    isLeaf: Any = True

    def __init__(self) -> None:
        super().__init__()
        self.body = b'{"keys": []}'
        self.status = 200
        self.location = b""
        self.silent = False
        self.unending = False
        self.asked: list[dict[bytes, list[bytes]]] = []
        self.waiting: list[Any] = []

    def render_GET(self, request: Any) -> bytes | int:
        """Answer."""
        self.asked.append(dict(request.requestHeaders.getAllRawHeaders()))
        request.setResponseCode(self.status)
        if self.location:
            request.setHeader(b"Location", self.location)
        if self.silent or self.unending:
            request.notifyFinish().addErrback(lambda _: None)
            self.waiting.append(request)
            if self.unending:
                request.write(self.body)
            return NOT_DONE_YET
        return self.body


class Issuer:
    """The server. ``host`` is the name in its certificate."""

    def __init__(self, reactor: Any, authority: trustme.CA, host: str) -> None:
        self.document = Document()
        site = Site(self.document)
        site.displayTracebacks = False
        options = certificate(authority, host).options()
        self._port = reactor.listenSSL(0, site, options, interface="127.0.0.1")
        self._connections = site
        self.port: int = self._port.getHost().port

    def url(self, host: str = "localhost", scheme: str = "https") -> str:
        """Return the address of the key set."""
        return f"{scheme}://{host}:{self.port}/jwks"

    def stop(self) -> Deferred[None]:
        """Stop listening, and end what is unanswered."""
        for request in self.document.waiting:
            if isinstance(request, Request) and request.channel is not None:
                request.channel.forceAbortClient()
        stopping: Deferred[None] = self._port.stopListening()
        return stopping
