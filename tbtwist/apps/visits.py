"""One event of a WebSocket connection, as it comes from the bus, and its route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import attrs
import msgspec

from tbtwist.apps.functions import SocketHandlers
from tbtwist.apps.request import AppSession, RequestData, RequestInfo
from tbtwist.auth.access import Subject
from tbtwist.events import Delivery
from tbtwist.tracing import current_trace

_PREFIX: Final = "/ws/"
_TOKENS: Final = frozenset({"session_token", "token"})
"""Query parameters that say who someone is; handlers get the session instead."""


@attrs.frozen
class Visit:
    """Who is there and what happened; ``body`` is the message just as it came."""

    conn_id: str
    facts: Mapping[str, Any]
    body: bytes = b""
    redelivered: bool = False

    @classmethod
    def of(cls, delivery: Delivery) -> Visit:
        """Read a delivery of the ws workers (contract §4)."""
        item = delivery.item
        return cls(item.conn_id, item.event.payload, item.body, delivery.redelivered)

    @property
    def path(self) -> str:
        """Return the path as the client sent it."""
        return str(self.facts.get("path", ""))

    def payload(self) -> Any:
        """Return the message: bytes, JSON's value, or ``{"raw": text}``."""
        if self.facts.get("binary"):
            return self.body
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {"raw": self.body.decode("utf-8", "replace")}

    def subject(self, now: float) -> Subject:
        """Return who this is to the access rules."""
        return Subject(
            int(self.facts.get("level", 0)), authenticated=self.is_somebody(now)
        )

    def is_somebody(self, now: float) -> bool:
        """Whether the session is somebody's, and has not ended."""
        exp = self.facts.get("exp") or 0
        return bool(self.facts.get("authenticated")) and not 0 < exp <= now

    def session(self) -> dict[str, Any]:
        """Return the session as handlers get it (R3)."""
        keys = ("user_id", "session_id", "user_name", "level")
        known = {key: self.facts.get(key) for key in keys}
        return {"connection_id": self.conn_id, "path": self.path, **known}

    def request(self, now: float) -> RequestData:
        """Return the request as handlers and functions get it (R3)."""
        facts = self.facts
        known = self.is_somebody(now)
        session = AppSession(
            user_id=facts.get("user_id", ""),
            session_id=facts.get("session_id", ""),
            user_name=facts.get("user_name", "anonymous"),
            level=int(facts.get("level", 0)),
            spec="ws",
            exp=facts.get("exp") or 0.0,
            provider_user_id=facts.get("cloudm_user_id", ""),
            validated=known,
            anonymous=not known,
        )
        query = parse_qsl(str(facts.get("query", "")), keep_blank_values=True)
        info = RequestInfo(
            method="WEBSOCKET",
            path=self.path,
            query_params={k: v for k, v in query if k not in _TOKENS},
        )
        return RequestData(info, session, session.session_id, trace=current_trace())


def route(path: str, known: Mapping[str, SocketHandlers]) -> SocketHandlers | None:
    """Return the handlers that ``path`` leads to.

    ``/ws/Module/name`` is looked up as it is, then in any case; ``/ws/name`` leads
    to the first handlers of that name.
    """
    if not path.startswith(_PREFIX):
        return None
    return named(unquote(path[len(_PREFIX) :]).strip("/"), known)


def named(name: str, known: Mapping[str, SocketHandlers]) -> SocketHandlers | None:
    """Return the handlers called ``Module/name``, or just ``name``."""
    if name in known:
        return known[name]
    if "/" not in name:
        fits = (found for found in known.values() if found.name == name)
    else:
        folded = name.casefold()
        fits = (found for key, found in known.items() if key.casefold() == folded)
    return next(fits, None)
