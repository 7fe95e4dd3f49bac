"""The public keys of a token issuer: read, kept, fetched when there is need.

A key set is fetched when a token names a key that is not in it, but at most
once per cool-down whatever tokens name, and again in the background when it has
grown old. Whoever waits for the same fetch waits for one request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tbtwist.auth.tokens import PublicKey
from tbtwist.config.schema import Auth
from tbtwist.errors import KeysUnavailable

_log = Logger()

CLERK_URL: Final = "https://api.clerk.com/v1/jwks"
FRESH_S: Final = 3600.0
"""Older key sets are fetched again; until that has worked they still count."""
STALE_S: Final = 24 * 3600.0
"""Key sets that are so old count no more: their issuer may have withdrawn a key."""
COOL_DOWN_S: Final = 30.0
_MAX_KEYS: Final = 64
_MIN_RSA_BITS: Final = 2048

Fetch = Callable[[], Deferred[bytes]]


@attrs.frozen
class Source:
    """Where a key set is, and what to show there."""

    url: str
    bearer: str = attrs.field(default="", repr=False)

    @classmethod
    def from_settings(cls, auth: Auth) -> Source | None:
        """Return the configured place; Clerk's if there is but Clerk's secret key.

        That key is shown to Clerk and to nobody else.
        """
        if auth.jwks_url:
            return cls(auth.jwks_url)
        return cls(CLERK_URL, auth.clerk_secret_key) if auth.clerk_secret_key else None


def read_keys(document: bytes) -> dict[str, PublicKey]:
    """Return the usable keys of a key set (RFC 7517), by their ids.

    Left out: keys without an id or for encryption, private and symmetric ones,
    RSA below 2048 bits, other curves than P-256.

    Raises:
        KeysUnavailable: the document is no key set.
    """
    try:
        found = msgspec.json.decode(document, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise KeysUnavailable(reason="what came is no key set")
    return {key.kid: key for key in _usable(found[:_MAX_KEYS])}


def _usable(found: list[Any]) -> Iterator[PublicKey]:
    for each in found:
        key = _public_key(each) if isinstance(each, dict) else None
        if key is not None:
            yield key


def _public_key(data: dict[str, Any]) -> PublicKey | None:
    kid = data.get("kid")
    if not isinstance(kid, str) or not kid or data.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(data.get("kty")))
    if algorithm is None or "d" in data or data.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(data, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(kid, algorithm, key) if _strong(key) else None


def _strong(key: object) -> bool:
    if isinstance(key, RSAPublicKey):
        return key.key_size >= _MIN_RSA_BITS
    return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)


class KeyCache:
    """The keys of one issuer; everything happens on the reactor's thread.

    ``seconds`` is a clock that only goes forward, ``fetch`` brings the document.
    """

    def __init__(self, fetch: Fetch, seconds: Callable[[], float]) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._fetching: Deferred[None] | None = None
        self._closed = False
        self._waiting: list[Deferred[None]] = []

    async def key(self, kid: str) -> PublicKey | None:
        """Return the key called ``kid``; None if the issuer has no such key.

        Raises:
            KeysUnavailable: there are no keys, so nobody can say.
        """
        known = self._known(kid)
        if self._may_ask() and (known is None or self._age() > FRESH_S):
            self._ask()
        if known is None and self._fetching is not None:
            await self._end_of_fetching()
            known = self._known(kid)
        if known is None and self._age() >= STALE_S:
            raise KeysUnavailable(reason="try again later")
        return known

    def close(self) -> None:
        """Give up what is being fetched."""
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()

    def _known(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid) if self._age() < STALE_S else None

    def _age(self) -> float:
        fetched_at = self._fetched_at
        return STALE_S if fetched_at is None else self._seconds() - fetched_at

    def _may_ask(self) -> bool:
        if self._fetching is not None:
            return False
        return self._asked_at is None or self._seconds() - self._asked_at >= COOL_DOWN_S

    def _ask(self) -> None:
        self._asked_at = self._seconds()
        fetching = Deferred.fromCoroutine(self._refresh())
        if not fetching.called:
            self._fetching = fetching

    async def _refresh(self) -> None:
        try:
            self._keys = read_keys(await self._fetch())
            self._fetched_at = self._seconds()
        except Exception:  # noqa: BLE001 - whatever it is, the old keys stay
            if not self._closed:
                _log.failure("the token issuer's keys could not be fetched")
        finally:
            self._fetching = None
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    async def _end_of_fetching(self) -> None:
        """Wait for the fetch, on a Deferred of one's own that may be cancelled."""
        mine: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(mine)
        await mine
