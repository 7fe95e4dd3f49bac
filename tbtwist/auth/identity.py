"""Who somebody is, by what they send (contract §3): the one place that decides.

In this order: API key, Bearer token, cookie, nobody. A key or token that is no
good is refused, it does not fall through to the cookie; a cookie that is no
good is nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs

from tbtwist.auth.access import Subject
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.keys import ApiKeys
from tbtwist.auth.revocation import MemoryRevoker, Revoker
from tbtwist.auth.session import SessionData, anonymous_session
from tbtwist.config.schema import Auth
from tbtwist.identity import RandomBytes

_SCHEME: Final = "bearer"


@attrs.frozen
class Identity:
    """Somebody, or nobody under an id of their own.

    ``leeway_s``: how long past its end a token still counts, since clocks differ.
    """

    session: SessionData
    leeway_s: float = 0.0

    @property
    def ends_at(self) -> float:
        """Return when this stops to count; 0 if it does not end."""
        return self.session.exp + self.leeway_s if self.session.exp > 0 else 0.0

    def authenticated(self, now: float) -> bool:
        """Whether this is somebody."""
        return self.session.authenticated(now - self.leeway_s)

    def subject(self, now: float) -> Subject:
        """Return who asks, for decisions about access."""
        return Subject(self.session.level, authenticated=self.authenticated(now))


@attrs.frozen
class BadCredentials:
    """What was sent proves nothing; ``reason`` may be told to whoever sent it."""

    reason: str


Found = Identity | BadCredentials
Verify = Callable[[str], Awaitable[Found]]
"""Says who a Bearer token belongs to; it does not know about revocations."""


async def no_tokens(_token: str) -> Found:
    """Know no token: a `Verify` for where there are none."""
    return BadCredentials("tokens are not accepted here")


@attrs.frozen
class Identifier:
    """Finds out who sends a request or opens a WebSocket.

    Header names are in lower case everywhere.
    """

    cookies: SessionCookies
    revoker: Revoker
    _verify: Verify
    _auth: Auth
    _keys: ApiKeys
    _random: RandomBytes

    @classmethod
    def of(
        cls,
        cookies: SessionCookies,
        revoker: Revoker,
        verify: Verify,
        auth: Auth,
        random: RandomBytes,
    ) -> Identifier:
        """Return one with the API keys of ``auth``."""
        keys = ApiKeys.from_hex(auth.api_keys)
        return cls(cookies, revoker, verify, auth, keys, random)

    async def identify(self, headers: Mapping[str, str], now: float) -> Found:
        """Return who sends ``headers``.

        Where no API key is configured, their header is none of our business.
        """
        key = headers.get(self._auth.api_key_header.lower())
        if key is not None and self._auth.api_keys:
            return self._by_key(key)
        token = bearer_token(headers.get(self._auth.bearer_header.lower()))
        if token is not None:
            return await self.by_token(token, now)
        found = self.by_cookie(headers.get("cookie"), now)
        return found or self.nobody()

    def _by_key(self, key: str) -> Found:
        session = self._keys.find(key)
        if session is None:
            return BadCredentials("this API key is not known")
        return Identity(session)

    async def by_token(self, token: str, now: float) -> Found:
        """Return whose Bearer token this is."""
        found = await self._verify(token)
        if isinstance(found, BadCredentials):
            return found
        if not found.authenticated(now) or self._revoked(found.session):
            return BadCredentials("the session has ended")
        return found

    def by_cookie(self, cookie_header: str | None, now: float) -> Identity | None:
        """Return whom the cookie in a Cookie header names, or None."""
        if cookie_header is None:
            return None
        return self._unless_revoked(self.cookies.read(cookie_header, now))

    def by_cookie_value(self, value: str, now: float) -> Identity | None:
        """Return whom a bare cookie value names, or None."""
        return self._unless_revoked(self.cookies.read_value(value, now))

    def nobody(self) -> Identity:
        """Return somebody unknown."""
        return Identity(anonymous_session(self._random))

    def _unless_revoked(self, session: SessionData | None) -> Identity | None:
        if session is None or self._revoked(session):
            return None
        return Identity(session)

    def _revoked(self, session: SessionData) -> bool:
        return self.revoker.is_revoked(
            session.session_id, session.user_id, session.issued_at
        )


def by_cookie_alone(
    cookies: SessionCookies, auth: Auth, now: Callable[[], float], random: RandomBytes
) -> Identifier:
    """Return an identifier that knows no tokens, and logouts of this process only."""
    return Identifier.of(cookies, MemoryRevoker(now), no_tokens, auth, random)


def bearer_token(header: str | None) -> str | None:
    """Return the token in ``Bearer …``; None for another scheme or none.

    ``Bearer`` without a token gives the empty token, which is good for nothing.
    """
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else None
