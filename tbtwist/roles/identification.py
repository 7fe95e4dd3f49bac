"""Who can be identified, and how, in an http worker and for a ws worker.

Cookies and API keys are checked where they arrive. Tokens are checked by http
workers only, which have the application that has the last word about them; a
ws worker asks one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred

from tbtwist.api.verifying import Keys, NoKeys, TokenVerifier
from tbtwist.apps.application import Application
from tbtwist.apps.runner import Runner
from tbtwist.auth.identity import BadCredentials, Found, Identifier, Identity, Verify
from tbtwist.auth.jwks import KeyCache, Source
from tbtwist.auth.secrets import token_secrets
from tbtwist.auth.session import from_json_bytes
from tbtwist.auth.tokens import TokenRules
from tbtwist.boundaries import EventBus, IncomingCall
from tbtwist.net.keysets import KeySetFetcher, https_policy
from tbtwist.roles.process import Process
from tbtwist.roles.sessions import Sessions

METHOD: Final = "session.verify"
_TIMEOUT_S: Final = 10.0


class HttpIdentification:
    """Identifies for an http worker, and answers ws workers."""

    def __init__(
        self, process: Process, sessions: Sessions, app: Application, runner: Runner
    ) -> None:
        settings = process.settings
        self._cache = _key_cache(process)
        keys: Keys = NoKeys() if self._cache is None else self._cache
        secrets = token_secrets(settings, sessions.secrets)
        rules = TokenRules.from_settings(settings.auth, secrets)
        self._verifier = TokenVerifier(
            app, runner, settings.toolbox, rules, keys, process.now
        )
        self.identifier = _identifier(process, sessions, self._verifier.verify)

    def serve(self, bus: EventBus) -> None:
        """Answer ws workers that ask whose a token is."""
        bus.serve(METHOD, self._answer)

    async def _answer(self, call: IncomingCall) -> Mapping[str, Any]:
        found = await self._verifier.verify(str(call.payload["token"]))
        if isinstance(found, BadCredentials):
            return {"reason": found.reason}
        return {"session": found.session.to_json_bytes(), "leeway_s": found.leeway_s}

    def close(self) -> None:
        """Fetch no more keys."""
        if self._cache is not None:
            self._cache.close()


def ws_identifier(process: Process, sessions: Sessions, bus: EventBus) -> Identifier:
    """Return what identifies for a ws worker."""
    return _identifier(process, sessions, _Asking(bus).verify)


@attrs.frozen
class _Asking:
    """Asks any http worker whose a token is (a `Verify`)."""

    _bus: EventBus

    async def verify(self, token: str) -> Found:
        """Return what the http worker says; fails as `EventBus.call` does."""
        asking: Deferred[Mapping[str, Any]] = self._bus.call(
            "http", METHOD, {"token": token}, timeout_s=_TIMEOUT_S
        )
        answer = await asking
        session = from_json_bytes(answer.get("session", b""))
        if session is None:
            return BadCredentials(str(answer.get("reason", "")))
        return Identity(session, float(answer["leeway_s"]))


def _identifier(process: Process, sessions: Sessions, verify: Verify) -> Identifier:
    auth = process.settings.auth
    return Identifier.of(sessions.cookies, sessions, verify, auth, process.random)


def _key_cache(process: Process) -> KeyCache | None:
    auth = process.settings.auth
    source = Source.from_settings(auth)
    if source is None:
        return None
    ca_file = Path(auth.jwks_ca_file) if auth.jwks_ca_file else None
    fetcher = KeySetFetcher(
        process.reactor, source.url, source.bearer, https_policy(ca_file)
    )
    return KeyCache(fetcher, process.reactor.seconds)
