"""The session cookie (contract §3, R2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from tbtwist.auth.session import SessionData, from_json_bytes
from tbtwist.auth.signing import Signer
from tbtwist.config.schema import Session

MAX_VALUE_CHARS: Final = 4096
"""What browsers keep of one cookie; a longer one is not ours."""
_MAX_CANDIDATES: Final = 4


def decode(value: str, *, signer: Signer, now: float) -> SessionData | None:
    """Return the session in a bare cookie value, or None.

    None for what is too long, was not signed by us, is not a session, is
    expired, or has no end: a cookie that lives for ever is never accepted.
    """
    if len(value) > MAX_VALUE_CHARS:
        return None
    payload = signer.verify(value)
    session = None if payload is None else from_json_bytes(payload)
    if session is None or session.exp <= 0 or session.is_expired(now):
        return None
    return session


@attrs.frozen
class SessionCookies:
    """Reads and writes the session cookie as it is configured."""

    _signer: Signer
    _config: Session
    _secure: bool

    def read(self, cookie_header: str | None, now: float) -> SessionData | None:
        """Return the session in a Cookie header, or None.

        Where the name occurs more than once (other paths or domains may set it
        too), the first that is ours counts.
        """
        for value in self._candidates(cookie_header or ""):
            session = self.read_value(value, now)
            if session is not None:
                return session
        return None

    def read_value(self, value: str, now: float) -> SessionData | None:
        """Return the session in a bare cookie value, or None; see `decode`."""
        return decode(value, signer=self._signer, now=now)

    def _candidates(self, header: str) -> Iterator[str]:
        found = 0
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._config.cookie_name and found < _MAX_CANDIDATES:
                found += 1
                yield value.strip().strip('"')

    def ends_at(self, exp: float, now: float) -> float:
        """Return when a cookie set ``now`` ends: at ``exp`` or the maximum age."""
        latest = now + self._config.cookie_max_age
        return min(exp, latest) if exp > 0 else latest

    def set_cookie(self, session: SessionData, now: float) -> str:
        """Return the Set-Cookie value for ``session``; its end is always set."""
        ends_at = self.ends_at(session.exp, now)
        session = attrs.evolve(session, exp=ends_at)
        value = self._signer.sign(session.to_json_bytes())
        max_age = max(0, int(ends_at - now))
        parts = [f"{self._config.cookie_name}={value}", f"Max-Age={max_age}"]
        return "; ".join([*parts, *self._scope(), *self._protection()])

    def clear_cookie(self) -> str:
        """Return the Set-Cookie value that makes a browser forget the session."""
        parts = [f"{self._config.cookie_name}=", "Max-Age=0"]
        return "; ".join([*parts, *self._scope()])

    def _scope(self) -> Iterator[str]:
        yield "Path=/"
        if self._config.cookie_domain:
            yield f"Domain={self._config.cookie_domain}"

    def _protection(self) -> Iterator[str]:
        if self._secure:
            yield "Secure"
        if self._config.cookie_httponly:
            yield "HttpOnly"
        if self._config.cookie_samesite:
            yield f"SameSite={self._config.cookie_samesite}"
