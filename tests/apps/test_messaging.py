"""What an application says to the world, and hears from it."""

import asyncio
import datetime as dt
import threading
from typing import Any
from unittest import mock

from msgspec import UNSET
from twisted.internet import reactor as _reactor  # noqa: TID251 - threads cross to it
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.apps import feeds, items, outbox
from tbtwist.apps.crossing import reactor_caller
from tbtwist.apps.encoding import to_json
from tbtwist.apps.items import Message
from tbtwist.apps.outbox import Outbox
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.registry import App
from tbtwist.apps.runner import ReactorRunner
from tbtwist.errors import NoBus, QueueFull, Undeliverable, Unroutable
from tbtwist.events import EventType
from tbtwist.tracing import Trace, awaited_within, current_trace
from tests.apps.fakes import (
    CONN,
    OTHER,
    FakePort,
    QuickRunner,
    direct,
    run,
    stopped,
)
from tests.bus.fakes import Seen, failures_logged

reactor: Any = _reactor
TRACE = Trace("ab" * 16, "cd" * 8, sampled=True)
GONE = Undeliverable(target=CONN, reason="gone")


class Oops(Exception):
    """An application's own error."""


class MessageTests(SynchronousTestCase):
    """Data as WebSocket messages."""

    def test_kinds(self) -> None:
        """Bytes are binary, text is text, anything else is JSON."""
        for data, body, binary in (
            (b"\xff", b"\xff", True),
            (bytearray(b"a"), b"a", True),
            (memoryview(b"a"), b"a", True),
            ("für", "für".encode(), False),
            ("", b"", False),
            ({"a": [1, None]}, b'{"a":[1,null]}', False),
            (5, b"5", False),
            (None, b"null", False),
            ({"at": dt.date(2026, 1, 2)}, b'{"at":"2026-01-02"}', False),
            ({"x": float("nan")}, b'{"x":null}', False),
        ):
            self.assertEqual(Message.of(data), Message(body, binary), data)

    def test_own_classes(self) -> None:
        """What JSON does not know is written as its text."""

        class Color:
            def __str__(self) -> str:
                return "red"

        self.assertEqual(Message.of({"c": Color()}).body, b'{"c":"red"}')

    def test_odd(self) -> None:
        """What JSON has no form for looks as it does over HTTP."""
        endless: list[object] = []
        endless.append(endless)
        for odd in (endless, {(1, 2): {3}, None: 4}, {"a": "\ud800"}):
            self.assertEqual(Message.of(odd).body, to_json(odd))
        self.assertEqual(Message.of("\ud800").body, b"?")


class ItemTests(SynchronousTestCase):
    """The shapes that ws workers expect."""

    def test_send(self) -> None:
        """What is sent rides beside the header, just as it is."""
        item = items.send(CONN, Message(b"\0", binary=True))
        self.assertEqual(item.event.type, EventType.WS_SEND)
        self.assertEqual(item.event.payload, {"conn_id": CONN, "binary": True})
        self.assertEqual((item.body, item.conn_id), (b"\0", CONN))

    def test_membership_and_close(self) -> None:
        """Joining, leaving and closing name the connection and what about it."""
        made = [
            items.join(CONN, "a"),
            items.leave(CONN, "a"),
            items.close(CONN, 4001, "bye"),
        ]
        self.assertEqual(
            [(i.event.type, i.event.payload, i.body) for i in made],
            [
                ("ws.join_channel", {"conn_id": CONN, "channel": "a"}, b""),
                ("ws.leave_channel", {"conn_id": CONN, "channel": "a"}, b""),
                ("ws.close", {"conn_id": CONN, "code": 4001, "reason": "bye"}, b""),
            ],
        )

    def test_broadcasts(self) -> None:
        """A broadcast says who is left out: nobody, one, or several."""
        message = Message(b"x")
        for exclude, ids in (
            ((), []),
            ("", []),
            ("a", ["a"]),
            (("a", "b"), ["a", "b"]),
        ):
            item = items.broadcast("room", message, exclude)
            self.assertEqual(
                item.event.payload, {"channel": "room", "exclude": ids, "binary": False}
            )
            item = items.broadcast_all(message, exclude)
            self.assertEqual(item.event.payload, {"exclude": ids, "binary": False})
            self.assertEqual(item.event.type, EventType.WS_BROADCAST_ALL)


