"""The same call as a bare ASGI application, for uvicorn: a lower bound.

It verifies the cookie, calls the same function and encodes the same envelope with
the same code. All else that a worker of ours does for a call is left out: routes,
the function's level, deadlines, request ids, CORS, figures, revoked sessions.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import time
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from benchmarks.application import greet
from tbtwist.apps.encoding import to_json
from tbtwist.apps.request import AppSession, RequestData
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.secrets import load_secrets
from tbtwist.auth.signing import Signer
from tbtwist.config.loading import load

Message = Mapping[str, Any]
_PATH: Final = "/api/Bench/greet"
_ORIGIN: Final = ["Bench", "greet", "tb"]


@attrs.frozen(eq=False)
class Application:
    """Answers the one path of the benchmark."""

    _cookies: SessionCookies

    async def __call__(
        self,
        scope: Message,
        _receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        status, body = await self._answer(scope)
        length = str(len(body)).encode("ascii")
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message) -> tuple[int, bytes]:
        if scope["path"] != _PATH:
            return 404, b"{}"
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        now = time()
        session = self._cookies.read(cookie, now)
        if session is None or not session.authenticated(now):
            return 401, b"{}"
        arguments = dict(parse_qsl(scope["query_string"].decode("ascii")))
        data = RequestData(session=AppSession.of(session))
        result = await greet(**arguments, request=data)
        return 200, to_json(attrs.evolve(result, origin=_ORIGIN).as_dict())


def from_environ() -> Application:
    """Return the application with the secret and cookie that are configured."""
    settings = load(None, os.environ, cwd=Path.cwd(), home=Path.home()).settings
    data_dir = Path(settings.data_dir)
    keys = load_secrets(settings, data_dir=data_dir, random=secrets.token_bytes)
    return Application(
        SessionCookies(Signer(keys), settings.session, settings.cookie_secure)
    )
