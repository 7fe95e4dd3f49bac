"""The host of WebSocket handlers."""

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
from twisted.internet import reactor as _reactor  # noqa: TID251 - handlers run beside it
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.apps import sockets
from tbtwist.apps.encoding import to_json
from tbtwist.apps.functions import ExportOptions
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.registry import App
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result
from tbtwist.apps.runner import ReactorRunner
from tbtwist.apps.sockets import SocketHost
from tbtwist.auth.access import AccessRules
from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.errors import DeadlinePassed, PoolFull, Undeliverable
from tbtwist.events import Delivery, Event, EventType, Item
from tbtwist.tracing import Trace, awaited_within, current_trace
from tests.apps.fakes import CONN, OTHER, WS, QuickRunner, stopped

reactor: Any = _reactor
NOW = 1000.0
WHO: dict[str, Any] = {
    "query": "",
    "user_id": "u1",
    "user_name": "ann",
    "session_id": "s1",
    "level": 1,
    "cloudm_user_id": "",
    "authenticated": True,
    "exp": 0,
}
NOBODY: dict[str, Any] = {**WHO, "user_id": "", "level": 0, "authenticated": False}

CALL = b'{"type":"call","id":7,"module":"Mod","function":"func"}'
ODD_ENDS = (
    asyncio.CancelledError,
    CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
)


class Oops(Exception):
    """An application's own error."""


def delivery(
    kind: str,
    body: bytes = b"",
    *,
    path: str = "/ws/Chat/room",
    conn_id: str = CONN,
    redelivered: bool = False,
    **facts: object,
) -> Delivery:
    """Return an event of a connection as it comes over a lane."""
    payload = {"conn_id": conn_id, "path": path, **WHO, **facts}
    item = Item(Event(type=kind, payload=payload), body)
    return Delivery(str(WS), conn_id, 1, item, redelivered)


def read(items: list[Item]) -> list[tuple[Any, ...]]:
    """Return replies in a form that tests can compare."""
    return [_read(item) for item in items]


def _read(item: Item) -> tuple[Any, ...]:
    payload = item.event.payload
    match item.event.type:
        case EventType.WS_SEND if payload["binary"]:
            return ("send", item.body)
        case EventType.WS_SEND:
            return ("send", json.loads(item.body))
        case EventType.WS_JOIN_CHANNEL:
            return ("join", payload["channel"])
        case other:
            return (other, payload["code"], payload["reason"])


class HostTestCase(SynchronousTestCase):
    """A host with one room."""

    settings = Settings()
    rules = AccessRules()

    def setUp(self) -> None:
        """An application and its host."""
        self.app = App(pool=SyncPool(1, 5))
        self.addCleanup(stopped, self.app.pool)
        self.runner = QuickRunner()
        self.host = SocketHost(
            self.app, self.runner, self.rules, self.settings, lambda: NOW
        )

    def room(
        self, options: ExportOptions | None = None, **handlers: Callable[..., Any]
    ) -> None:
        """Register the handlers of /ws/Chat/room."""
        given: ExportOptions = {"websocket_handler": "room", **(options or {})}

        def make() -> dict[str, Any]:
            return handlers

        self.app.tb(mod_name="Chat", **given)(make)

    def handle(
        self, kind: str, body: bytes = b"", **facts: Any
    ) -> list[tuple[Any, ...]]:
        """Return what goes back for an event."""
        handling = Deferred.fromCoroutine(
            self.host.handle(delivery(kind, body, **facts))
        )
        return read(self.successResultOf(handling))

    def message(self, value: object, **facts: Any) -> Any:
        """Send JSON; return the one answer, or None."""
        return self.text(msgspec.json.encode(value), **facts)

    def text(self, body: bytes, **facts: Any) -> Any:
        """Send a message; return the one answer, or None."""
        answers = self.handle("ws.message", body, **facts)
        self.assertLessEqual(len(answers), 1)
        return answers[0][1] if answers else None


