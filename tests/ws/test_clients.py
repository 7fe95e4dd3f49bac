"""A real port, and clients that are not ours."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from typing import Any, TypeVar

import txaio.tx
from twisted.internet import reactor  # noqa: TID251 - the runner's own reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tbtwist.events import EventType, Item
from tbtwist.net.listening import bind_tcp, port_of, serve
from tbtwist.services import wait_until
from tbtwist.ws.factory import make_factory
from tbtwist.ws.gateway import Gateway
from tests.ws.fakes import (
    IDENTITY,
    START,
    FakeBus,
    FakeLane,
    FakeVerifier,
    counting_random,
    identifier,
    item,
    settings,
    signed,
)

T = TypeVar("T")
REACTOR: Any = reactor
PATIENCE_S = 10


class EchoLane(FakeLane):
    """A lane whose handler sends every message back."""

    def forward(self, item: Item) -> bool:
        """Answer as an http worker would, a little later."""
        if item.event.type == EventType.WS_MESSAGE:
            REACTOR.callLater(0, self.events.on_replies, [echo(item)])
        return super().forward(item)


def echo(message: Item) -> Item:
    """Return the reply that sends a message back."""
    binary = message.event.payload["binary"]
    return item(EventType.WS_SEND, message.body, conn_id=message.conn_id, binary=binary)


class EchoBus(FakeBus):
    """A bus on which somebody echoes."""

    def open_lane(self, key: str, events: Any) -> FakeLane:
        """Open a lane to the echo."""
        self.lanes[key] = EchoLane(key, events, self.log)
        return self.lanes[key]


class ClientTests(TestCase):
    """The gateway as the world sees it."""

    timeout = 30

    def setUp(self) -> None:
        """Listen on a free port."""
        self.patch(txaio.tx.config, "loop", REACTOR)
        configured = settings(max_message_size=100_000, compression=True)
        self.bus = EchoBus()
        self.verifier = FakeVerifier()
        self.gateway = Gateway(
            self.bus,
            configured,
            identifier(self.verifier),
            IDENTITY,
            REACTOR,
            lambda: START,
            counting_random(),
        )
        self.gateway.start()
        self.factory: Any = make_factory(
            self.gateway, configured.ws_worker, REACTOR, self.gateway.counts
        )
        with contextlib.closing(
            bind_tcp("127.0.0.1", 0, backlog=10, what="ws-1")
        ) as listener:
            self.port = port_of(listener)
            self.listening: Any = serve(REACTOR, listener, self.factory, backlog=10)
        self.pool = ThreadPool(0, 4, name="clients")
        self.pool.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.clean_up()))

    async def clean_up(self) -> None:
        """Stop listening, and wait until the server has lost its last client."""
        self.pool.stop()
        await self.listening.stopListening()
        await self.gateway.drain(PATIENCE_S)
        gone = await wait_until(
            REACTOR, lambda: self.factory.countConnections == 0, PATIENCE_S
        )
        self.assertTrue(gone)

    def in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        """Run a blocking client."""
        return deferToThreadPool(REACTOR, self.pool, work)

    def connect(
        self, *, deflate: bool = False, origin: str | None = None
    ) -> ClientConnection:
        """Open a WebSocket (blocking)."""
        return connect(
            f"ws://127.0.0.1:{self.port}/ws/Chat/room",
            open_timeout=PATIENCE_S,
            max_size=None,
            compression="deflate" if deflate else None,
            origin=None if origin is None else Origin(origin),
        )

    def test_both_ways(self) -> Deferred[None]:
        """Text, binary and large messages come back as they went, after the id."""

        def client() -> list[str | bytes]:
            with self.connect() as ws:
                greeting = json.loads(ws.recv(PATIENCE_S))
                self.assertEqual(greeting["type"], "connected")
                for message in ("ä", b"\x00\xff", "", "x" * 100_000):
                    ws.send(message)
                return [ws.recv(PATIENCE_S) for _ in range(4)]

        async def check() -> None:
            got = await self.in_thread(client)
            self.assertEqual(got, ["ä", b"\x00\xff", "", "x" * 100_000])

        return Deferred.fromCoroutine(check())

    def test_compression(self) -> Deferred[None]:
        """Where it is configured and offered, messages travel compressed."""

        def client() -> tuple[str | bytes, str]:
            with self.connect(deflate=True) as ws:
                ws.recv(PATIENCE_S)
                ws.send("x" * 50_000)
                assert ws.response is not None
                chosen = ws.response.headers["Sec-WebSocket-Extensions"]
                return ws.recv(PATIENCE_S), chosen

        async def check() -> None:
            echoed, chosen = await self.in_thread(client)
            self.assertEqual(echoed, "x" * 50_000)
            self.assertIn("permessage-deflate", chosen)
            self.assertIn("client_no_context_takeover", chosen)

        return Deferred.fromCoroutine(check())

    def test_too_big(self) -> Deferred[None]:
        """A message over the limit closes the connection with 1009."""

        def client() -> int | None:
            with self.connect() as ws:
                ws.recv(PATIENCE_S)
                ws.send(b"x" * 100_001)
                with self.assertRaises(ConnectionClosed) as caught:
                    ws.recv(PATIENCE_S)
                received = caught.exception.rcvd
                return None if received is None else received.code

        async def check() -> None:
            self.assertEqual(await self.in_thread(client), 1009)

        return Deferred.fromCoroutine(check())

    def test_ping(self) -> Deferred[None]:
        """A client's ping is answered."""

        def client() -> bool:
            with self.connect() as ws:
                return ws.ping(b"are you there?").wait(PATIENCE_S)

        async def check() -> None:
            self.assertTrue(await self.in_thread(client))

        return Deferred.fromCoroutine(check())

    def test_foreign_origin(self) -> Deferred[None]:
        """A page of another site is refused with 403."""

        def client() -> int:
            with self.assertRaises(InvalidStatus) as caught:
                self.connect(origin="https://evil.com")
            return int(caught.exception.response.status_code)

        async def check() -> None:
            self.assertEqual(await self.in_thread(client), 403)

        return Deferred.fromCoroutine(check())

    def test_token_as_subprotocol(self) -> Deferred[None]:
        """A browser's client logs in by subprotocol, and agrees on the plain one."""

        def client() -> str | None:
            offered = [Subprotocol("bearer." + signed("u9")), Subprotocol("chat.v1")]
            url = f"ws://127.0.0.1:{self.port}/ws/Chat/room"
            with connect(url, subprotocols=offered) as ws:
                ws.recv(PATIENCE_S)
                return ws.subprotocol

        async def check() -> None:
            self.assertEqual(await self.in_thread(client), "chat.v1")
            [lane] = self.bus.lanes.values()
            self.assertEqual(lane.items[0].event.payload["user_id"], "u9")

        return Deferred.fromCoroutine(check())

    def test_health(self) -> Deferred[None]:
        """The same port answers health checks over plain HTTP."""

        def client() -> list[tuple[int, str]]:
            found = []
            for path in ("/health", "/ready", "/ws/Chat/room", "/else"):
                with contextlib.closing(
                    http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE_S)
                ) as plain:
                    plain.request("GET", path)
                    answer = plain.getresponse()
                    body = json.loads(answer.read())
                    found.append((answer.status, body.get("status", "")))
            return found

        async def check() -> None:
            got = await self.in_thread(client)
            self.assertEqual(
                got, [(200, "healthy"), (200, "ready"), (426, ""), (404, "")]
            )

        return Deferred.fromCoroutine(check())

    def test_drain(self) -> Deferred[None]:
        """A client of a worker that is replaced hears 1012, and the handler too."""
        draining: list[Deferred[None]] = []

        def client() -> int | None:
            with self.connect() as ws:
                ws.recv(PATIENCE_S)
                REACTOR.callFromThread(
                    lambda: draining.append(self.gateway.drain(PATIENCE_S))
                )
                with self.assertRaises(ConnectionClosed) as caught:
                    ws.recv(PATIENCE_S)
                received = caught.exception.rcvd
                return None if received is None else received.code

        async def check() -> None:
            self.assertEqual(await self.in_thread(client), 1012)
            await draining[0]
            [lane] = self.bus.lanes.values()
            self.assertEqual(lane.items[-1].event.payload["code"], 1012)

        return Deferred.fromCoroutine(check())

    def test_slow_reader(self) -> Deferred[None]:
        """A client that does not read is closed, and costs a bounded amount."""

        def client() -> int:
            got = 0
            with self.connect() as ws:
                REACTOR.callFromThread(self.flood)
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        got += len(ws.recv(PATIENCE_S))
            return got

        async def check() -> None:
            self.assertLess(await self.in_thread(client), 50_000_000)
            self.assertEqual(self.gateway.counts.closes, {1013: 1})

        return Deferred.fromCoroutine(check())

    def flood(self) -> None:
        """Send 100 MB to every client, without looking."""
        for conn_id in self.bus.lanes:
            for _ in range(1000):
                body = b"x" * 100_000
                flooding = item(EventType.WS_SEND, body, conn_id=conn_id, binary=True)
                if self.gateway.deliver(flooding) is not None:
                    break
