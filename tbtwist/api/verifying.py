"""Whose a Bearer token is: our own word first, the application's last (R2.4)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from tbtwist.apps.application import Application
from tbtwist.apps.functions import Function
from tbtwist.apps.runner import Runner
from tbtwist.auth.identity import BadCredentials, Found, Identity
from tbtwist.auth.session import ADMIN, USER, SessionData
from tbtwist.auth.tokens import (
    LEEWAY_S,
    SHARED,
    Foreign,
    Header,
    PublicKey,
    Rejected,
    TokenRules,
    Verdict,
    read_header,
    token_id,
    unproven_end,
    verify_public,
    verify_shared,
)
from tbtwist.config.schema import Toolbox

VERIFY_TIMEOUT_S: Final = 5.0
CACHE_S: Final = 5.0
"""How long the application's yes is believed, and so how late its no may be."""
CACHE_ENTRIES: Final = 1024
_OPAQUE_AGE_S: Final = 900.0
"""How long a session of a token without ``exp`` lasts: an access token's life (R2.4)."""
_LEVELS: Final = frozenset({ADMIN, USER, 2})
_UNKNOWN: Final = BadCredentials("the token is not recognised")


class Keys(Protocol):
    """The public keys of a token issuer."""

    async def key(self, kid: str) -> PublicKey | None:
        """Return the key called ``kid``; None if there is no such key.

        Raises:
            KeysUnavailable: nobody can say.
        """


class NoKeys:
    """No issuer is configured: there are no keys."""

    async def key(self, _kid: str) -> PublicKey | None:
        """Return None."""
        return None


@attrs.define(eq=False)
class TokenVerifier:
    """Verifies Bearer tokens (a `tbtwist.auth.identity.Verify`).

    A token with a good signature that is expired, a refresh token or for others
    is refused whatever the application thinks. Where the application has
    ``toolbox.auth_module`` with ``toolbox.verify_session_func``, that decides about
    all others, in its time limit, also about those that nobody here recognises.
    """

    _app: Application
    _runner: Runner
    _toolbox: Toolbox
    _rules: TokenRules
    _keys: Keys
    _now: Callable[[], float]
    _cache: OrderedDict[bytes, tuple[float, Found]] = attrs.field(
        factory=OrderedDict, init=False, repr=False
    )

    async def verify(self, token: str) -> Found:
        """Return whose ``token`` is.

        Raises:
            KeysUnavailable: its issuer's keys could not be fetched.
            DeadlinePassed: the application did not answer in time.
        """
        verdict = await self._own_verdict(token)
        if isinstance(verdict, Rejected):
            return BadCredentials(verdict.reason)
        last_word = self._app.find(
            self._toolbox.auth_module, self._toolbox.verify_session_func
        )
        if last_word is not None and token:
            return await self._remembered(last_word, token, verdict)
        return _UNKNOWN if isinstance(verdict, Foreign) else Identity(verdict, LEEWAY_S)

    async def _own_verdict(self, token: str) -> Verdict:
        header = read_header(token)
        if not isinstance(header, Header):
            return header
        if header.algorithm == SHARED:
            return verify_shared(token, self._rules, self._now())
        key = await self._keys.key(header.kid)
        if key is None:
            return Foreign()
        return verify_public(token, key, self._rules, self._now())

    # --- the application's word ------------------------------------------------

    async def _remembered(
        self, function: Function, token: str, verdict: SessionData | Foreign
    ) -> Found:
        name, now = hashlib.sha256(token.encode()).digest(), self._now()
        until, found = self._cache.get(name, (0.0, _UNKNOWN))
        if now < until <= now + CACHE_S:
            return found
        found = await self._asked(function, token, verdict)
        if isinstance(found, Identity):
            self._cache[name] = (now + CACHE_S, found)
            self._cache.move_to_end(name)
            if len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)
        return found

    async def _asked(
        self, function: Function, token: str, verdict: SessionData | Foreign
    ) -> Found:
        arguments = {"token": token, "session_token": token}
        result = await self._runner.run(
            lambda: self._app.call(function, arguments), timeout_s=VERIFY_TIMEOUT_S
        )
        data = None if result.is_error() else result.get()
        if not isinstance(data, Mapping):
            return _UNKNOWN
        if not (data.get("authenticated") is True or data.get("valid") is True):
            return _UNKNOWN
        base = self._unproven(token) if isinstance(verdict, Foreign) else verdict
        session = _confirmed(base, data)
        return _UNKNOWN if session is None else Identity(session, LEEWAY_S)

    def _unproven(self, token: str) -> SessionData:
        """Return what is known of a token that only the application recognises."""
        now = self._now()
        return SessionData(
            session_id=token_id(token),
            user_name="user",
            level=USER,
            spec="jwt",
            exp=unproven_end(token) or now + _OPAQUE_AGE_S,
            validated=True,
            anonymous=False,
        )


def _confirmed(base: SessionData, data: Mapping[str, Any]) -> SessionData | None:
    """Return ``base`` with what the application says of its user."""
    user_id = str(data.get("user_id") or base.user_id)
    level = data.get("level", base.level)
    if not user_id or isinstance(level, bool) or level not in _LEVELS:
        return None
    name = str(data.get("user_name") or data.get("username") or base.user_name)
    return attrs.evolve(
        base,
        user_id=user_id,
        user_name=name,
        level=level,
        live_data={**base.live_data, "level": str(level)},
    )
