"""Browsers: how they get in, and who is in."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import attrs

from tbtwist.auth.signing import b64url_encode
from tbtwist.identity import RandomBytes

LINK_LIFETIME_S: Final = 900.0
SESSION_LIFETIME_S: Final = 12 * 3600.0
IDLE_S: Final = 2 * 3600.0
_MOST_LINKS: Final = 32
_MOST_SESSIONS: Final = 32
_TOKEN_BYTES: Final = 32


@attrs.define(eq=False)
class Visit:
    """A browser that is in; ``csrf`` must come with everything that changes something."""

    csrf: str = attrs.field(repr=False)
    ends_at: float
    idle_at: float
    name: str

    def knows(self, token: str) -> bool:
        """Whether ``token`` is this visit's CSRF token."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


def _digest(token: str) -> bytes:
    """Return what a token is kept as: neither dumps nor timing tell the token."""
    return sha256(token.encode()).digest()


class Visitors:
    """Gives out links that work once, and visits to those who use them.

    Links end after 15 minutes, visits after 12 hours or two idle ones. Of both
    there are at most 32; the oldest has to go.
    """

    def __init__(self, seconds: Callable[[], float], random: RandomBytes) -> None:
        self._seconds = seconds
        self._random = random
        self._links: OrderedDict[bytes, float] = OrderedDict()
        self._visits: OrderedDict[bytes, Visit] = OrderedDict()

    def _token(self) -> str:
        return b64url_encode(self._random(_TOKEN_BYTES))

    def new_link(self) -> str:
        """Return the token of a new login link."""
        token = self._token()
        self._links[_digest(token)] = self._seconds() + LINK_LIFETIME_S
        if len(self._links) > _MOST_LINKS:
            self._links.popitem(last=False)
        return token

    def enter(self, link: str) -> tuple[str, Visit] | None:
        """Use a link up; return the cookie's value and the visit. None: no such link."""
        now = self._seconds()
        ends_at = self._links.pop(_digest(link), None)
        if ends_at is None or now >= ends_at:
            return None
        token = self._token()
        visit = Visit(
            csrf=self._token(),
            ends_at=now + SESSION_LIFETIME_S,
            idle_at=now + IDLE_S,
            name=_digest(token).hex()[:6],
        )
        self._visits[_digest(token)] = visit
        if len(self._visits) > _MOST_SESSIONS:
            self._visits.popitem(last=False)
        return token, visit

    def find(self, token: str) -> Visit | None:
        """Return the visit behind a cookie, which is not idle any more."""
        key, now = _digest(token), self._seconds()
        visit = self._visits.get(key)
        if visit is None:
            return None
        if now >= min(visit.ends_at, visit.idle_at):
            del self._visits[key]
            return None
        visit.idle_at = now + IDLE_S
        return visit

    def leave(self, token: str) -> None:
        """End a visit."""
        self._visits.pop(_digest(token), None)
