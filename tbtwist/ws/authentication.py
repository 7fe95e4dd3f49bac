"""Who opens a connection: the session behind a handshake (contract §4)."""

from __future__ import annotations

from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.session import SessionData
from tbtwist.ws.handshake import Head

_QUERY_NAMES: Final = frozenset({"session_token", "token"})
_MAX_TOKENS: Final = 4


def identify(head: Head, cookies: SessionCookies, now: float) -> SessionData | None:
    """Return the session that a handshake proves, or None for nobody.

    The cookie comes first, then ``session_token=`` or ``token=`` in the query,
    whose value is a cookie's (``tb_session=…`` or what follows the ``=``). A
    query token that is not ours does not refuse the client: clients of
    ToolBoxV2 append one always.
    """
    session = cookies.read(head.headers.get("cookie"), now)
    if session is not None:
        return session
    for token in islice(_query_tokens(head.query), _MAX_TOKENS):
        session = cookies.read_value(token, now) or cookies.read(token, now)
        if session is not None:
            return session
    return None


def _query_tokens(query: str) -> list[str]:
    return [value for name, value in parse_qsl(query) if name in _QUERY_NAMES]
