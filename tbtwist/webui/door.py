"""Decides who answers: the page's files, the login, or the API for whom may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import attrs
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from tbtwist.api import failures
from tbtwist.api.response import Response, json_response
from tbtwist.errors import Refused
from tbtwist.webui.api import LEGACY_PREFIX, Api, refusal
from tbtwist.webui.asked import Asked
from tbtwist.webui.gate import CSRF_HEADER, SECRET_HEADER, Caller, Gate

_log = Logger()

EVENTS: Final = "/api/events"
_READING: Final = frozenset({"GET", "HEAD"})
_FORBIDDEN: Final = 403


class Record(Protocol):
    """Keeps who did what, as `AuditLog.write`."""

    def __call__(self, *, who: str, what: str, outcome: str, reason: str = "") -> None:
        """Keep one record."""


@attrs.frozen
class LiveFeed:
    """The answer to somebody who may read the feed, as long as ``still_in`` says so."""

    still_in: Callable[[], bool]


@attrs.frozen(eq=False)
class Door:
    """Answers every request; `LiveFeed` for one that wants the feed."""

    _gate: Gate
    _api: Api
    _pages: Mapping[str, Response]
    _record: Record

    async def answer(self, asked: Asked) -> Response | LiveFeed:
        """Answer a request; nothing but a cancellation is raised."""
        try:
            return await self._answer(asked)
        except Refused as error:
            if error.status == _FORBIDDEN and _worth_a_record(asked):
                what = f"{asked.method} {asked.path}"
                self._record(
                    who=asked.address,
                    what=what,
                    outcome="refused",
                    reason=error.message,
                )
            return refusal(error)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - every request gets an answer
            _log.failure("a request to the manager failed")
            return failures.internal_error()

    async def _answer(self, asked: Asked) -> Response | LiveFeed:
        self._gate.check_place(asked)
        if asked.path in {"/login", "/logout"}:
            return self._through_the_door(asked)
        page = self._pages.get(asked.path)
        if page is not None:
            reads = asked.method in _READING
            return page if reads else failures.method_not_allowed(("GET",))
        caller = self._gate.admit(asked)
        if asked.path.removeprefix(LEGACY_PREFIX) == EVENTS and asked.method == "GET":
            return LiveFeed(self._gate.still_in(asked))
        return await self._api.answer(asked, caller)

    def _through_the_door(self, asked: Asked) -> Response:
        if asked.method != "POST":
            return failures.method_not_allowed(("POST",))
        return self._login(asked) if asked.path == "/login" else self._logout(asked)

    def _login(self, asked: Asked) -> Response:
        link = asked.fields().get("token")
        token, visit = self._gate.enter(
            link if isinstance(link, str) else "", asked.address
        )
        who = f"browser {visit.name}"
        self._record(who=who, what=f"log in from {asked.address}", outcome="done")
        answer = json_response({"csrf_token": visit.csrf, "who": who})
        return answer.with_headers(self._cookie(token))

    def _logout(self, asked: Asked) -> Response:
        caller: Caller = self._gate.admit(asked)
        self._gate.visitors.leave(asked.cookie(self._gate.cookie))
        self._record(who=caller.name, what="log out", outcome="done")
        expired = ("Set-Cookie", f"{self._gate.cookie}=; Max-Age=0; {_FLAGS}")
        return json_response({"status": "ok"}).with_headers(expired)

    def _cookie(self, token: str) -> tuple[str, str]:
        return ("Set-Cookie", f"{self._gate.cookie}={token}; {_FLAGS}")


_FLAGS: Final = "Path=/; HttpOnly; SameSite=Strict"


def _worth_a_record(asked: Asked) -> bool:
    """Whether somebody tried something, and not only looked in."""
    tried = (SECRET_HEADER, "authorization", CSRF_HEADER)
    return asked.changes or any(asked.header(name) for name in tried)