class ConnectedTestCase(SynchronousTestCase):
    """An application on a bus, all in one thread."""

    def setUp(self) -> None:
        """An application, its bus, and its runner."""
        self.app = App(pool=SyncPool(1, 5), timeout_s=7.0)
        self.addCleanup(stopped, self.app.pool)
        self.port = FakePort()
        self.runner = QuickRunner()
        self.app.connect_bus(self.port, direct, self.runner)

    def sent(self) -> list[tuple[str, dict[str, Any], bytes]]:
        """Return what was sent to connections."""
        return [
            (str(i.event.type), dict(i.event.payload), i.body) for i in self.port.sent
        ]

    def published(self) -> list[tuple[str, str, dict[str, Any], bytes]]:
        """Return what was published."""
        return [
            (topic, str(i.event.type), dict(i.event.payload), i.body)
            for topic, i in self.port.published
        ]


class WebSocketVerbTests(ConnectedTestCase):
    """The ws_ verbs."""

    def test_send(self) -> None:
        """A message goes to its connection, and the sender hears that it does."""
        self.assertIs(self.app.ws_send(CONN, {"a": 1}), True)
        self.assertIs(self.app.ws_send(CONN, b"\0"), True)
        self.assertEqual(
            self.sent(),
            [
                ("ws.send", {"conn_id": CONN, "binary": False}, b'{"a":1}'),
                ("ws.send", {"conn_id": CONN, "binary": True}, b"\0"),
            ],
        )

    def test_membership_and_close(self) -> None:
        """Joins, leaves and closes take the same way, so they keep their order."""
        self.assertIs(self.app.ws_join_channel(CONN, "a"), True)
        self.assertIs(self.app.ws_leave_channel(CONN, "a"), True)
        self.assertIs(self.app.ws_close(CONN), True)
        self.assertIs(self.app.ws_close(CONN, 4001, "bye"), True)
        self.assertEqual(
            [(kind, payload.get("code")) for kind, payload, _ in self.sent()],
            [
                ("ws.join_channel", None),
                ("ws.leave_channel", None),
                ("ws.close", 1000),
                ("ws.close", 4001),
            ],
        )

    def test_broadcast(self) -> None:
        """Broadcasts are published for the ws workers."""
        self.assertIs(self.app.ws_broadcast("room", "hi", [CONN]), True)
        self.assertIs(self.app.ws_broadcast_all(b"\0"), True)
        self.assertEqual(
            self.published(),
            [
                (
                    "ws.broadcast",
                    "ws.broadcast_channel",
                    {"channel": "room", "exclude": [CONN], "binary": False},
                    b"hi",
                ),
                (
                    "ws.broadcast",
                    "ws.broadcast_all",
                    {"exclude": [], "binary": True},
                    b"\0",
                ),
            ],
        )

    def test_notification(self) -> None:
        """A notification has ToolBoxV2's shape and goes where it is sent."""
        self.app.send_notification("T", "C", CONN, icon="i.png")
        self.app.send_notification("T", "C", channel="room", level="warning")
        self.app.send_notification("T", "C")
        (_, _, body) = self.sent()[0]
        self.assertEqual(
            body,
            b'{"type":"notification","data":'
            b'{"title":"T","content":"C","level":"info","icon":"i.png"}}',
        )
        kinds = [
            (kind, payload.get("channel")) for _, kind, payload, _ in self.published()
        ]
        self.assertEqual(
            kinds, [("ws.broadcast_channel", "room"), ("ws.broadcast_all", None)]
        )

    def test_notification_for_nobody(self) -> None:
        """One for a connection without a name does not go to everybody."""
        self.assertIs(self.app.send_notification("T", "C", conn_id=""), False)
        self.assertEqual(self.port.published, [])

    def test_foreign_id(self) -> None:
        """An id that no ws worker gave out is refused at once."""
        for conn_id in ("", "x", "0b0c7f0e-3f43-4c52-9d39-0f4c3a1f3a11"):
            self.assertIs(self.app.ws_send(conn_id, "hi"), False)
        self.assertEqual(self.port.sent, [])

    def test_refused(self) -> None:
        """What the bus refuses at once is False."""
        self.port.refusal = GONE
        self.assertIs(self.app.ws_send(CONN, "hi"), False)

    def test_publication_refused(self) -> None:
        """A broadcast that the bus has no room for breaks nothing."""
        self.port.refusal = QueueFull(target="x", limit="1")
        self.assertIs(self.app.ws_broadcast("room", "hi"), True)
        self.assertEqual(self.port.published, [])

    def test_bug_in_the_bus(self) -> None:
        """An error that is nobody's fault but ours is logged."""
        self.port.refusal = Oops()
        self.assertIs(self.app.ws_send(CONN, "hi"), False)
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_confirmed(self) -> None:
        """Who wants to know waits until the message has been taken."""
        self.port.open = []

        async def use() -> None:
            waiting = asyncio.ensure_future(self.app.ws_send_confirmed(CONN, "hi"))
            await asyncio.sleep(0)
            self.assertFalse(waiting.done())
            assert self.port.open
            self.port.open[0].callback(None)
            await waiting

        run(use())
        self.assertEqual(self.sent()[0][2], b"hi")

    def test_not_confirmed(self) -> None:
        """Or learns why it was not."""
        self.port.refusal = GONE
        with self.assertRaises(Undeliverable):
            run(self.app.ws_send_confirmed(CONN, "hi"))

    def test_presence(self) -> None:
        """Who is in a channel is asked of every ws worker; joining may announce it."""
        ann, bob = ({"conn_id": name, "user_name": name} for name in ("ann", "bob"))
        self.port.answer = [[ann], [], [bob]]
        self.assertEqual(run(self.app.ws_presence("a")), [ann, bob])
        asked = ("ws*", "ws.presence", {"channel": "a"}, 5.0)
        self.assertEqual(self.port.calls, [asked])
        self.app.ws_join_channel(CONN, "a", presence=True)
        payload = self.port.sent[0].event.payload
        self.assertEqual(payload, {"conn_id": CONN, "channel": "a", "presence": True})