class ConnectTests(HostTestCase):
    """Connections that open."""

    def test_joins(self) -> None:
        """A connection becomes a member of its room, before anything else."""

        def on_connect(session: dict[str, Any], conn_id: str) -> object:
            return {"event": "welcome", "name": session["user_name"], "id": conn_id}

        self.room(on_connect=on_connect)
        self.assertEqual(
            self.handle("ws.connect"),
            [
                ("join", "Chat/room"),
                ("send", {"event": "welcome", "name": "ann", "id": CONN}),
            ],
        )
        self.assertEqual(self.host.connections, 1)

    def test_without_on_connect(self) -> None:
        """It does so even if nobody wants to know."""
        self.room()
        self.assertEqual(self.handle("ws.connect"), [("join", "Chat/room")])

    def test_no_handler(self) -> None:
        """A path without handlers may be connected to: there are calls."""
        self.assertEqual(self.handle("ws.connect", path="/ws/nowhere"), [])

    def test_denied(self) -> None:
        """Who may not enter is told, and nothing else happens."""
        self.room(on_connect=self.fail)
        self.assertEqual(
            self.handle("ws.connect", **NOBODY),
            [
                (
                    "send",
                    {
                        "type": "error",
                        "code": "ACCESS_DENIED",
                        "message": "Authentication required",
                    },
                )
            ],
        )

    def test_not_accepted(self) -> None:
        """A handler may turn a connection away, with a word."""
        self.room(on_connect=lambda: {"accept": False, "type": "sorry"})
        self.assertEqual(
            self.handle("ws.connect"),
            [
                ("join", "Chat/room"),
                ("send", {"type": "sorry"}),
                ("ws.close", 1008, "Not accepted"),
            ],
        )

    def test_accepted(self) -> None:
        """One that accepts need not say more."""
        self.room(on_connect=lambda: {"accept": True})
        self.assertEqual(self.handle("ws.connect"), [("join", "Chat/room")])

    def test_failure(self) -> None:
        """A handler that fails does not keep a connection out of its room."""

        def on_connect() -> None:
            raise Oops

        self.room(on_connect=on_connect)
        answers = self.handle("ws.connect")
        self.assertEqual(answers[0], ("join", "Chat/room"))
        self.assertEqual(answers[1][1]["code"], "INTERNAL")
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)


