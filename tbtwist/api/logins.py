"""Logins elsewhere that end here: OAuth, and links in mails (R2.3, contract §10).

The work is the application's; its ``CloudM.Auth`` functions are asked. Here is
what a browser must not be talked into: taking tokens to a stranger's page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import attrs

from tbtwist.api.arguments import read_arguments
from tbtwist.api.context import Callers
from tbtwist.api.cors import CorsPolicy
from tbtwist.api.loginpage import Login, failed as failed_page, success
from tbtwist.api.request import Request
from tbtwist.api.response import Response, json_response
from tbtwist.api.results import failed
from tbtwist.api.routes import Route
from tbtwist.apps.application import Application
from tbtwist.apps.functions import Function
from tbtwist.apps.request import LoggedIn
from tbtwist.apps.result import Result
from tbtwist.apps.runner import Runner
from tbtwist.auth.session import ADMIN, USER
from tbtwist.config.schema import Settings
from tbtwist.errors import Refused

PROVIDERS: Final = ("discord", "google")
_ONLY_GET: Final = ("GET",)
"""A HEAD would use up the code or the link, and show nothing for it."""
_LEVELS: Final = (ADMIN, USER, 2)
_FAILED: Final = "Authentication failed"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\\\s]+\Z")


@attrs.frozen
class Logins:
    """Answers ``/auth/…`` with the help of the application."""

    _app: Application
    _runner: Runner
    _callers: Callers
    _settings: Settings
    _cors: CorsPolicy

    def routes(self) -> Mapping[str, Route]:
        """Return the paths for which the application has a function.

        The others stay free: a mounted site may have its own.
        """
        asked = {"/auth/magic/verify": ("verify_magic_link", self._link)}
        for name in PROVIDERS:
            asked[f"/auth/{name}/url"] = (f"get_{name}_auth_url", self._address)
            asked[f"/auth/{name}/callback"] = (f"login_{name}", self._callback)
        module = self._settings.toolbox.auth_module
        found = (
            (path, self._app.find(module, name), handler)
            for path, (name, handler) in asked.items()
        )
        return {
            path: Route(_ONLY_GET, partial(handler, function), is_session=True)
            for path, function, handler in found
            if function is not None
        }

    async def _address(self, function: Function, request: Request) -> Response:
        """Tell where the login begins: ``GET /auth/{provider}/url``."""
        query = self._query(request)
        given = query.get("redirect_after", "")
        if given:
            self._elsewhere(given, request)
        result = await self._ask(function, {"redirect_after": given} if given else {})
        return failed(result) if result.is_error() else json_response(result.get())

    async def _callback(self, function: Function, request: Request) -> Response:
        """Take what the provider sends: ``GET /auth/{provider}/callback``."""
        query = self._query(request)
        if not query.get("code"):
            raise Refused(400, "Authorization code required")
        if not query.get("state"):
            raise Refused(400, "State required")
        arguments = {"code": query["code"], "state": query["state"]}
        return await self._ended(await self._ask(function, arguments), request)

    async def _link(self, function: Function, request: Request) -> Response:
        """Take the token of a mailed link: ``GET /auth/magic/verify``."""
        token = self._query(request).get("token")
        if not token:
            raise Refused(400, "Token required")
        return await self._ended(await self._ask(function, {"token": token}), request)

    async def _ended(self, result: Result, request: Request) -> Response:
        """Make the browser somebody, if the application says so."""
        if result.is_error():
            return failed_page(result.info.help_text or _FAILED)
        data = result.get()
        login = _login(data)
        if login is None:
            return failed_page(_FAILED)
        elsewhere = self._elsewhere(str(data.get("redirect_after") or ""), request)
        change = LoggedIn(login.user_id, login.user_name, login.level, login.user_id)
        cookie = await self._callers.log_in(change, request)
        return success(login, elsewhere).with_headers(("Set-Cookie", cookie))

    def _elsewhere(self, given: str, request: Request) -> str:
        """Return the origin to go on to; empty for our own.

        Raises:
            Refused: 403, it is none of ours and none that was configured.
        """
        origin = given.rstrip("/")
        scheme = "https" if request.secure else "http"
        if not origin or origin == f"{scheme}://{request.headers.get('host', '')}":
            return ""
        if not _ORIGIN.match(origin) or not self._cors.allows(origin):
            raise Refused(403, "redirect_after is not in http_worker.cors_origins")
        return origin

    def _query(self, request: Request) -> Mapping[str, str]:
        """Return the parameters; of a repeated one the first."""
        limit = self._settings.http_worker.max_form_fields
        query = read_arguments(request, limit).query
        return {k: v[0] if isinstance(v, list) else str(v) for k, v in query.items()}

    async def _ask(self, function: Function, kwargs: Mapping[str, object]) -> Result:
        return await self._runner.run(
            lambda: self._app.call(function, kwargs),
            timeout_s=self._settings.http_worker.timeout,
        )


def _login(data: Any) -> Login | None:
    """Return who the application says this is; None if it says nobody."""
    if not isinstance(data, Mapping) or data.get("authenticated") is False:
        return None
    login = Login.read(data)
    level: object = login.level
    usable = not isinstance(level, bool) and level in _LEVELS
    return login if login.user_id and usable else None
