"""The core: a request in, a response out (contract §2).

Nothing here knows a socket or a thread. `Dispatcher.handle` awaits what its
runner returns, so it runs as a Deferred's coroutine on the reactor and as a
coroutine of asyncio under other WSGI servers.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from tbtwist.api import failures, routes
from tbtwist.api.arguments import Arguments, read_arguments
from tbtwist.api.bodies import BodyLimits, BodyReader
from tbtwist.api.context import Caller, Callers, request_data
from tbtwist.api.cors import CorsPolicy
from tbtwist.api.encoding import to_json
from tbtwist.api.health import Health
from tbtwist.api.request import Request
from tbtwist.api.response import Response
from tbtwist.api.results import to_response
from tbtwist.apps.application import Application
from tbtwist.apps.functions import Function
from tbtwist.apps.request import RequestData
from tbtwist.apps.runner import Runner
from tbtwist.apps.uploads import UploadFolder
from tbtwist.auth.access import AccessRules, decide
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.identity import Identifier, by_cookie_alone
from tbtwist.config.schema import Settings
from tbtwist.errors import Refused
from tbtwist.identity import RandomBytes

_log = Logger()

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_CALL_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@attrs.define(eq=False)
class Dispatcher:
    """Answers every path that `owns` is true for; an unreadable one is empty.

    ``now`` is the wall clock, ``random`` a source of randomness. Without an
    ``identifier``, cookies and API keys count, and tokens do not.
    """

    app: Application
    runner: Runner
    cookies: SessionCookies
    rules: AccessRules
    settings: Settings
    now: Callable[[], float]
    health: Health
    random: RandomBytes = secrets.token_bytes
    identifier: Identifier | None = None
    uploads: UploadFolder = attrs.field(init=False)
    _limits: BodyLimits = attrs.field(init=False)
    _routes: routes.Routes = attrs.field(init=False)
    _cors: CorsPolicy = attrs.field(init=False)
    _callers: Callers = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.uploads = UploadFolder(Path(self.settings.data_dir) / "uploads")
        self._limits = BodyLimits.from_settings(self.settings.http_worker)
        self._routes = routes.Routes(self.settings.toolbox.api_prefix)
        self._cors = CorsPolicy.from_settings(self.settings)
        identifier = self.identifier or by_cookie_alone(
            self.cookies, self.settings.auth, self.now, self.random
        )
        self._callers = Callers(identifier, self.now, self.random)

    def owns(self, path: str) -> bool:
        """Whether ``path`` (percent-decoded) is answered here."""
        return self._routes.owns(path)

    def body_reader(self, head: Request) -> BodyReader:
        """Return what reads the body of ``head``; `Refused` if none may come."""
        return BodyReader(head, self._limits, self.uploads)

    async def handle(self, request: Request) -> Response:
        """Answer ``request``; only a cancellation raises."""
        request_id = self._request_id(request)
        try:
            response = await self._answer(request)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            response = failures.from_error(error) or _surprise(request_id)
        return self._complete(request, response, request_id)

    def refuse(self, request: Request, error: Exception) -> Response:
        """Return the answer to a request that could not even be read."""
        response = failures.from_error(error) or failures.internal_error()
        return self._complete(request, response, self._request_id(request))

    def _complete(
        self, request: Request, response: Response, request_id: str
    ) -> Response:
        origin = self._cors.headers(request)
        return response.with_headers(("X-Request-ID", request_id), *origin)

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if _REQUEST_ID.match(given) else self.random(8).hex()

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return self._cors.preflight(request)
        if request.path in routes.BUILT_IN:
            return self._built_in(request)
        _check_path(request.path)
        if not self.owns(request.path):
            return failures.failure(404, "Not Found")
        return await self._call(request)

    # --- the worker's own paths ----------------------------------------------

    def _built_in(self, request: Request) -> Response:
        if request.effective_method != "GET":
            return failures.method_not_allowed(("GET", "HEAD"))
        match request.path:
            case routes.HEALTH:
                return self._healthy()
            case routes.READY:
                return self._readiness()
            case routes.IP:
                return _json({"ip": request.client_ip})
            case _:
                return _json({"status": "pong", "timestamp": self.now()})

    def _healthy(self) -> Response:
        return _json(
            {
                "status": "healthy",
                "worker_id": self.health.worker_id,
                "pid": self.health.pid,
                "timestamp": self.now(),
            }
        )

    def _readiness(self) -> Response:
        status = self.health.status
        values = {
            "status": status,
            "bus": self.health.bus_connected,
            "worker_id": self.health.worker_id,
        }
        return _json(values, 200 if status == "ready" else 503)

    # --- module calls --------------------------------------------------------

    async def _call(self, request: Request) -> Response:
        if request.effective_method not in _CALL_METHODS:
            return failures.method_not_allowed(tuple(sorted(_CALL_METHODS)))
        module, name = self._routes.called(request.path)
        function = self.app.find(module, name)
        if function is None:
            return failures.not_found(module, name)
        caller = await self._callers.identify(request)
        method = request.effective_method
        decision = decide(self.rules, caller.subject, function.target, method)
        refused = failures.from_decision(decision, module, name)
        if refused is not None:
            return refused
        arguments = read_arguments(request, self._limits.max_fields)
        data, kwargs = _call_arguments(function, request, arguments, caller)
        result = await self.runner.run(
            lambda: self.app.call(function, kwargs),
            timeout_s=self.settings.http_worker.timeout,
        )
        cookie = await self._callers.cookie_for(caller, data.session, request)
        response = to_response(result)
        return response.with_headers(("Set-Cookie", cookie)) if cookie else response


def _check_path(path: str) -> None:
    if not path:
        raise Refused(400, "The path is not UTF-8")


def _call_arguments(
    function: Function, request: Request, arguments: Arguments, caller: Caller
) -> tuple[RequestData, dict[str, Any]]:
    """Return the request as functions see it, and the arguments of this call."""
    data = request_data(request, arguments, caller.session)
    kwargs = arguments.as_kwargs()
    if function.wants_request:
        kwargs["request"] = data
    return data, kwargs


def _json(value: object, status: int = 200) -> Response:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Response(status, headers, to_json(value))


def _surprise(request_id: str) -> Response:
    _log.failure("request {request_id} failed", request_id=request_id)
    return failures.internal_error()
