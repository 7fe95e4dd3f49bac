"""The core: a request in, a response out (contract §2).

Nothing here knows a socket or a thread. `Dispatcher.handle` awaits what its
runner returns, so it runs as a Deferred's coroutine on the reactor and as a
coroutine of asyncio under other WSGI servers.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from tbtwist import javascript
from tbtwist.api import failures
from tbtwist.api.accounts import Accounts
from tbtwist.api.bodies import BodyLimits, BodyReader
from tbtwist.api.calls import Calls
from tbtwist.api.clientlogs import ClientLogs
from tbtwist.api.context import Callers
from tbtwist.api.cors import CorsPolicy
from tbtwist.api.figures import Figures, Report
from tbtwist.api.geo import locator
from tbtwist.api.health import Health
from tbtwist.api.insiders import Insiders
from tbtwist.api.logins import Logins
from tbtwist.api.openapi import Description
from tbtwist.api.request import NO_BODY, REQUEST_ID, Request
from tbtwist.api.response import Response
from tbtwist.api.routes import CALL_METHODS, GET, POST, Route, Routes
from tbtwist.api.streams import Stream, Streams
from tbtwist.api.workerpaths import WorkerPaths
from tbtwist.apps.application import Application
from tbtwist.apps.runner import Runner
from tbtwist.apps.uploads import UploadFolder
from tbtwist.auth.access import AccessRules
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.identity import Identifier, by_cookie_alone
from tbtwist.boundaries import BusFigures
from tbtwist.config.schema import Settings
from tbtwist.errors import Refused
from tbtwist.identity import RandomBytes
from tbtwist.tracing import CURRENT

_log = Logger()


@attrs.define(eq=False)
class Dispatcher:
    """Answers every path that `owns` is true for; an unreadable one is empty.

    ``now`` is the wall clock, ``seconds`` one that never goes back, ``random`` a
    source of randomness. Without an ``identifier``, cookies and API keys count, and
    tokens do not. ``bus_figures`` returns the bus' counters, ``ws_messages`` how many
    messages of WebSockets were handled.
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
    bus_figures: Callable[[], BusFigures] = BusFigures
    ws_messages: Callable[[], int] = int
    seconds: Callable[[], float] = time.monotonic
    uploads: UploadFolder = attrs.field(init=False)
    streams: Streams = attrs.field(init=False)
    _figures: Figures = attrs.field(factory=Figures, init=False)
    _limits: BodyLimits = attrs.field(init=False)
    _routes: Routes = attrs.field(init=False)
    _cors: CorsPolicy = attrs.field(init=False)
    _calls: Calls = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self.uploads = UploadFolder(Path(settings.data_dir) / "uploads")
        self.streams = Streams(self.runner, lambda: self.app.pool)
        self._limits = BodyLimits.from_settings(settings.http_worker)
        self._cors = CorsPolicy.from_settings(settings)
        identifier = self.identifier or by_cookie_alone(
            self.cookies, settings.auth, self.now, self.random
        )
        callers = Callers(identifier, self.now, self.random)
        prefix = settings.toolbox.api_prefix
        self._routes = Routes(prefix, self._table(callers))
        self._calls = Calls(
            app=self.app,
            runner=self.runner,
            rules=self.rules,
            callers=callers,
            streams=self.streams,
            random=self.random,
            config=settings.http_worker,
            routes=self._routes,
        )

    def _table(self, callers: Callers) -> Mapping[str, Route]:
        """Return the worker's own paths (R1.2); all else is a call, or nothing."""
        settings = self.settings
        accounts = Accounts(self.app, self.runner, callers, settings)
        worker = WorkerPaths(
            health=self.health,
            report=self._report(),
            description=Description(self.app, self.rules, settings.toolbox.api_prefix),
            insiders=Insiders.parse(settings.http_worker.trusted_proxies),
            locate=locator(settings.geoip_db_path),
            now=self.now,
        )
        logs = ClientLogs(self.now)
        logins = Logins(self.app, self.runner, callers, settings, self._cors)
        return {
            **logins.routes(),
            "/validateSession": Route(POST, accounts.validate, is_session=True),
            "/IsValidSession": Route(GET, accounts.is_valid, is_session=True),
            "/web/logoutS": Route(POST, accounts.logout, is_session=True),
            "/api_user_data": Route(GET, accounts.user_data, is_session=True),
            javascript.PATH: Route(GET, worker.script),
            "/health": Route(GET, worker.healthy),
            "/ready": Route(GET, worker.ready),
            "/metrics": Route(GET, worker.metrics),
            "/api/ip": Route(GET, worker.ip),
            "/api/ping": Route(GET, worker.ping),
            "/api/geo": Route(GET, worker.geo),
            "/api/openapi.json": Route(GET, worker.openapi),
            "/api/client-logs": Route(POST, logs.take),
        }

    def _report(self) -> Report:
        return Report(
            health=self.health,
            figures=self._figures,
            pool=lambda: self.app.pool,
            streams=lambda: self.streams.count,
            bus=self.bus_figures,
            ws_messages=self.ws_messages,
        )

    def figures(self) -> Mapping[str, int]:
        """Return what has been counted, for the manager."""
        pool = self.app.pool
        return {
            **self._figures.told(),
            "STREAMS": self.streams.count,
            "POOL_BUSY": pool.busy,
            "POOL_WAITING": pool.queued,
            "POOL_OVERDUE": pool.overdue,
        }

    # --- for the fronts ------------------------------------------------------

    def owns(self, path: str) -> bool:
        """Whether ``path`` (percent-decoded) is answered here."""
        return self._routes.owns(path)

    def body_reader(self, head: Request) -> BodyReader:
        """Return what reads the body of ``head``; `Refused` if none may come."""
        return BodyReader(head, self._limits, self.uploads)

    async def handle(self, request: Request) -> Response:
        """Answer ``request``; only a cancellation raises.

        Uploads are gone when this returns, or when a stream is closed. The context
        of whoever awaits this is under the request's trace from now on.
        """
        if request.trace is not CURRENT.get():
            CURRENT.set(request.trace)
        began_at = self.seconds()
        request_id = self._request_id(request)
        kept = False
        try:
            response = await self._answer(request)
            kept = isinstance(response.body, Stream)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            response = failures.from_error(error) or _surprise(request_id)
        finally:
            if request.parsed is not NO_BODY and not kept:
                request.parsed.close()
        self._figures.answered(response.status, self.seconds() - began_at)
        return self._complete(request, response, request_id)

    def refuse(self, request: Request, error: Exception) -> Response:
        """Return the answer to a request that could not even be read."""
        response = failures.from_error(error) or failures.internal_error()
        return self._complete(request, response, self._request_id(request))

    async def close(self) -> None:
        """Stop all streams, clean up after them, and remove uploads."""
        await self.streams.close()
        self.uploads.close()

    # --- inside --------------------------------------------------------------

    def _complete(
        self, request: Request, response: Response, request_id: str
    ) -> Response:
        origin = self._cors.headers(request)
        return response.with_headers(("X-Request-ID", request_id), *origin)

    def _request_id(self, request: Request) -> str:
        if request.id:
            return request.id
        given = request.headers.get("x-request-id", "")
        return given if REQUEST_ID.match(given) else self.random(8).hex()

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return self._cors.preflight(request, self._methods(request.path))
        route = self._routes.fixed.get(request.path)
        if route is not None:
            return await self._own(route, request)
        if not request.path:
            raise Refused(400, "The path is not UTF-8")
        if not self.owns(request.path):
            return failures.failure(404, "Not Found")
        return await self._calls.answer(request)

    def _methods(self, path: str) -> tuple[str, ...]:
        route = self._routes.fixed.get(path)
        if route is not None:
            return route.methods
        return self._calls.methods(path) if self.owns(path) else CALL_METHODS

    async def _own(self, route: Route, request: Request) -> Response:
        if request.method not in route.methods:
            return failures.method_not_allowed(route.methods)
        self._figures.sessions += route.is_session
        return await route.handler(request)


def _surprise(request_id: str) -> Response:
    _log.failure("request {request_id} failed", request_id=request_id)
    return failures.internal_error()
