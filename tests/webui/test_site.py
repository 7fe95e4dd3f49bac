"""The manager's site, byte by byte."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tbtwist.services import Background
from tbtwist.webui.feed import MOST_LISTENERS
from tbtwist.webui.pages import SECURITY
from tbtwist.webui.site import MAX_BODY_BYTES, make_factory
from tbtwist.webui.visitors import IDLE_S
from tests.webui.cases import SECRET, DoorCase


class Wire(StringTransport):
    """A client's end that notices being cut off."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 50_000))
        self.aborted = False

    def abortConnection(self) -> None:
        """Take note."""
        self.aborted = True
        self.disconnecting = True


class SiteCase(DoorCase):
    """A site with a client."""

    def setUp(self) -> None:
        """Make the site."""
        super().setUp()
        self.background = Background()
        self.factory = make_factory(self.door, self.feed, self.background, self.clock)

    def connect(self) -> tuple[Any, Wire]:
        """Return a connection and its wire."""
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50_000))
        wire = Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def exchange(self, head: str, body: bytes = b"") -> bytes:
        """Return what comes back for a request."""
        protocol, wire = self.connect()
        lines = f"{head}\r\nHost: 127.0.0.1:9000\r\n\r\n"
        protocol.dataReceived(lines.encode() + body)
        answer: bytes = wire.value()
        return answer


class AnswerTests(SiteCase):
    """Answers."""

    def test_headers_everywhere(self) -> None:
        """Every answer carries the security headers: page, API, refusal, mistake."""
        for head in (
            "GET / HTTP/1.1",
            "HEAD / HTTP/1.1",
            f"GET /api/status HTTP/1.1\r\nX-Cluster-Secret: {SECRET}",
            "GET /api/status HTTP/1.1",
            "GET /nowhere HTTP/1.1",
            "BREW / HTTP/1.1",
        ):
            answer = self.exchange(head)
            for name, value in SECURITY:
                self.assertIn(f"{name}: {value}\r\n".encode(), answer, head)

    def test_policy_is_strict(self) -> None:
        """No inline script or style runs, and nothing comes from elsewhere."""
        policy = dict(SECURITY)["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        for word in ("unsafe", "http", "data:", "*"):
            self.assertNotIn(word, policy)

    def test_head(self) -> None:
        """HEAD is GET without the body."""
        head, _, body = self.exchange("HEAD / HTTP/1.1").partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"))
        self.assertEqual(b"", body)

    def test_body(self) -> None:
        """A body is read, and what it asks for is done."""
        body = b'{"type": "http", "count": 4}'
        answer = self.exchange(
            f"POST /api/scale HTTP/1.1\r\nX-Cluster-Secret: {SECRET}\r\n"
            f"Content-Length: {len(body)}",
            body,
        )
        self.assertIn(b"200 OK", answer)
        self.assertEqual([("scale", "http", 4)], self.manager.orders)

    def test_too_long(self) -> None:
        """A body that says that it is too long is refused before it comes."""
        answer = self.exchange(
            f"POST /api/scale HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}"
        )
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))

    def test_too_long_in_chunks(self) -> None:
        """One that does not say so is refused when it is too much, and only once."""
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        answer = self.exchange(
            "POST /api/scale HTTP/1.1\r\nTransfer-Encoding: chunked",
            chunk * 3 + b"0\r\n\r\n",
        )
        self.assertEqual(1, answer.count(b"HTTP/1.1 "))
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))

    def test_login_cookie(self) -> None:
        """The cookie arrives as one header of its own."""
        body = b'{"token": "%b"}' % self.gate.visitors.new_link().encode()
        answer = self.exchange(
            f"POST /login HTTP/1.1\r\nContent-Length: {len(body)}", body
        )
        self.assertEqual(1, answer.count(b"Set-Cookie: tbtwist_manager="))

    def test_too_many_connections(self) -> None:
        """Connections are bounded; who leaves makes room."""
        connections = [self.connect()[0] for _ in range(128)]
        address = IPv4Address("TCP", "127.0.0.1", 1)
        self.assertIsNone(self.factory.buildProtocol(address))
        connections[0].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.factory.buildProtocol(address))

    def test_client_leaves(self) -> None:
        """A client that does not wait for its answer hurts nobody."""
        protocol, wire = self.connect()
        protocol.dataReceived(
            f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"X-Cluster-Secret: {SECRET}\r\n\r\n".encode()
        )
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIn(b"200 OK", wire.value())


class StreamTests(SiteCase):
    """The feed over the wire."""

    def listen(self) -> tuple[Any, Wire]:
        """Ask for the feed."""
        protocol, wire = self.connect()
        protocol.dataReceived(
            f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"X-Cluster-Secret: {SECRET}\r\n\r\n".encode()
        )
        return protocol, wire

    def test_begins(self) -> None:
        """The feed begins with everything, and says what it is."""
        _, wire = self.listen()
        self.assertIn(b"text/event-stream", wire.value())
        self.assertIn(b"event: hello\ndata: {", wire.value())

    def test_needs_a_login(self) -> None:
        """Without secret or session nobody reads along."""
        answer = self.exchange("GET /api/events HTTP/1.1")
        self.assertTrue(answer.startswith(b"HTTP/1.1 403"))

    def test_log_out(self) -> None:
        """Who logs out reads no more, in whichever window; who watches is not idle."""
        browser = self.log_in()
        self.feed.start()
        self.addCleanup(self.feed.stop)
        protocol, wire = self.connect()
        protocol.dataReceived(
            f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Cookie: {browser.cookie}\r\n\r\n".encode()
        )
        for _ in range(3):
            self.clock.advance(IDLE_S - 1)
        self.assertEqual(200, browser.get("/api/status").status)
        browser.post("/logout")
        self.clock.advance(1)
        self.assertTrue(wire.value().endswith(b"0\r\n\r\n"))
        wire.clear()
        self.clock.advance(1)
        self.assertEqual(b"", wire.value())

    def test_slow_reader(self) -> None:
        """Who does not keep up misses ticks, is told how many, and holds nobody up."""
        self.feed.start()
        self.addCleanup(self.feed.stop)
        _, wire = self.listen()
        assert wire.producer is not None
        wire.producer.pauseProducing()
        before = wire.value().count(b"event: tick")
        self.clock.pump([1] * 5)
        self.assertEqual(before, wire.value().count(b"event: tick"))
        wire.producer.resumeProducing()
        self.assertIn(b"event: lost", wire.value())
        self.clock.advance(1)
        self.assertEqual(before + 1, wire.value().count(b"event: tick"))

    def test_dead_reader(self) -> None:
        """Who reads nothing at all is cut off before its memory is felt."""
        _, wire = self.listen()
        assert wire.producer is not None
        wire.producer.pauseProducing()
        for number in range(300):
            self.actions.begin(f"thing {number}", "cli")
        self.assertTrue(wire.aborted)

    def test_leaves(self) -> None:
        """Who closes the page is forgotten."""
        protocol, wire = self.listen()
        protocol.connectionLost(Failure(ConnectionDone()))
        wire.clear()
        self.actions.begin("something", "cli")
        self.assertEqual(b"", wire.value())

    def test_too_many(self) -> None:
        """One reader too many is told so, and the others read on."""
        for _ in range(MOST_LISTENERS):
            self.listen()
        _, wire = self.listen()
        self.assertIn(b"event: full", wire.value())

    def test_end(self) -> None:
        """At the manager's end the feed ends in order."""
        _, wire = self.listen()
        self.feed.stop()
        self.assertTrue(wire.value().endswith(b"0\r\n\r\n"))