class MessageTests(HostTestCase):
    """Messages to handlers."""

    def test_words(self) -> None:
        """A handler gets what it names, in any order."""
        seen: list[Any] = []

        async def on_message(
            payload: Any,
            conn_id: str,
            session: dict[str, Any],
            request: Any,
            app: App,
            redelivered: bool,
        ) -> None:
            seen.append((payload, conn_id, session["user_id"], request.method))
            seen.append((app is self.app, redelivered))

        self.room(on_message=on_message)
        self.assertIsNone(self.message({"a": 1}, redelivered=True))
        self.assertEqual(seen, [({"a": 1}, CONN, "u1", "WEBSOCKET"), (True, True)])

    def test_signatures_in_the_wild(self) -> None:
        """Handlers written for ToolBoxV2 are called as they expect."""
        seen: list[Any] = []

        async def chat(app: App, conn_id: str, session: Any, payload: Any) -> None:
            seen.append((app, conn_id, session["connection_id"], payload))

        async def talk(session: Any, conn_id: Any = None, **kwargs: Any) -> None:
            seen.append((conn_id, kwargs["payload"], sorted(kwargs)))

        async def fast(self: App, payload: Any, conn_id: str, session: Any) -> None:
            seen.append((self, payload))

        for handler in (chat, talk, fast):
            self.room(on_message=handler)
            self.message({"a": 1})
        self.assertEqual(
            seen,
            [
                (self.app, CONN, CONN, {"a": 1}),
                (CONN, {"a": 1}, ["app", "payload", "redelivered", "request"]),
                (self.app, {"a": 1}),
            ],
        )

    def test_payloads(self) -> None:
        """JSON, other text and binary messages all arrive."""
        seen: list[Any] = []

        def on_message(payload: Any) -> None:
            seen.append(payload)

        self.room(on_message=on_message)
        self.text(b"[1]")
        self.text(b"hello")
        self.text(b"\x00\xff", binary=True)
        self.assertEqual(seen, [[1], {"raw": "hello"}, b"\x00\xff"])

    def test_annotated_payload(self) -> None:
        """A handler may ask for a payload of a shape, and others are refused."""

        class Say(msgspec.Struct):
            text: str

        def on_message(payload: Say) -> object:
            return payload.text

        on_message.__annotations__["payload"] = Say
        self.room(on_message=on_message)
        self.assertEqual(self.message({"text": "hi"})["data"], "hi")
        self.assertEqual(self.message({"id": 1})["code"], "BAD_ARGUMENT")

    def test_answers(self) -> None:
        """What a handler returns goes back, with the id of the question."""
        self.room(on_message=lambda payload: payload["want"])
        self.assertEqual(
            self.message({"id": 7, "want": {"type": "x"}}), {"type": "x", "id": 7}
        )
        self.assertEqual(self.message({"want": [1]}), {"type": "response", "data": [1]})
        self.assertIsNone(self.message({"want": None}))

    def test_binary_answer(self) -> None:
        """Bytes go back as a binary message."""
        self.room(on_message=lambda payload: payload)
        self.assertEqual(self.text(b"\x00\xff", binary=True), b"\x00\xff")

    def test_result(self) -> None:
        """A result goes back by its data, a failure as an error."""
        self.room(
            on_message=lambda payload: (
                Result.ok({"type": "x"}) if payload else Result.default_user_error("no")
            )
        )
        self.assertEqual(self.message(1), {"type": "x"})
        self.assertEqual(self.message(0)["code"], "INPUT")

    def test_in_the_pool(self) -> None:
        """A plain handler runs in the pool."""
        self.room(on_message=lambda: threading.current_thread().name)
        self.assertEqual(self.message({})["data"], "app-1")

    def test_deadline(self) -> None:
        """Handlers have as long as HTTP requests."""
        self.room(on_message=lambda: None)
        self.message({})
        self.assertEqual(self.runner.timeouts, [30.0])

    def test_other_paths(self) -> None:
        """Routes lead to the handlers of their names."""
        self.room(on_message=lambda: "room")
        for path in ("/ws/chat/ROOM", "/ws/room"):
            self.assertEqual(self.message({}, path=path)["data"], "room")

    def test_named_handler(self) -> None:
        """Where the path leads nowhere, a message may name its handlers."""
        self.room(on_message=lambda: "room")
        answer = self.message({"handler": "Chat/room"}, path="/ws/all")
        self.assertEqual(answer["data"], "room")
        for wrong in ("Nope/x", 5):
            answer = self.message({"handler": wrong}, path="/ws/all")
            self.assertEqual(answer["code"], "NO_HANDLER")

    def test_no_handler(self) -> None:
        """A message that nobody handles is answered with an error."""
        self.room()
        for path in ("/ws/Chat/room", "/ws/nowhere"):
            self.assertEqual(
                self.message({"id": 3}, path=path),
                {
                    "id": 3,
                    "type": "error",
                    "code": "NO_HANDLER",
                    "message": f"No handler for {path}",
                },
            )
        self.assertEqual(self.text(b"\0", binary=True)["code"], "NO_HANDLER")
        self.assertEqual(self.message([1])["code"], "NO_HANDLER")

    def test_ping(self) -> None:
        """A ping is answered at once, everywhere and for everybody."""
        self.room(on_message=self.fail)
        self.assertEqual(self.message({"type": "ping"}), {"type": "pong"})
        answer = self.message({"type": "ping", "id": 1}, path="/ws/no", **NOBODY)
        self.assertEqual(answer, {"type": "pong", "id": 1})


