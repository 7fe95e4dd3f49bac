"""Fetching a key set over HTTPS, and nothing but HTTPS (contract §3).

The host's name is verified (service-identity, by way of Twisted's client
policy), redirects are not followed, and neither size nor time is unbounded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import attrs
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from typing_extensions import override

from tbtwist.errors import KeysUnavailable

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 1024 * 1024
_PEM_END: Final = b"-----END CERTIFICATE-----"


def https_policy(ca_file: Path | None) -> BrowserLikePolicyForHTTPS:
    """Return whom we trust: the authorities in ``ca_file``, else the system's.

    Raises:
        KeysUnavailable: the file cannot be read or has no certificate.
    """
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    try:
        parts = ca_file.read_bytes().split(_PEM_END)[:-1]
        found = [Certificate.loadPEM(part + _PEM_END) for part in parts]
    except Exception as error:
        raise KeysUnavailable(reason=f"{ca_file} cannot be read: {error}") from error
    if not found:
        raise KeysUnavailable(reason=f"{ca_file} has no certificate")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(found))


@attrs.frozen
class KeySetFetcher:
    """Fetches one document, again whenever it is called."""

    _reactor: Any
    _url: str
    _bearer: str = attrs.field(repr=False)
    _policy: BrowserLikePolicyForHTTPS = attrs.field(repr=False)

    def __call__(self) -> Deferred[bytes]:
        """Return the document; fails with `KeysUnavailable` or what went wrong."""
        fetching = Deferred.fromCoroutine(self._fetch())
        return fetching.addTimeout(TIMEOUT_S, self._reactor)

    async def _fetch(self) -> bytes:
        if not self._url.startswith("https://"):
            raise KeysUnavailable(reason="its address is not https")
        agent = Agent(self._reactor, self._policy, connectTimeout=TIMEOUT_S)
        headers = Headers({"Accept": ["application/json"], "User-Agent": ["tbtwist"]})
        if self._bearer:
            headers.addRawHeader("Authorization", f"Bearer {self._bearer}")
        response = await HTTPClient(agent).get(
            self._url, headers=headers, allow_redirects=False, unbuffered=True
        )
        body = _Body()
        response.deliverBody(body)
        if response.code != 200:
            body.abort()
            raise KeysUnavailable(reason=f"the answer was {response.code}")
        return await body.complete


class _Body(Protocol):
    """Collects a body, up to `MAX_BYTES`."""

    def __init__(self) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self.abort())
        self._parts: list[bytes] = []
        self._size = 0

    def abort(self) -> None:
        """Close the connection: the rest is of no interest."""
        if self.transport is not None:
            self.transport.loseConnection()

    @override
    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        self._parts.append(data)
        if self._size > MAX_BYTES and not self.complete.called:
            self._parts.clear()
            self.complete.errback(KeysUnavailable(reason="the answer is too long"))
            self.abort()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.complete.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss, ConnectionDone):
            self.complete.callback(b"".join(self._parts))
        else:
            self.complete.errback(reason)
