"""The host of WebSocket handlers: an http worker's end of the lanes (contract §4)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.apps import items
from tbtwist.apps.application import Application
from tbtwist.apps.calls import INTERNAL, perform
from tbtwist.apps.functions import Function
from tbtwist.apps.items import Message
from tbtwist.apps.replies import Replies
from tbtwist.apps.runner import Runner
from tbtwist.apps.signature import Signature
from tbtwist.apps.visits import Visit, named, route
from tbtwist.auth.access import (
    AccessRules,
    Allowed,
    Forbidden,
    NeedsIdentity,
    Target,
    decide,
)
from tbtwist.config.schema import Settings
from tbtwist.events import Delivery, EventType, Item
from tbtwist.identity import Owner, WorkerId, conn_owner
from tbtwist.services import Background

_log = Logger()

MAX_REMEMBERED: Final = 100_000
"""How many connections are remembered; beyond that the longest silent is forgotten."""

ABNORMAL_CLOSURE: Final = 1006
POLICY_VIOLATION: Final = 1008


class SocketHost:
    """Runs the handlers of an application for what comes over the lanes.

    It remembers who is connected, so that ``on_disconnect`` can be told about
    connections that went down together with their ws worker.
    """

    def __init__(
        self,
        app: Application,
        runner: Runner,
        rules: AccessRules,
        settings: Settings,
        clock_now: Callable[[], float],
    ) -> None:
        self._app = app
        self._runner = runner
        self._rules = rules
        self._timeout_s = settings.http_worker.timeout
        self._replies = Replies(settings.ws_worker.wrap_replies)
        self._now = clock_now
        self._visitors: dict[str, Visit] = {}
        self._denied: set[str] = set()
        self._background = Background()
        self.messages = 0
        """How many messages were handled, whatever became of them."""

    @property
    def connections(self) -> int:
        """Return how many connections are remembered."""
        return len(self._visitors)

    async def handle(self, delivery: Delivery) -> list[Item]:
        """Handle one item of a lane; return what goes back (a `DeliveryHandler`)."""
        visit = Visit.of(delivery)
        match delivery.item.event.type:
            case EventType.WS_MESSAGE:
                return await self._message(visit)
            case EventType.WS_CONNECT:
                return await self._connected(visit)
            case EventType.WS_DISCONNECT:
                await self._disconnected(visit)
            case other:
                _log.error("a lane brought {type}", type=other)
        return []

    def origin_lost(self, worker: WorkerId, keys: Sequence[str]) -> None:
        """Tell ``on_disconnect`` that a ws worker died with these connections."""
        lost = [self._visitors[key] for key in keys if key in self._visitors]
        owner = Owner(worker.slot, worker.generation)
        for key in [k for k in self._visitors if conn_owner(k) == owner]:
            if key not in keys:
                self._forget(key)
        self._background.spawn(f"the end of {worker}", self._lost(lost))

    def close(self) -> None:
        """Cancel what still runs for connections that are gone."""
        self._background.cancel_all()

    # --- events --------------------------------------------------------------

    async def _connected(self, visit: Visit) -> list[Item]:
        self._remember(visit)
        handlers = route(visit.path, self._app.websocket_handlers)
        if handlers is None:
            return []
        denial = self._denial(handlers.target, visit, self._replies)
        if denial is not None:
            self._denied.add(visit.conn_id)
            return [items.send(visit.conn_id, denial)]
        joined = items.join(visit.conn_id, handlers.id)
        if handlers.on_connect is None:
            return [joined]
        handling = _Handling(visit, handlers.on_connect, {}, self._replies)
        return [joined, *await self._answers(handling, self._admission)]

    async def _message(self, visit: Visit) -> list[Item]:
        self.messages += 1
        self._remember(visit)
        payload = visit.payload()
        known = payload if isinstance(payload, dict) else {}
        replies = attrs.evolve(self._replies, request_id=known.get("id"))
        if known.get("type") == "ping":
            return [items.send(visit.conn_id, replies.pong())]
        if _is_call(known):
            answer = await self._api_call(visit, known, replies)
            return [items.send(visit.conn_id, answer)]
        return await self._handled(visit, payload, known.get("handler"), replies)

    async def _handled(
        self, visit: Visit, payload: Any, handler: object, replies: Replies
    ) -> list[Item]:
        handlers = route(visit.path, self._app.websocket_handlers)
        if handlers is None and isinstance(handler, str):
            handlers = named(handler, self._app.websocket_handlers)
        if handlers is None or handlers.on_message is None:
            return [items.send(visit.conn_id, _no_handler(visit.path, replies))]
        denial = self._denial(handlers.target, visit, replies)
        if denial is not None:
            return [items.send(visit.conn_id, denial)]
        handling = _Handling(visit, handlers.on_message, payload, replies)
        return await self._answers(handling, self._answer)

    async def _disconnected(self, visit: Visit) -> None:
        denied = visit.conn_id in self._denied
        visit = attrs.evolve(
            visit, facts={**self._forget(visit.conn_id), **visit.facts}
        )
        handlers = route(visit.path, self._app.websocket_handlers)
        if handlers is None or handlers.on_disconnect is None or denied:
            return
        payload = {key: visit.facts.get(key) for key in ("code", "reason")}
        handling = _Handling(visit, handlers.on_disconnect, payload, self._replies)
        await self._answers(handling, lambda _handling, _value: [])

    async def _lost(self, visits: Sequence[Visit]) -> None:
        end = {"code": ABNORMAL_CLOSURE, "reason": "its worker was lost"}
        for visit in visits:
            gone = attrs.evolve(visit, facts={**visit.facts, **end}, redelivered=False)
            await self._disconnected(gone)

    def _remember(self, visit: Visit) -> None:
        self._visitors.pop(visit.conn_id, None)
        self._visitors[visit.conn_id] = attrs.evolve(visit, body=b"")
        if len(self._visitors) > MAX_REMEMBERED:
            self._forget(next(iter(self._visitors)))

    def _forget(self, conn_id: str) -> Mapping[str, Any]:
        """Forget a connection; return what was known of it."""
        self._denied.discard(conn_id)
        visit = self._visitors.pop(conn_id, None)
        return visit.facts if visit else {}

    # --- running code --------------------------------------------------------

    async def _answers(self, handling: _Handling, shape: _Shape) -> list[Item]:
        """Run a handler; return its answer, or what the client may know of why not."""
        words = self._words(handling)

        async def work() -> Any:
            call = handling.signature.bind(self._app, words)
            return await perform(call, self._app.pool)

        try:
            return shape(handling, await self._run(work))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - it must not end the lane
            problem = _problem(error, handling.visit.path, handling.replies)
        return [items.send(handling.visit.conn_id, problem)]

    async def _api_call(
        self, visit: Visit, asked: Mapping[str, Any], replies: Replies
    ) -> Message:
        function = self._app.find(asked["module"], asked["function"])
        if function is None:
            return _not_found(f"{asked['module']}.{asked['function']}", replies)
        denial = self._denial(function.target, visit, replies)
        if denial is not None:
            return denial
        args = asked.get("args") or {}
        if not isinstance(args, dict):
            return replies.error("BAD_ARGUMENT", "args must be an object")
        kwargs = {**args, "request": visit.request(self._now())}
        return await self._called(function, kwargs, replies)

    async def _called(
        self, function: Function, kwargs: Mapping[str, Any], replies: Replies
    ) -> Message:
        try:
            result = await self._run(lambda: self._app.call(function, kwargs))
            return replies.response(result)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - as in _answers
            return _problem(error, function.target.dotted, replies)

    async def _run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await self._runner.run(work, timeout_s=self._timeout_s)

    def _words(self, handling: _Handling) -> dict[str, Any]:
        """Return what a handler can ask for by name."""
        visit, signature = handling.visit, handling.signature
        words = {
            "app": self._app,
            "session": visit.session(),
            "conn_id": visit.conn_id,
            "payload": handling.payload,
            "redelivered": visit.redelivered,
        }
        if signature.open_ended or "request" in signature.parameters:
            words["request"] = visit.request(self._now())
        return words

    def _answer(self, handling: _Handling, value: object) -> list[Item]:
        message = handling.replies.to(value)
        return [items.send(handling.visit.conn_id, message)] if message else []

    def _admission(self, handling: _Handling, value: object) -> list[Item]:
        """Answer to on_connect: ``{"accept": False}`` closes the connection."""
        if not isinstance(value, dict) or "accept" not in value:
            return self._answer(handling, value)
        rest = {key: value[key] for key in value if key != "accept"}
        answers = self._answer(handling, rest or None)
        if value["accept"]:
            return answers
        closing = items.close(handling.visit.conn_id, POLICY_VIOLATION, "Not accepted")
        return [*answers, closing]

    def _denial(self, target: Target, visit: Visit, replies: Replies) -> Message | None:
        decision = decide(self._rules, visit.subject(self._now()), target, None)
        match decision:
            case Allowed():
                return None
            case NeedsIdentity(message=text) | Forbidden(message=text):
                return replies.error("ACCESS_DENIED", text)
            case _:
                return _not_found(target.dotted, replies)


@attrs.frozen
class _Handling:
    """One handler and what it is called for."""

    visit: Visit
    signature: Signature
    payload: Any
    replies: Replies


_Shape = Callable[[_Handling, object], list[Item]]


def _is_call(message: Mapping[str, Any]) -> bool:
    named = (message.get("module"), message.get("function"))
    return message.get("type") == "call" and all(isinstance(n, str) for n in named)


def _no_handler(path: str, replies: Replies) -> Message:
    return replies.error("NO_HANDLER", f"No handler for {path}")


def _not_found(name: str, replies: Replies) -> Message:
    return replies.error("NOT_FOUND", f"There is no {name}")


def _problem(error: Exception, what: str, replies: Replies) -> Message:
    """Return what the client may know of an exception; log what it may not."""
    known = replies.refused(error)
    if known is None:
        _log.failure("{what} failed", failure=Failure(error), what=what)
        return replies.error("INTERNAL", INTERNAL)
    return known