class FailureTests(HostTestCase):
    """Handlers that fail."""

    def test_exception(self) -> None:
        """It is logged; the client learns nothing of its text."""

        def on_message() -> None:
            msg = "password hunter2"
            raise Oops(msg)

        self.room(on_message=on_message)
        self.assertEqual(
            self.message({"id": 1}),
            {
                "id": 1,
                "type": "error",
                "code": "INTERNAL",
                "message": "Internal error",
            },
        )
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_odd_answer(self) -> None:
        """An answer that JSON has no form for arrives as it does over HTTP."""
        odd: dict[Any, Any] = {None: {1}, "date": dt.date(2026, 1, 2)}
        odd["itself"] = odd
        self.room(on_message=lambda: odd)
        self.assertEqual(self.message({})["data"], json.loads(to_json(odd)))

    def test_known_errors(self) -> None:
        """Overload and lateness have codes of their own, and are not logged here."""
        for error, code in ((PoolFull(), "BUSY"), (DeadlinePassed(3.0), "TIMEOUT")):

            def on_message(error: Exception = error) -> None:
                raise error

            self.room(on_message=on_message)
            self.assertEqual(self.message({})["code"], code)

    def test_our_errors(self) -> None:
        """Any other error of ours that a handler let through is logged."""

        def on_message() -> None:
            raise Undeliverable(target="x", reason="secret")

        self.room(on_message=on_message)
        self.assertEqual(self.message({})["message"], "Internal error")
        self.assertEqual(len(self.flushLoggedErrors(Undeliverable)), 1)

    def test_strange_event(self) -> None:
        """An event that no lane should bring is logged, and answered with nothing."""
        self.assertEqual(self.handle("ws.send"), [])


class AccessTests(HostTestCase):
    """Who may talk to a handler."""

    rules = AccessRules(open_modules=frozenset({"Lobby"}))

    def code(self, **facts: Any) -> object:
        """Return how a message to the room is refused, or what came back."""
        answer = self.message({}, **facts)
        return answer.get("code", answer.get("data"))

    def test_default(self) -> None:
        """By default, users may."""
        self.room(on_message=lambda: "in")
        self.assertEqual(self.code(), "in")
        self.assertEqual(self.code(**NOBODY), "ACCESS_DENIED")

    def test_level(self) -> None:
        """The level of the decorator counts."""
        self.room({"level": 2}, on_message=lambda: "in")
        self.assertEqual(self.code(), "ACCESS_DENIED")
        self.assertEqual(self.code(level=2), "in")
        self.assertEqual(self.code(level=-1), "in")
        self.room({"level": 0}, on_message=lambda: "in")
        self.assertEqual(self.code(**NOBODY), "in")

    def test_expired(self) -> None:
        """A session that has ended meanwhile does not count any more."""
        self.room(on_message=lambda: "in")
        self.assertEqual(self.code(exp=NOW + 1), "in")
        self.assertEqual(self.code(exp=NOW - 1), "ACCESS_DENIED")

    def test_claimed_level(self) -> None:
        """A level without authentication is nobody's."""
        self.room(on_message=lambda: "in")
        self.assertEqual(self.code(level=2, authenticated=False), "ACCESS_DENIED")

    def test_open_module(self) -> None:
        """Open modules and handlers whose name says so are open."""
        for module, name in (("Lobby", "room"), ("Chat", "open_room")):

            def make() -> dict[str, Any]:
                return {"on_message": lambda: "in"}

            self.app.tb(mod_name=module, websocket_handler=name)(make)
            self.assertEqual(self.code(path=f"/ws/{module}/{name}", **NOBODY), "in")


class ListedTests(HostTestCase):
    """A list of modules that may be reached."""

    rules = AccessRules(allowed_modules=frozenset({"Shop"}))

    def test_not_listed(self) -> None:
        """To others, it is as if they were not there."""
        self.room(on_message=self.fail)
        self.assertEqual(self.message({})["code"], "NOT_FOUND")


