"""The manager's API: R5.2's paths and keys, ``/api/update``, and the page's own.

Pure but for the `ManagerPort` behind it: a request in, a response out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import attrs
import msgspec
from msgspec import Meta
from twisted.internet.defer import Deferred, maybeDeferred

from tbtwist.api import failures
from tbtwist.api.response import Response, json_response
from tbtwist.boundaries import ManagerPort
from tbtwist.errors import (
    CannotBind,
    ConfigError,
    ConfigNotFound,
    ManagerBusy,
    Refused,
    TbtwistError,
    UnknownWorker,
    WorkerNotReady,
)
from tbtwist.observe.prometheus import PROMETHEUS
from tbtwist.status import UpdateStep
from tbtwist.webui.accounts import Account
from tbtwist.webui.actions import Action, Actor
from tbtwist.webui.asked import Asked
from tbtwist.webui.exposition import exposition
from tbtwist.webui.feed import Feed
from tbtwist.webui.gate import Caller

T = TypeVar("T")
Serving = Literal["http", "ws"]

LEGACY_PREFIX: Final = "/admin/manager"
_MOST_WORKERS: Final = 256
_STATUS: Final[Mapping[type[Exception], int]] = {
    ManagerBusy: 409,
    CannotBind: 409,
    UnknownWorker: 404,
    ConfigError: 422,
    ConfigNotFound: 422,
    WorkerNotReady: 424,
}
_OK: Final = {"status": "ok"}


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may say; anything else is a mistake of the client's."""


class _Start(_Fields, frozen=True):
    type: Serving = "http"
    count: Annotated[int, Meta(ge=1, le=_MOST_WORKERS)] = 1


class _Stop(_Fields, frozen=True):
    worker_id: str
    graceful: bool = True


class _Restart(_Fields, frozen=True):
    worker_id: str


class _Scale(_Fields, frozen=True):
    count: Annotated[int, Meta(ge=0, le=_MOST_WORKERS)]
    type: Serving = "http"


class _Update(_Fields, frozen=True):
    role: Serving | None = None
    wait: bool = False


class _Shutdown(_Fields, frozen=True):
    timeout_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None


def _read(asked: Asked, kind: type[T]) -> T:
    try:
        return msgspec.convert(asked.fields(), kind)
    except msgspec.ValidationError as error:
        raise Refused(422, str(error)) from error


def _silent(step: UpdateStep) -> None:
    """Nobody but the action's followers wants to know."""
    del step


ReloadNginx = Callable[[], Deferred[None]]
Answer = Awaitable[Response] | Response
Handler = Callable[["Api", Asked, Caller], Answer]


