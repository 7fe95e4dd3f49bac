"""Between the cookie and the function: who calls, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from tbtwist.api.arguments import Arguments
from tbtwist.api.bodies import FORMS
from tbtwist.api.request import Request
from tbtwist.apps.request import (
    AppSession,
    Headers,
    LoggedIn,
    LoggedOut,
    RequestData,
    RequestInfo,
)
from tbtwist.auth.access import Subject
from tbtwist.auth.identity import BadCredentials, Found, Identifier
from tbtwist.auth.session import SessionData, authenticated_session
from tbtwist.errors import Refused
from tbtwist.identity import RandomBytes

_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)


@attrs.frozen
class Caller:
    """Who a request comes from."""

    session: SessionData
    subject: Subject

    @property
    def known(self) -> bool:
        """Whether this is somebody."""
        return self.subject.authenticated


@attrs.frozen
class Callers:
    """Finds out who calls, and turns a login or logout into a cookie.

    ``now`` is the wall clock.
    """

    _identifier: Identifier
    _now: Callable[[], float]
    _random: RandomBytes

    async def identify(self, request: Request) -> Caller:
        """Return who calls: by API key, Bearer token, cookie, or nobody.

        Raises:
            Refused: 401 for a key or token that is no good.
        """
        return self._caller(
            await self._identifier.identify(request.headers, self._now())
        )

    async def by_token(self, token: str) -> Caller:
        """Return whose Bearer token this is, wherever it was found.

        Raises:
            Refused: 401 for one that is no good.
        """
        return self._caller(await self._identifier.by_token(token, self._now()))

    def _caller(self, found: Found) -> Caller:
        if isinstance(found, BadCredentials):
            raise Refused(401, found.reason, _CHALLENGE)
        return Caller(found.session, found.subject(self._now()))

    async def cookie_for(
        self, caller: Caller, change: LoggedIn | LoggedOut, request: Request
    ) -> str:
        """Return the Set-Cookie that a function's login or logout asks for."""
        if isinstance(change, LoggedOut):
            return await self.log_out(caller, request)
        return await self.log_in(change, request)

    async def log_in(self, login: LoggedIn, request: Request) -> str:
        """Make the browser somebody; return the Set-Cookie that does it."""
        await self._end_cookie(request)
        return self._fresh(login, request)

    async def log_out(self, caller: Caller, request: Request) -> str:
        """End the caller's session everywhere; return the Set-Cookie for the browser.

        When this returns, every worker knows or will within a second, also one that
        is started later.
        """
        await self._identifier.revoker.revoke(caller.session)
        await self._end_cookie(request)
        return self._identifier.cookies.clear_cookie()

    def cookie_of(self, caller: Caller) -> str:
        """Return the Set-Cookie for a caller who has shown a token.

        It ends with the token or at the cookie's maximum age, and has the token's
        session id, so that logging out ends both.
        """
        return self._identifier.cookies.set_cookie(caller.session, self._now())

    async def _end_cookie(self, request: Request) -> None:
        """End the session in the cookie that is about to be replaced."""
        now = self._now()
        found = self._identifier.by_cookie(request.headers.get("cookie"), now)
        if found is not None and found.authenticated(now):
            await self._identifier.revoker.revoke(found.session)

    def _fresh(self, login: LoggedIn, request: Request) -> str:
        """Return a cookie under a new session id: an old one may be known to others."""
        now = self._now()
        cookies = self._identifier.cookies
        session = authenticated_session(
            login.user_id,
            login.user_name,
            level=login.level,
            exp=cookies.ends_at(0, now),
            random=self._random,
            extra={"client_ip": request.client_ip, "created_at": now},
        )
        known_as = login.provider_user_id
        session = attrs.evolve(
            session,
            provider_user_id=known_as,
            live_data={**session.live_data, "provider_user_id": known_as},
        )
        return cookies.set_cookie(session, now)


def request_data(
    request: Request, arguments: Arguments, session: SessionData
) -> RequestData:
    """Return what a function that takes ``request`` gets (R1.3)."""
    raw = request.parsed.raw
    info = RequestInfo(
        method=request.method,
        path=request.path,
        content_type=request.headers.get("content-type", ""),
        headers=Headers.received(request.headers),
        query_params=arguments.query,
        form_data=arguments.form if request.content_type in FORMS else None,
        body=raw.decode("utf-8", "replace") or None,
        raw_body=raw,
    )
    return RequestData(
        request=info,
        session=AppSession.of(session),
        session_id=session.session_id,
        client_ip=request.client_ip,
        files=arguments.files,
        trace=request.trace,
    )
