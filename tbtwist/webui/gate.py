"""Who may ask the manager something: programs with its secret, browsers with a link.

A browser is asked for more than its cookie: the page must come from here (``Host``
is an address, ``localhost`` or the configured name, never one that somebody's DNS
points here), ``Origin`` must be that page's, and what changes something needs the
CSRF token that only this page could read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs

from tbtwist.errors import Refused
from tbtwist.identity import RandomBytes
from tbtwist.webui.asked import Asked
from tbtwist.webui.attempts import Attempts
from tbtwist.webui.visitors import Visit, Visitors

SECRET_HEADER: Final = "x-cluster-secret"  # noqa: S105 - a header's name
CSRF_HEADER: Final = "x-csrf-token"
_LOCAL: Final = frozenset({"localhost", "localhost."})


@attrs.frozen
class Caller:
    """Who asks: ``name`` for the audit log; a browser has a visit."""

    name: str
    visit: Visit | None = None


class Gate:
    """Lets callers in, or raises `Refused`."""

    def __init__(
        self,
        secret: bytes,
        host: str,
        seconds: Callable[[], float],
        random: RandomBytes,
    ) -> None:
        self._secret = secret
        self._names = _LOCAL | {host.lower()}
        self.visitors = Visitors(seconds, random)
        self.attempts = Attempts(seconds)
        self.cookie = "tbtwist_manager"

    def check_place(self, asked: Asked) -> None:
        """Refuse a request that was meant for another name, or comes from another page.

        Raises:
            Refused: 421 for a foreign ``Host``, 403 for a foreign ``Origin``.
        """
        host = asked.header("host")
        if not self._is_ours(host):
            raise Refused(421, "This is not the host that was asked for")
        origin = asked.header("origin")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, "Other pages may not ask the manager")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def admit(self, asked: Asked) -> Caller:
        """Return who asks.

        Raises:
            Refused: 403 without a valid secret or session, or without the CSRF
                token; 429 after too many wrong secrets.
        """
        given = _given_secret(asked)
        if given:
            return self._admit_program(given, asked.address)
        token = asked.cookie(self.cookie)
        visit = self.visitors.find(token) if token else None
        if visit is None:
            message = "This needs the manager's secret in X-Cluster-Secret, or a login"
            raise Refused(403, message)
        if asked.changes and not visit.knows(asked.header(CSRF_HEADER)):
            raise Refused(403, "The CSRF token is missing or wrong")
        return Caller(f"browser {visit.name}", visit)

    def _admit_program(self, given: str, address: str) -> Caller:
        self._slow_down(address)
        if not hmac.compare_digest(given.encode(), self._secret):
            self.attempts.failed(address)
            raise Refused(403, "The secret is wrong")
        self.attempts.succeeded(address)
        return Caller(f"api {address}")

    def still_in(self, asked: Asked) -> Callable[[], bool]:
        """Return what tells whether who was admitted still is: a page that watches.

        A session ends neither by watching nor while it is watched, but by a logout
        and after its time.
        """
        if _given_secret(asked):
            return lambda: True
        token = asked.cookie(self.cookie)
        return lambda: self.visitors.find(token) is not None

    def enter(self, link: str, address: str) -> tuple[str, Visit]:
        """Let a browser in that has a link, which is used up; return its cookie.

        Raises:
            Refused: 403 for a link that is used, too old or wrong; 429 after too
                many of those.
        """
        self._slow_down(address)
        entered = self.visitors.enter(link)
        if entered is None:
            self.attempts.failed(address)
            message = "This link has been used or is too old; tbtwist ui prints another"
            raise Refused(403, message)
        return entered

    def _slow_down(self, address: str) -> None:
        wait_s = self.attempts.wait_s(address)
        if wait_s:
            message = "Too many wrong secrets or links from this address"
            raise Refused(429, message, (("Retry-After", str(wait_s)),))


def _given_secret(asked: Asked) -> str:
    kind, _, token = asked.header("authorization").partition(" ")
    bearer = token.strip() if kind.lower() == "bearer" else ""
    return asked.header(SECRET_HEADER) or bearer
