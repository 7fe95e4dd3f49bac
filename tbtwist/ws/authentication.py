"""Who opens a connection: the identity behind a handshake (contract §4).

In this order: API key, Bearer token (in its header, or as the subprotocol
``bearer.TOKEN``, for browsers can send no headers), cookie, and
``session_token=`` or ``token=`` in the query. Tokens in the query and the
subprotocol may be JWTs or the values of signed cookies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

from tbtwist.auth.identity import BadCredentials, Found, Identifier, Identity
from tbtwist.ws.handshake import Head
from tbtwist.ws.opening import subprotocols

_QUERY_NAMES: Final = frozenset({"session_token", "token"})
_MAX_TOKENS: Final = 4
_PREFIX: Final = "bearer."


async def identify(head: Head, identifier: Identifier, now: float) -> Found:
    """Return whom a handshake proves.

    A key, Bearer token or subprotocol that is no good is refused. A query token
    that is no good is not: clients of ToolBoxV2 always append the one they have,
    also when it has expired; it proves nobody.

    Raises:
        TbtwistError: nobody could say whose a token is.
    """
    spoken = _spoken_token(head)
    if spoken is not None:
        return await _by_token(spoken, identifier, now)
    found = await identifier.identify(head.headers, now)
    if isinstance(found, BadCredentials) or found.authenticated(now):
        return found
    for token in islice(_query_tokens(head.query), _MAX_TOKENS):
        proven = await _by_token(token, identifier, now)
        if isinstance(proven, Identity) and proven.authenticated(now):
            return proven
    return found


def subprotocol(offered: Sequence[str]) -> str | None:
    """Return which subprotocol to agree to: browsers leave if there is none.

    The first is agreed to, since messages are the application's business. One that
    carries a token is not, unless it is the only one: it would be sent back.
    """
    plain = [name for name in offered if not name.lower().startswith(_PREFIX)]
    return next(iter([*plain, *offered]), None)


def _spoken_token(head: Head) -> str | None:
    if "authorization" in head.headers:
        return None
    offered = (n for n in subprotocols(head) if n.lower().startswith(_PREFIX))
    tokens = [name[len(_PREFIX) :] for name in offered]
    return tokens[0] if tokens else None


async def _by_token(token: str, identifier: Identifier, now: float) -> Found:
    """Return whose a token is that may be a cookie's value, a cookie, or a JWT."""
    found = identifier.by_cookie_value(token, now) or identifier.by_cookie(token, now)
    if found is not None:
        return found
    if "=" in token or not token:
        return BadCredentials("this is no token")
    return await identifier.by_token(token, now)


def _query_tokens(query: str) -> list[str]:
    return [value for name, value in parse_qsl(query) if name in _QUERY_NAMES]