class BoundTests(SynchronousTestCase):
    """Sends that are under way are bounded."""

    def test_bound(self) -> None:
        """When too much is under way, senders are told, and it is counted."""
        with mock.patch.object(outbox, "MAX_PENDING", 2):
            port = FakePort(open=[])
            box = Outbox(port, direct)
            item = items.send(CONN, Message(b"x"))
            self.assertEqual([box.send(item) for _ in "abc"], [True, True, False])
            self.assertEqual(box.refused, 1)
            assert port.open
            port.open[0].callback(None)
            self.assertEqual([box.send(item) for _ in "ab"], [True, False])

    def test_failures_make_room(self) -> None:
        """What could not be delivered is not under way any more."""
        with mock.patch.object(outbox, "MAX_PENDING", 1):
            port = FakePort(open=[])
            box = Outbox(port, direct)
            self.assertTrue(box.send(items.send(CONN, Message(b"x"))))
            assert port.open
            port.open[0].errback(GONE)
            self.assertTrue(box.send(items.send(OTHER, Message(b"x"))))


class NoBusTests(SynchronousTestCase):
    """An application without a bus, as under a plain WSGI server."""

    def test_verbs(self) -> None:
        """The verbs that answer True or False answer False."""
        app = App()
        self.assertEqual(
            {
                app.ws_send(CONN, "x"),
                app.ws_broadcast("a", "x"),
                app.ws_broadcast_all("x"),
                app.ws_join_channel(CONN, "a"),
                app.ws_leave_channel(CONN, "a"),
                app.ws_close(CONN),
                app.send_notification("a", "b"),
                app.publish("a", {}),
            },
            {False},
        )
        self.assertEqual((app.events_dropped, app.sends_refused), (0, 0))

    def test_awaitables(self) -> None:
        """Those that wait for an answer raise."""
        app = App()
        with self.assertRaises(NoBus):
            run(app.ws_send_confirmed(CONN, "x"))
        with self.assertRaises(NoBus):
            run(app.call("http", "stock", {}))
        with self.assertRaises(NoBus):
            run(app.ws_presence("a"))

    def test_disconnected(self) -> None:
        """After leaving the bus it is like that again."""
        app, port = App(), FakePort()
        app.on_event("orders")(lambda payload: payload)
        app.connect_bus(port, direct, QuickRunner())
        app.close()
        app.close()
        self.assertIs(app.ws_send(CONN, "x"), False)
        self.assertTrue(port.subscriptions[0].cancelled)


