"""The session's own paths: ToolBoxV2's clients log in and out with them (R2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from twisted.logger import Logger

from tbtwist.api.context import Callers
from tbtwist.api.request import Request
from tbtwist.api.response import Response, json_response
from tbtwist.apps.application import Application
from tbtwist.apps.runner import Runner
from tbtwist.auth.identity import bearer_token
from tbtwist.auth.session import SessionData
from tbtwist.config.schema import Settings
from tbtwist.errors import Refused, TbtwistError

_log = Logger()

VALID: Final = "Valid Session"
_INVALID: Final = "Invalid Auth data."
_TOKEN_KEYS: Final = ("session_token", "token", "Jwt_claim")


@attrs.frozen
class Accounts:
    """Answers the four paths. Some of it is known to the application alone."""

    _app: Application
    _runner: Runner
    _callers: Callers
    _settings: Settings

    async def validate(self, request: Request) -> Response:
        """Turn a token into a cookie: ``POST /validateSession``."""
        token = self._token(request)
        if not token:
            return _answer("No authentication token provided", status=401)
        try:
            caller = await self._callers.by_token(token)
        except Refused:
            return _answer("Invalid or expired session", status=401)
        response = _answer(
            data=_facts(caller.session), data_info=VALID, help_text=VALID
        )
        return response.with_headers(("Set-Cookie", self._callers.cookie_of(caller)))

    async def is_valid(self, request: Request) -> Response:
        """Say whether the caller is somebody: ``GET /IsValidSession``."""
        if not await self._who(request):
            return _answer(_INVALID, status=401)
        return _answer(data_info=VALID, help_text=VALID)

    async def logout(self, request: Request) -> Response:
        """End the session everywhere: ``POST /web/logoutS``."""
        caller = await self._callers.identify(request)
        if not caller.known:
            return _answer(_INVALID, status=403)
        await self._ask("logout", token=self._token(request))
        cleared = await self._callers.log_out(caller, request)
        headers = (("Location", "/web/logout"), ("Set-Cookie", cleared))
        return Response(302, headers)

    async def user_data(self, request: Request) -> Response:
        """Return what the application knows of the caller: ``GET /api_user_data``."""
        session = await self._who(request)
        if session is None:
            return _answer("Unauthorized: Session invalid.", status=401)
        user_id = session.user_id or session.provider_user_id
        if not user_id:
            return _answer("No user ID found in session.", status=400)
        data = await self._ask("get_user_data", user_id=user_id)
        if not data:
            return _answer("User data not found.", status=404)
        info = "User data retrieved"
        return _answer(data=data, data_info=info, data_type="json", help_text="Success")

    async def _who(self, request: Request) -> SessionData | None:
        """Return the caller's session; None for nobody, whatever they sent."""
        try:
            caller = await self._callers.identify(request)
        except Refused:
            return None
        return caller.session if caller.known else None

    async def _ask(self, name: str, **kwargs: object) -> Any:
        """Return what the application's auth module says; None if it says nothing."""
        function = self._app.find(self._settings.toolbox.auth_module, name)
        if function is None:
            return None
        try:
            result = await self._runner.run(
                lambda: self._app.call(function, kwargs),
                timeout_s=self._settings.http_worker.timeout,
            )
        except TbtwistError as error:
            _log.warn("{name} failed: {error}", name=name, error=str(error))
            return None
        return None if result.is_error() else result.get()

    def _token(self, request: Request) -> str:
        """Return the token in the body, else the Bearer token."""
        body = request.parsed.json
        for key in _TOKEN_KEYS if isinstance(body, Mapping) else ():
            if body.get(key):
                return str(body[key])
        header = self._settings.auth.bearer_header.lower()
        return bearer_token(request.headers.get(header)) or ""


def _facts(session: SessionData) -> dict[str, Any]:
    return {
        "authenticated": True,
        "session_id": session.session_id,
        "user_id": session.user_id,
        "user_name": session.user_name,
        "level": session.level,
    }


def _answer(
    error: str = "none",
    *,
    status: int = 200,
    data: object = None,
    data_info: str | None = None,
    data_type: str | None = None,
    help_text: str = "",
) -> Response:
    """Return the envelope of these paths, which differs from that of calls."""
    result = {
        "data_to": "API",
        "data_info": data_info,
        "data": data,
        "data_type": data_type,
    }
    info = {"exec_code": 0, "help_text": help_text}
    value = {
        "error": error,
        "origin": None,
        "result": result if data_info else None,
        "info": info if help_text else None,
    }
    return json_response(value, status)
