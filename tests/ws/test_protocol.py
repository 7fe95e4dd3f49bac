"""Autobahn around our connection, byte by byte."""

from __future__ import annotations

import json

from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from tbtwist.config.schema import Settings
from tbtwist.events import EventType
from tbtwist.ws import factory
from tbtwist.ws.frames import server_frame
from tests.ws.fakes import item, settings, signed
from tests.ws.wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    WireCase,
    closing,
    frame,
    frames,
    request,
)


class OpenTests(WireCase):
    """The opening handshake."""

    def test_greeting(self) -> None:
        """A client gets its id in the first message."""
        client = self.connect()
        client.send(request())
        head, _, rest = client.take().partition(b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 101 ", head)
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
        [(opcode, greeting)] = frames(rest)
        self.assertEqual(opcode, TEXT)
        self.assertEqual(list(json.loads(greeting)), ["type", "conn_id"])
        self.assertEqual(json.loads(greeting)["type"], "connected")

    def test_silent_about_itself(self) -> None:
        """Nobody learns which software and version answers."""
        client = self.connect()
        client.send(request())
        self.assertNotIn(b"autobahn", client.take().lower())

    def test_in_pieces(self) -> None:
        """A handshake may come byte by byte."""
        client = self.connect()
        for byte in request():
            client.send(bytes([byte]))
        self.assertIn(b"HTTP/1.1 101 ", client.take())

    def test_message_behind_the_handshake(self) -> None:
        """A client need not wait for our answer before its first message."""
        client = self.connect()
        client.send(request() + frame(TEXT, b"early"))
        [lane] = self.bus.lanes.values()
        self.assertEqual(lane.kinds(), ["ws.connect", "ws.message"])

    def test_facts(self) -> None:
        """Path and query arrive at the handler as the client sent them."""
        client = self.connect()
        client.send(request("/ws/Chat/a%20b;c?x=1&y=%2F"))
        [lane] = self.bus.lanes.values()
        facts = lane.items[0].event.payload
        self.assertEqual(
            (facts["path"], facts["query"]), ("/ws/Chat/a%20b;c", "x=1&y=%2F")
        )

    def test_cookie(self) -> None:
        """The session cookie of the handshake counts."""
        client = self.open(f"Cookie: tb_session={signed('u7')}")
        facts = self.lane(client).items[0].event.payload
        self.assertEqual(facts["user_id"], "u7")

    def test_slow_handshake(self) -> None:
        """A client that does not finish its handshake is dropped after 10 s."""
        client = self.connect()
        client.send(request()[:-2])
        self.clock.pump([1.0] * 9)
        self.assertFalse(client.transport.aborted)
        self.clock.pump([1.0] * 2)
        self.assertTrue(client.transport.aborted)

    def test_another_version(self) -> None:
        """A client that speaks another version learns which one we speak."""
        client = self.connect()
        client.send(request().replace(b"Version: 13", b"Version: 8"))
        head, _, body = client.take().partition(b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 426 Upgrade Required", head)
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", head)
        self.assertEqual(json.loads(body)["error"], "UpgradeRequired")
        self.assertTrue(client.transport.disconnecting)

    def test_worker_trouble(self) -> None:
        """If a connection cannot be opened, its client is told, not left hanging."""
        self.bus.refuses_lanes = True
        client = self.connect()
        client.send(request())
        sent = frames(client.take().partition(b"\r\n\r\n")[2])
        self.assertEqual(sent[-1], (CLOSE, closing(1011, "internal error")))
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_handshake_is_forgotten(self) -> None:
        """An open connection does not keep its request's headers in memory."""
        client = self.open("X-Large: " + "x" * 5000)
        held = [str(value) for value in vars(client.protocol).values()]
        self.assertFalse([value for value in held if "xxxx" in value])

    def test_no_secrets_in_the_log(self) -> None:
        """Neither cookie nor query token is ever written to the log."""
        events: list[str] = []

        @implementer(ILogObserver)
        def remember(event: object) -> None:
            events.append(repr(event))

        globalLogPublisher.addObserver(remember)
        self.addCleanup(globalLogPublisher.removeObserver, remember)
        token = signed()
        client = self.connect()
        client.send(request(f"/ws/a?token={token}", f"Cookie: tb_session={token}"))
        client.send(frame(TEXT, b"\xff"))
        self.bus.refuses_lanes = True
        unlucky = self.connect()
        unlucky.send(request(f"/ws/a?token={token}", f"Cookie: tb_session={token}"))
        self.clock.pump([1.0] * 5)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertTrue(events)
        self.assertFalse([event for event in events if token in event])


class CrowdTests(WireCase):
    """More sockets than connections are allowed."""

    def settings(self) -> Settings:
        """Room for one connection."""
        return settings(max_connections=1)

    def test_crowd(self) -> None:
        """Twice the limit is told with 1013, who comes beyond it is refused plainly."""
        self.open()
        second, third = self.connect(), self.connect()
        third.send(request())
        self.assertIn(b"HTTP/1.1 503 ", third.take())
        third.lose()
        second.send(request())
        self.assertIn(closing(1013, "too many connections"), second.take())


class PlainTests(WireCase):
    """Plain HTTP on the same port."""

    def answer(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the status line and the body of the answer to ``data``."""
        client = self.connect()
        client.send(data)
        head, _, body = client.take().partition(b"\r\n\r\n")
        self.assertTrue(client.transport.disconnecting)
        self.assertFalse(client.transport.aborted)
        client.lose()
        return head.split(b"\r\n")[0], body

    def test_health(self) -> None:
        """Monitoring asks the port itself."""
        line, body = self.answer(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(line, b"HTTP/1.1 200 OK")
        self.assertEqual(json.loads(body)["status"], "healthy")

    def test_old_health_check(self) -> None:
        """Health checks of HTTP/1.0 are answered too."""
        line, _ = self.answer(b"GET /ready HTTP/1.0\r\n\r\n")
        self.assertEqual(line, b"HTTP/1.1 200 OK")

    def test_refusals(self) -> None:
        """What is no handshake for us gets a proper answer and a polite end."""
        upgrade = b"GET /ws/a HTTP/1.1\r\nHost: a\r\n\r\n"
        found = [
            self.answer(data)[0]
            for data in (
                upgrade,
                request("/elsewhere"),
                request(method="POST"),
                request("/ws/a", "Origin: https://evil.com"),
                b"\x16\x03\x01 hello\r\n\r\n",
                b"x" * 40_000,
            )
        ]
        self.assertEqual(
            [line.split(b" ")[1] for line in found],
            [b"426", b"404", b"405", b"403", b"400", b"431"],
        )

    def test_quiet(self) -> None:
        """Health checks every few seconds do not fill the log."""
        events: list[LogEvent] = []

        @implementer(ILogObserver)
        def remember(event: LogEvent) -> None:
            events.append(event)

        globalLogPublisher.addObserver(remember)
        self.addCleanup(globalLogPublisher.removeObserver, remember)
        self.answer(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        loud = [event for event in events if event["log_level"] > LogLevel.debug]
        self.assertEqual(loud, [])

    def test_after_the_answer(self) -> None:
        """Whatever follows a refused request is not read."""
        client = self.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.take()
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.take(), b"")


class MessageTests(WireCase):
    """Messages both ways."""

    def test_untouched(self) -> None:
        """Text and binary messages arrive as they were sent."""
        client = self.open()
        client.send(frame(TEXT, "ä".encode()) + frame(BINARY, b"\xff\x00"))
        items = self.lane(client).items[1:]
        self.assertEqual(
            [(each.body, each.event.payload["binary"]) for each in items],
            [("ä".encode(), False), (b"\xff\x00", True)],
        )

    def test_fragments(self) -> None:
        """A message in fragments, with a ping between them, is one message."""
        client = self.open()
        client.send(frame(TEXT, b"one ", fin=False))
        client.send(frame(PING, b"?"))
        client.send(frame(0, b"message"))
        self.assertEqual(self.bodies(client), [b"one message"])
        self.assertEqual(client.frames(), [(PONG, b"?")])

    def test_from_the_application(self) -> None:
        """What the application sends goes out in order, also beyond our limit."""
        client = self.open()
        self.gateway.deliver(item(EventType.WS_SEND, b"{}", conn_id=client.conn_id))
        large = item(
            EventType.WS_SEND, b"x" * 70_000, conn_id=client.conn_id, binary=True
        )
        self.gateway.deliver(large)
        self.assertEqual(client.frames(), [(TEXT, b"{}"), (BINARY, b"x" * 70_000)])

    def test_limit(self) -> None:
        """A message of exactly the limit passes; one byte more is closed with 1009."""
        client = self.open()
        client.send(frame(BINARY, b"x" * 1000))
        self.assertEqual(client.frames(), [])
        client.send(frame(BINARY, b"x" * 1001))
        [(opcode, payload)] = client.frames()
        self.assertEqual((opcode, payload[:2]), (CLOSE, closing(1009)))
        self.assertEqual(self.bodies(client), [b"x" * 1000])

    def test_limit_of_fragments(self) -> None:
        """The limit cannot be got around with fragments."""
        client = self.open()
        client.send(frame(TEXT, b"x" * 600, fin=False))
        client.send(frame(0, b"x" * 600))
        [(opcode, payload)] = client.frames()
        self.assertEqual((opcode, payload[:2]), (CLOSE, closing(1009)))
        self.assertEqual(self.bodies(client), [])

    def test_violations(self) -> None:
        """Broken text is closed with 1007, broken frames with 1002."""
        for data, code in (
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"hi", mask=False), 1002),
            (frame(3, b"hi"), 1002),
        ):
            client = self.open()
            client.send(data)
            opcode, payload = client.frames()[0]
            self.assertEqual((opcode, payload[:2]), (CLOSE, closing(code)))
            self.assertEqual(self.bodies(client), [])

    def test_one_frame_for_all(self) -> None:
        """A broadcast is encoded once and reaches everyone."""
        self.gateway.start()
        clients = [self.open() for _ in range(3)]
        prepared: list[bytes] = []

        def counting(data: bytes, **rest: bool) -> bytes:
            prepared.append(data)
            return server_frame(data, **rest)

        self.patch(factory, "server_frame", counting)
        for body in (b"one", b"two"):
            self.bus.broadcast(item(EventType.WS_BROADCAST_ALL, body))
        self.assertEqual(prepared, [b"one", b"two"])
        for client in clients:
            self.assertEqual(client.frames(), [(TEXT, b"one"), (TEXT, b"two")])
            client.lose()
        self.successResultOf(self.gateway.drain(1.0))