class CallTests(HostTestCase):
    """API functions over a WebSocket."""

    def setUp(self) -> None:
        """Some functions."""
        super().setUp()

        async def buy(item: str, count: int = 1, request: Any = None) -> object:
            return {"item": item, "count": count, "by": request.session.user_id}

        async def broken() -> None:
            raise Oops

        self.app.tb("buy", "Shop")(buy)
        self.app.tb("broken", "Shop")(broken)
        self.app.tb("hidden", "Shop", api=False)(self.fail)
        self.app.tb("secret", "Shop", level=2)(self.fail)
        self.app.tb("posted", "Shop", api_methods=["POST"])(lambda: 1)
        self.app.tb("bare", "Shop", row=True)(lambda: [1])

    def call(self, function: str, args: object = None, **facts: Any) -> Any:
        """Call a function of Shop."""
        question = {"type": "call", "id": 1, "module": "Shop", "function": function}
        if args is not None:
            question["args"] = args
        return self.message(question, path="/ws/any", **facts)

    def test_call(self) -> None:
        """A function is run with its arguments converted, and its data comes back."""
        self.assertEqual(
            self.call("buy", {"item": "tea", "count": "2", "stray": 1}),
            {
                "type": "response",
                "id": 1,
                "data": {"item": "tea", "count": 2, "by": "u1"},
            },
        )

    def test_no_forged_request(self) -> None:
        """The request is the connection's, whatever a client sends under that name."""
        answer = self.call("buy", {"item": "tea", "request": {"user_id": "root"}})
        self.assertEqual(answer["data"]["by"], "u1")

    def test_every_kind(self) -> None:
        """Plain functions, and those for one HTTP method, can be called as well."""
        self.assertEqual(self.call("posted")["data"], 1)
        self.assertEqual(self.call("bare")["data"], [1])

    def test_errors(self) -> None:
        """What cannot be called says why."""
        for function, args, code in (
            ("nope", {}, "NOT_FOUND"),
            ("hidden", {}, "NOT_FOUND"),
            ("secret", {}, "ACCESS_DENIED"),
            ("buy", {}, "MISSING_ARGUMENT"),
            ("buy", {"item": "a", "count": "x"}, "BAD_ARGUMENT"),
            ("buy", [1], "BAD_ARGUMENT"),
        ):
            answer = self.call(function, args)
            self.assertEqual((answer["type"], answer["id"]), ("error", 1))
            self.assertEqual(answer["code"], code, function)
        self.assertEqual(self.call("buy", {}, **NOBODY)["code"], "ACCESS_DENIED")

    def test_exception(self) -> None:
        """A function that fails is an internal error."""
        answer = self.call("broken")
        self.assertEqual(
            (answer["code"], answer["message"]), ("INTERNAL", "Internal error")
        )
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_deadline(self) -> None:
        """One that takes too long says so."""
        with mock.patch.object(self.runner, "run", side_effect=DeadlinePassed(30)):
            self.assertEqual(self.call("buy", {"item": "a"})["code"], "TIMEOUT")

    def test_odd_data(self) -> None:
        """Data that JSON has no form for looks as it does over HTTP."""
        endless: list[object] = [{(1, 2): b"x"}]
        endless.append(endless)
        self.app.tb("endless", "Shop")(lambda: endless)
        self.assertEqual(self.call("endless")["data"], json.loads(to_json(endless)))

    def test_incomplete(self) -> None:
        """A message that only looks like a call is the handler's."""
        self.room(on_message=lambda payload: payload)
        for value in ({"type": "call"}, {"type": "call", "module": 1, "function": "x"}):
            self.assertEqual(self.message(value), value)