@attrs.define(eq=False)
class Api:
    """Answers every path below ``/api/``, and ``/metrics``.

    ``reload_nginx`` fails with the reason; ``stop_timeout_s`` is how long a
    shutdown may take unless the request says so.
    """

    _port: ManagerPort
    _feed: Feed
    _reload_nginx: ReloadNginx
    _stop_timeout_s: float

    def methods(self, path: str) -> tuple[str, ...]:
        """Return the methods that ``path`` has; none if it does not exist."""
        return tuple(method for method, known in _ROUTES if known == path)

    async def answer(self, asked: Asked, caller: Caller) -> Response:
        """Answer a request of somebody who may ask."""
        path = asked.path.removeprefix(LEGACY_PREFIX)
        method = "GET" if asked.method == "HEAD" else asked.method
        handler = _ROUTES.get((method, path))
        if handler is None:
            known = self.methods(path)
            if known:
                return failures.method_not_allowed(known)
            return failures.failure(404, f"The manager's API has no {path}")
        try:
            answered = handler(self, asked, caller)
            return answered if isinstance(answered, Response) else await answered
        except TbtwistError as error:
            return refusal(error)

    def _actor(self, caller: Caller) -> Actor:
        return Actor(self._port, self._feed.actions, caller.name)

    def _account(self) -> Account:
        return self._feed.account()

    # --- how everything is

    def status(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/status``."""
        return json_response(self._account().overview())

    def workers(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/workers``."""
        return json_response(self._account().workers())

    def metrics(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/metrics``."""
        return json_response(self._account().metrics())

    def health(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/health``."""
        return json_response(self._account().health())

    def verify(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/cluster/verify``: the secret was right."""
        return json_response(_OK)

    def actions(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/actions``: what was done lately, and what is under way."""
        return json_response(list(self._feed.actions.latest))

    def exits(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/exits``: how processes ended."""
        return json_response(list(self._feed.exits))

    def plan(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /api/plan``: what an update would do."""
        return json_response({"plan": list(self._port.plan(("http", "ws")))})

    def session(self, _asked: Asked, caller: Caller) -> Response:
        """Answer ``GET /api/session``: what the page needs to change something."""
        csrf = caller.visit.csrf if caller.visit is not None else None
        return json_response({"csrf_token": csrf, "who": caller.name})

    def prometheus(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``GET /metrics``."""
        body = exposition(self._port.status(), self._feed.totals)
        return Response(200, (("Content-Type", PROMETHEUS),), body)

    # --- what may be changed

    async def start(self, asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/workers/start``, when they serve."""
        wanted = _read(asked, _Start)
        actor = self._actor(caller)
        started = [await actor.start_worker(wanted.type) for _ in range(wanted.count)]
        account = self._account()
        workers = [account.worker(worker_id) for worker_id in started]
        return json_response({**_OK, "workers": workers})

    async def stop(self, asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/workers/stop``, when it is gone."""
        wanted = _read(asked, _Stop)
        actor = self._actor(caller)
        await actor.stop_worker(wanted.worker_id, graceful=wanted.graceful)
        return json_response(_OK)

    async def restart(self, asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/workers/restart``, when the new one serves alone."""
        worker_id = _read(asked, _Restart).worker_id
        await self._actor(caller).restart_worker(_silent, worker_id)
        return json_response({**_OK, "worker": self._account().worker(worker_id)})

    async def scale(self, asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/scale``, when there are so many."""
        wanted = _read(asked, _Scale)
        before = self._ids(wanted.type)
        await self._actor(caller).scale(wanted.type, wanted.count)
        after = self._ids(wanted.type)
        started = [each for each in after if each not in before]
        stopped = [each for each in before if each not in after]
        return json_response({**_OK, "started": started, "stopped": stopped})

    def _ids(self, role: Serving) -> list[str]:
        return [w.id for w in self._port.status().workers if w.role == role]

    def update(self, asked: Asked, caller: Caller) -> Answer:
        """Answer ``POST /api/update`` at once, or with ``wait`` when it is done."""
        wanted = _read(asked, _Update)
        roles: Sequence[Serving] = (wanted.role,) if wanted.role else ("http", "ws")
        updating = self._actor(caller).update(_silent, roles)
        action = self._feed.actions.latest[-1]
        return self._updated(updating, action, wait=wanted.wait)

    async def _updated(
        self, updating: Deferred[None], action: Action, *, wait: bool
    ) -> Response:
        if wait or action.state != "running":
            await updating
            return json_response({**_OK, "action": action})
        _ = updating.addErrback(lambda _: None)  # told by the action
        return json_response({**_OK, "action": action}, 202)

    def restart_all(self, _asked: Asked, caller: Caller) -> Answer:
        """Answer ``POST /api/restart``: new processes for all workers, and no gap."""
        return self.update(Asked("POST", "/api/update"), caller)

    def shutdown(self, asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/shutdown`` at once; everything drains and stops."""
        given = _read(asked, _Shutdown).timeout_s
        timeout_s = self._stop_timeout_s if given is None else given
        stopping = self._actor(caller).stop(timeout_s)
        _ = stopping.addErrback(lambda _: None)  # told by the action
        return json_response(_OK, 202)

    async def reload_nginx(self, _asked: Asked, caller: Caller) -> Response:
        """Answer ``POST /api/nginx/reload``."""
        await self._actor(caller).do("reload nginx", self._reloading)
        return json_response(_OK)

    def _reloading(self) -> Deferred[None]:
        return maybeDeferred(self._reload_nginx)

    def join_cluster(self, _asked: Asked, _caller: Caller) -> Response:
        """Answer ``POST /api/cluster/join``: there are no clusters of machines."""
        return failures.failure(501, "One manager has one machine; nginx balances more")


def refusal(error: TbtwistError) -> Response:
    """Return the answer to what went wrong."""
    known = failures.from_error(error)
    return known or failures.failure(_STATUS.get(type(error), 500), str(error))


_ROUTES: Final[Mapping[tuple[str, str], Callable[[Api, Asked, Caller], Any]]] = {
    ("GET", "/metrics"): Api.prometheus,
    ("GET", "/api/status"): Api.status,
    ("GET", "/api/workers"): Api.workers,
    ("GET", "/api/metrics"): Api.metrics,
    ("GET", "/api/health"): Api.health,
    ("GET", "/api/cluster/verify"): Api.verify,
    ("GET", "/api/actions"): Api.actions,
    ("GET", "/api/exits"): Api.exits,
    ("GET", "/api/plan"): Api.plan,
    ("GET", "/api/session"): Api.session,
    ("POST", "/api/workers/start"): Api.start,
    ("POST", "/api/workers/stop"): Api.stop,
    ("POST", "/api/workers/restart"): Api.restart,
    ("POST", "/api/scale"): Api.scale,
    ("POST", "/api/update"): Api.update,
    ("POST", "/api/rolling-update"): Api.update,
    ("POST", "/api/restart"): Api.restart_all,
    ("POST", "/api/shutdown"): Api.shutdown,
    ("POST", "/api/nginx/reload"): Api.reload_nginx,
    ("POST", "/api/cluster/join"): Api.join_cluster,
}