class EventTests(ConnectedTestCase):
    """publish and on_event."""

    def test_publish(self) -> None:
        """An event is published under the application's own topics, as plain values."""
        self.app.publish("orders", {"at": dt.date(2026, 1, 2), "raw": b"\0"})
        self.assertEqual(
            self.published(),
            [("app.orders", "custom", {"at": "2026-01-02", "raw": b"\0"}, b"")],
        )

    def test_odd_values(self) -> None:
        """What the bus has no form for travels as it would look in JSON."""
        self.app.publish("orders", {"x": {(1, 2): {3}, None: "\ud800"}})
        expected = {"x": {"(1, 2)": [3], "null": "?"}}
        self.assertEqual(self.published(), [("app.orders", "custom", expected, b"")])

    def test_handlers(self) -> None:
        """Handlers of both kinds get the payload, in the order of the events."""
        seen: list[object] = []

        @self.app.on_event("orders")
        async def later(payload: dict[str, Any]) -> None:
            await asyncio.sleep(0)
            seen.append(("later", payload["n"]))

        @self.app.on_event("orders")
        def quick(payload: dict[str, Any]) -> None:
            seen.append((threading.current_thread().name, payload["n"]))

        for number in (1, 2):
            self.port.tell("app.orders", {"n": number})
        self.port.tell("app.other", {"n": 3})
        self.assertEqual(seen, [("later", 1), ("app-1", 1), ("later", 2), ("app-1", 2)])
        self.assertEqual(self.runner.timeouts, [7.0] * 4)

    def test_registered_before(self) -> None:
        """Handlers of a module that was imported before the bus came are heard."""
        app, port = App(), FakePort()
        seen: list[object] = []

        @app.on_event("orders")
        async def handler(payload: object) -> None:
            seen.append(payload)

        app.connect_bus(port, direct, QuickRunner())
        port.tell("app.orders", {"n": 1})
        self.assertEqual(seen, [{"n": 1}])

    def test_connected_again(self) -> None:
        """They are heard on the next bus as well."""
        seen: list[object] = []

        @self.app.on_event("orders")
        async def handler(payload: object) -> None:
            seen.append(payload)

        self.app.disconnect_bus()
        port = FakePort()
        self.app.connect_bus(port, direct, QuickRunner())
        self.port.tell("app.orders", {"n": 1})
        port.tell("app.orders", {"n": 2})
        self.assertEqual(seen, [{"n": 2}])

    def test_failure(self) -> None:
        """A handler that raises is logged, and gets the next event all the same."""
        seen: list[object] = []

        @self.app.on_event("orders")
        async def handler(payload: dict[str, Any]) -> None:
            seen.append(payload["n"])
            raise Oops

        self.port.tell("app.orders", {"n": 1})
        self.port.tell("app.orders", {"n": 2})
        self.assertEqual(seen, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 2)


class FeedTests(SynchronousTestCase):
    """Events for a handler that takes its time."""

    def setUp(self) -> None:
        """A feed whose handler is never done by itself."""
        self.running: list[tuple[object, Deferred[None]]] = []
        self.feed = feeds.EventFeed("orders", self.fail, self.begin)
        self.port = FakePort()
        self.port.subscribe("t", self.feed.take)

    def begin(self, _handler: object, payload: object) -> Deferred[None]:
        """Begin to handle."""
        done: Deferred[None] = Deferred()
        self.running.append((payload, done))
        return done

    def test_one_after_another(self) -> None:
        """The next event waits for the one before."""
        self.port.tell("t", {"n": 1})
        self.port.tell("t", {"n": 2})
        self.assertEqual([payload for payload, _ in self.running], [{"n": 1}])
        self.running[0][1].callback(None)
        self.assertEqual([payload for payload, _ in self.running], [{"n": 1}, {"n": 2}])
        self.running[1][1].callback(None)
        self.port.tell("t", {"n": 3})
        self.assertEqual(len(self.running), 3)
        self.feed.close()

    def test_too_slow(self) -> None:
        """What a slow handler has no room for is dropped and counted."""
        with mock.patch.object(feeds, "MAX_WAITING", 2):
            for number in range(5):
                self.port.tell("t", {"n": number})
        self.assertEqual(self.feed.dropped, 2)
        self.feed.close()

    def test_close(self) -> None:
        """Closing cancels what runs, and forgets what waits."""
        self.port.tell("t", {"n": 1})
        self.port.tell("t", {"n": 2})
        self.feed.close()
        self.assertEqual(len(self.running), 1)
        self.assertTrue(self.running[0][1].called)