class DisconnectTests(HostTestCase):
    """Connections that go."""

    def setUp(self) -> None:
        """A room that writes down who leaves."""
        super().setUp()
        self.left: list[Any] = []

        def on_disconnect(session: Any, conn_id: str, payload: Any) -> object:
            self.left.append((conn_id, session["user_name"], payload))
            return "nobody hears this"

        self.room(on_disconnect=on_disconnect)
        self.app.tb(mod_name="Other", websocket_handler="room2")(
            lambda: {"on_disconnect": self.fail}
        )

    def leave(self, conn_id: str = CONN, **facts: object) -> list[tuple[Any, ...]]:
        """Disconnect, as ws workers tell it."""
        payload = {
            "conn_id": conn_id,
            "path": "/ws/Chat/room",
            "user_id": "u1",
            "code": 1001,
            "reason": "bye",
            **facts,
        }
        item = Item(Event(type="ws.disconnect", payload=payload))
        handling = self.host.handle(Delivery(str(WS), conn_id, 9, item))
        return read(self.successResultOf(Deferred.fromCoroutine(handling)))

    def test_told(self) -> None:
        """Only the connection's own handler is told, and who it was."""
        self.handle("ws.connect")
        self.assertEqual(self.leave(), [])
        self.assertEqual(self.left, [(CONN, "ann", {"code": 1001, "reason": "bye"})])
        self.assertEqual(self.host.connections, 0)

    def test_unknown_connection(self) -> None:
        """A connection that another worker handled before is told of as well."""
        self.leave()
        self.assertEqual([conn_id for conn_id, *_ in self.left], [CONN])

    def test_denied(self) -> None:
        """Who was never let in does not leave."""
        self.handle("ws.connect", **NOBODY)
        self.leave()
        self.assertEqual(self.left, [])

    def test_session_ended(self) -> None:
        """Who was let in leaves, also when the session has ended meanwhile."""
        self.handle("ws.connect", exp=NOW + 1)
        self.handle("ws.message", b"{}", exp=NOW - 1)
        self.leave()
        self.assertEqual(len(self.left), 1)

    def test_no_handler(self) -> None:
        """Where nobody wants to know, nobody is told."""
        self.handle("ws.connect", path="/ws/nowhere")
        self.assertEqual(self.leave(path="/ws/nowhere"), [])
        self.assertEqual(self.host.connections, 0)

    def test_failure(self) -> None:
        """A handler that fails is logged."""

        def on_disconnect() -> None:
            raise Oops

        self.room(on_disconnect=on_disconnect)
        self.assertEqual(self.leave(), [])
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_worker_lost(self) -> None:
        """When a ws worker dies, all its connections leave."""
        self.handle("ws.connect")
        self.handle("ws.connect", conn_id=OTHER, user_name="bob")
        self.host.origin_lost(WS, [CONN, OTHER, "unknown"])
        end = {"code": 1006, "reason": "its worker was lost"}
        self.assertEqual(self.left, [(CONN, "ann", end), (OTHER, "bob", end)])
        self.assertEqual(self.host.connections, 0)

    def test_moved_away(self) -> None:
        """Connections that another worker handles now are forgotten, not told of."""
        self.handle("ws.connect")
        self.handle("ws.connect", conn_id=OTHER)
        self.host.origin_lost(WS, [CONN])
        self.assertEqual([conn_id for conn_id, *_ in self.left], [CONN])
        self.assertEqual(self.host.connections, 0)

    def test_bounded_memory(self) -> None:
        """The longest silent connection is forgotten first."""
        third = CONN[:-1] + "0"
        with mock.patch.object(sockets, "MAX_REMEMBERED", 2):
            self.handle("ws.connect")
            self.handle("ws.connect", conn_id=OTHER)
            self.handle("ws.message", b"{}")
            self.handle("ws.connect", conn_id=third)
        self.host.origin_lost(WS, [CONN, OTHER, third])
        self.assertEqual([conn_id for conn_id, *_ in self.left], [CONN, third])


class WrapTests(HostTestCase):
    """Settings reach the host."""

    settings = Settings(
        ws_worker=WsWorker(wrap_replies="never"), http_worker=HttpWorker(timeout=3.0)
    )

    def test_settings(self) -> None:
        """Answers are wrapped, and deadlines set, as configured."""
        self.room(on_message=lambda payload: payload)
        self.assertEqual(self.message({"a": 1}), {"a": 1})
        self.assertEqual(self.runner.timeouts, [3.0])


