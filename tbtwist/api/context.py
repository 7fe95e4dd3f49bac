"""Between the cookie and the function: who calls, and what became of them."""

from __future__ import annotations

from collections.abc import Callable

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
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.session import SessionData, anonymous_session, authenticated_session
from tbtwist.identity import RandomBytes


@attrs.frozen
class Caller:
    """Who a request comes from."""

    session: SessionData
    subject: Subject


@attrs.frozen
class Callers:
    """Finds out who calls, and turns a login or logout into a cookie."""

    _cookies: SessionCookies
    _now: Callable[[], float]
    _random: RandomBytes

    def identify(self, request: Request) -> Caller:
        """Return who calls: by the cookie, else nobody with a fresh id."""
        now = self._now()
        found = self._cookies.read(request.headers.get("cookie"), now)
        session = found or anonymous_session(self._random)
        subject = Subject(session.level, authenticated=session.authenticated(now))
        return Caller(session, subject)

    def cookie_for(self, session: AppSession, request: Request) -> str | None:
        """Return the Set-Cookie that a function's login or logout asks for."""
        match session.change:
            case None:
                return None
            case LoggedOut():
                return self._cookies.clear_cookie()
            case LoggedIn() as login:
                return self._fresh(login, request)

    def _fresh(self, login: LoggedIn, request: Request) -> str:
        """Return a cookie under a new session id: an old one may be known to others."""
        now = self._now()
        session = authenticated_session(
            login.user_id,
            login.user_name,
            level=login.level,
            exp=self._cookies.ends_at(0, now),
            random=self._random,
            extra={"client_ip": request.client_ip, "created_at": now},
        )
        return self._cookies.set_cookie(session, now)


def request_data(
    request: Request, arguments: Arguments, session: SessionData
) -> RequestData:
    """Return what a function that takes ``request`` gets (R1.3)."""
    raw = request.parsed.raw
    info = RequestInfo(
        method=request.method,
        path=request.path,
        content_type=request.headers.get("content-type", ""),
        headers=Headers(request.headers),
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
    )