class AskTests(ConnectedTestCase):
    """call and serve."""

    def test_call(self) -> None:
        """Another worker can be asked, and answers."""
        self.port.answer = {"tea": 3}
        answer = run(self.app.call("http-1", "stock", {"of": "tea"}, timeout_s=2))
        self.assertEqual(answer, {"tea": 3})
        self.assertEqual(self.port.calls, [("http-1", "app.stock", {"of": "tea"}, 2)])

    def test_defaults(self) -> None:
        """Nothing needs to be said, and five seconds are enough."""
        run(self.app.call("http", "stock"))
        self.assertEqual(self.port.calls, [("http", "app.stock", None, 5.0)])

    def test_failure(self) -> None:
        """Why there is no answer is raised."""
        self.port.refusal = Unroutable(target="http-9")
        with self.assertRaises(Unroutable):
            run(self.app.call("http-9", "stock", {}))

    def test_neither(self) -> None:
        """What is neither a function nor a worker cannot be called."""
        wrong: Any = 5
        with self.assertRaises(TypeError):
            run(self.app.call(wrong, {}))

    def test_serve(self) -> None:
        """A function answers the calls of others, whatever its kind."""

        @self.app.serve("stock")
        async def stock(payload: dict[str, Any]) -> object:
            return {"of": payload["of"], "at": dt.date(2026, 1, 2)}

        @self.app.serve("twice")
        def twice(payload: int) -> int:
            return payload * 2

        answer = self.successResultOf(
            Deferred.fromCoroutine(self.port.ask("app.stock", {"of": "tea"}))
        )
        self.assertEqual(answer, {"of": "tea", "at": "2026-01-02"})
        answer = self.successResultOf(
            Deferred.fromCoroutine(self.port.ask("app.twice", 4))
        )
        self.assertEqual(answer, 8)

    def test_served_before(self) -> None:
        """What was registered before the bus came is served as well."""
        app, port = App(), FakePort()
        app.serve("stock")(lambda payload: payload)
        app.connect_bus(port, direct, QuickRunner())
        self.assertIn("app.stock", port.served)


class ThreadTests(TestCase):
    """The verbs from any thread."""

    timeout = 30

    def setUp(self) -> None:
        """An application in a real worker's surroundings."""
        self.app = App(pool=SyncPool(2, 10))
        self.port = FakePort()
        self.runner = ReactorRunner(reactor)
        self.app.connect_bus(self.port, reactor_caller(reactor), self.runner)
        self.addCleanup(self.app.close)
        self.addCleanup(self.runner.stopService)
        self.addCleanup(stopped, self.app.pool)

    async def test_from_the_pool(self) -> None:
        """What a plain function sends arrives in order, on the reactor's thread."""

        def func() -> list[bool]:
            return [self.app.ws_send(CONN, str(n)) for n in range(20)]

        self.app.tb("func", "Mod")(func)
        function = self.app.find("Mod", "func")
        assert function is not None
        result = await self.runner.run(
            lambda: self.app.call(function, {}), timeout_s=60
        )
        self.assertEqual(set(result.get()), {True})
        self.assertEqual(
            [i.body for i in self.port.sent], [b"%d" % n for n in range(20)]
        )
        self.assertEqual(set(self.port.threads), {threading.main_thread().name})

    async def test_from_a_coroutine(self) -> None:
        """So does what a coroutine sends, and it can wait for other workers."""
        self.port.answer = 5

        async def work() -> object:
            self.app.ws_send(CONN, "a")
            await self.app.ws_send_confirmed(CONN, "b")
            return await self.app.call("http-1", "stock", {})

        self.assertEqual(await self.runner.run(work, timeout_s=60), 5)
        self.assertEqual([i.body for i in self.port.sent], [b"a", b"b"])
        self.assertEqual(set(self.port.threads), {threading.main_thread().name})

    async def test_registering_late(self) -> None:
        """Handlers can be registered from a thread while the bus is there."""
        heard: Deferred[object] = Deferred()

        def register() -> None:
            @self.app.on_event("orders")
            async def handler(payload: object) -> None:
                reactor.callFromThread(heard.callback, payload)

            reactor.callFromThread(done.callback, None)

        done: Deferred[None] = Deferred()
        thread = threading.Thread(target=register)
        thread.start()
        await done
        thread.join()
        self.port.tell("app.orders", {"n": 1})
        self.assertEqual(await heard, {"n": 1})