class ReactorTests(TestCase):
    """The host in a real worker's surroundings."""

    timeout = 30

    def setUp(self) -> None:
        """A host with a real runner."""
        self.app = App(pool=SyncPool(1, 5))
        self.runner = ReactorRunner(reactor)
        self.host = SocketHost(
            self.app, self.runner, AccessRules(), Settings(), lambda: NOW
        )
        self.addCleanup(self.runner.stopService)
        self.addCleanup(stopped, self.app.pool)

    def room(self, **handlers: Callable[..., Any]) -> None:
        """Register the handlers of /ws/Chat/room."""
        self.app.tb(mod_name="Chat", websocket_handler="room")(lambda: handlers)

    async def test_message(self) -> None:
        """A handler that awaits is waited for."""

        async def on_message(payload: Any) -> object:
            await asyncio.sleep(0)
            return payload["n"] + 1

        self.room(on_message=on_message)
        answers = await self.host.handle(delivery("ws.message", b'{"n":1}'))
        self.assertEqual(read(answers), [("send", {"type": "response", "data": 2})])

    async def test_under_a_trace(self) -> None:
        """A handler works under its message's trace, and its request says so."""

        async def on_message(request: RequestData) -> object:
            await asyncio.sleep(0)
            found = current_trace()
            return [request.traceparent, found and found.traceparent]

        self.room(on_message=on_message)
        handle = self.host.handle
        trace = Trace("ab" * 16, "cd" * 8)
        for current, expected in ((trace, trace.traceparent), (None, None)):
            answers = await awaited_within(
                current, handle, delivery("ws.message", b"{}")
            )
            ((_, told),) = read(list(answers))
            self.assertEqual(told["data"], [expected, expected])

    async def test_odd_ends(self) -> None:
        """Whatever a handler or function raises, the client gets an answer."""
        for end in ODD_ENDS:

            async def fail(end: type[BaseException] = end) -> None:
                raise end

            def fail_in_a_thread(end: type[BaseException] = end) -> None:
                raise end

            for failing in (fail, fail_in_a_thread):
                self.room(on_message=failing)
                self.app.tb("func", "Mod")(failing)
                for message in (b'{"id":7}', CALL):
                    (answer,) = await self.host.handle(delivery("ws.message", message))
                    told = json.loads(answer.body)
                    self.assertEqual(
                        (told["type"], told["id"], told["code"]),
                        ("error", 7, "INTERNAL"),
                    )
        count = 4 * len(ODD_ENDS)
        self.assertEqual(
            len(self.flushLoggedErrors(RuntimeError, CancelledError)), count
        )

    async def test_cancelled(self) -> None:
        """When the bus gives a delivery up, its handler is cancelled."""
        started: Deferred[None] = Deferred()
        cancelled: Deferred[None] = Deferred()

        async def on_message() -> None:
            reactor.callFromThread(started.callback, None)
            try:
                await asyncio.Event().wait()
            finally:
                reactor.callFromThread(cancelled.callback, None)

        self.room(on_message=on_message)
        handling = Deferred.fromCoroutine(
            self.host.handle(delivery("ws.message", b"{}"))
        )
        await started
        handling.cancel()
        with self.assertRaises(CancelledError):
            await handling
        await cancelled

    async def test_cancelled_call(self) -> None:
        """So is a function that was called over the WebSocket."""
        started: Deferred[None] = Deferred()

        async def func() -> None:
            reactor.callFromThread(started.callback, None)
            await asyncio.Event().wait()

        self.app.tb("func", "Mod")(func)
        body = b'{"type":"call","module":"Mod","function":"func"}'
        handling = Deferred.fromCoroutine(
            self.host.handle(delivery("ws.message", body))
        )
        await started
        handling.cancel()
        with self.assertRaises(CancelledError):
            await handling

    async def test_closed_while_telling(self) -> None:
        """A host that is closed tells no further connection's end."""
        started: Deferred[None] = Deferred()

        async def on_disconnect() -> None:
            reactor.callFromThread(started.callback, None)
            await asyncio.Event().wait()

        self.room(on_disconnect=on_disconnect)
        await self.host.handle(delivery("ws.connect"))
        await self.host.handle(delivery("ws.connect", conn_id=OTHER))
        self.host.origin_lost(WS, [CONN, OTHER])
        await started
        self.host.close()
        await self.runner.stopService()
        self.assertEqual(self.host.connections, 1)