class TraceTests(TestCase):
    """What an application says under a trace says so."""

    timeout = 30

    def setUp(self) -> None:
        """An application in a real worker's surroundings."""
        self.app = App(pool=SyncPool(2, 10))
        self.port = FakePort()
        self.runner = ReactorRunner(reactor)
        self.app.connect_bus(self.port, reactor_caller(reactor), self.runner)
        self.addCleanup(self.app.close)
        self.addCleanup(self.runner.stopService)
        self.addCleanup(stopped, self.app.pool)

    def speak(self) -> None:
        """Say something of each kind."""
        self.app.ws_send(CONN, "a")
        self.app.ws_broadcast("Chat/room", "b")
        self.app.publish("sold", {"of": "tea"})

    def said(self) -> list[object]:
        """Return the traces of what was said, and forget it."""
        events = [i.event for i in self.port.sent]
        events += [i.event for _, i in self.port.published]
        self.port.sent.clear()
        self.port.published.clear()
        return [event.traceparent for event in events]

    async def test_verbs(self) -> None:
        """From a coroutine and from a thread; and nothing without a trace."""

        async def coroutine() -> None:
            self.speak()

        async def thread() -> None:
            await self.app.pool.run(self.speak)

        for work in (coroutine, thread):
            for trace, expected in ((TRACE, TRACE.traceparent), (None, UNSET)):
                await awaited_within(trace, self.runner.run, work, timeout_s=60)
                await deferLater(reactor, 0)
                self.assertEqual(self.said(), [expected] * 3, work)

    async def test_awaited(self) -> None:
        """So do calls, and sends that are waited for."""

        async def work() -> None:
            await self.app.ws_send_confirmed(CONN, "b")
            await self.app.call("http-1", "stock", {})

        for trace in (TRACE, None):
            await awaited_within(trace, self.runner.run, work, timeout_s=60)
        self.assertEqual(self.port.traces, [TRACE, None])
        self.assertEqual(self.said(), [TRACE.traceparent, UNSET])

    async def test_the_bus_is_under_none(self) -> None:
        """What the bus itself starts on behalf of it is not under the trace."""
        seen: list[object] = []
        self.patch(FakePort, "send", lambda *_: _noted(seen))
        self.patch(FakePort, "publish", lambda *_: seen.append(current_trace()))
        self.patch(FakePort, "call", lambda *_, **__: _noted(seen))

        async def work() -> None:
            self.speak()
            await self.app.ws_send_confirmed(CONN, "b")
            await self.app.call("http-1", "stock", {})
            seen.append(current_trace())

        await awaited_within(TRACE, self.runner.run, work, timeout_s=60)
        self.assertEqual(seen, [None] * 5 + [TRACE])

    async def test_event(self) -> None:
        """A handler of events works in a span below the publisher's, also in a thread."""
        heard: Seen[Trace | None] = Seen()

        @self.app.on_event("orders")
        async def coroutine(_: object) -> None:
            heard(current_trace())

        @self.app.on_event("orders")
        def thread(_: object) -> None:
            reactor.callFromThread(heard, current_trace())

        self.port.tell("app.orders", {}, TRACE)
        await heard.count(2)
        for trace in heard.things:
            assert trace is not None
            self.assertEqual(
                (trace.trace_id, trace.parent_id), (TRACE.trace_id, TRACE.span_id)
            )
        self.port.tell("app.orders", {})
        await heard.count(4)
        self.assertEqual(heard.things[2:], [None, None])

    async def test_failing_event(self) -> None:
        """What it raises is logged under its trace."""
        logged = failures_logged(self)

        @self.app.on_event("orders")
        async def handler(_: object) -> None:
            raise Oops

        self.port.tell("app.orders", {}, TRACE)
        await logged.count(1)
        (trace,) = logged.things
        assert trace is not None
        self.assertEqual(trace.trace_id, TRACE.trace_id)
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)


def _noted(seen: list[object]) -> Deferred[None]:
    seen.append(current_trace())
    return succeed(None)
