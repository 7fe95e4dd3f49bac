"""Requests of the resource tree: what resources may rely on, and may not do."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from typing_extensions import override

from tests.conformance.wire import read_all
from tests.http.memory import Connection, MemoryServer, limited, request_bytes

NEXT = request_bytes("GET", "/health")


class Scripted(Resource):
    """A resource that does what a test wants."""

    isLeaf = 1

    def __init__(self) -> None:
        super().__init__()
        self.request: Any = None
        self.left: list[object] = []

    @override
    def render(self, request: Any) -> int:
        """Keep the request."""
        self.request = request
        finished: Deferred[None] = request.notifyFinish()
        finished.addErrback(self.left.append)
        return NOT_DONE_YET


class TreeTests(SynchronousTestCase):
    """A resource and its request."""

    def setUp(self) -> None:
        """Put the resource where files would be."""
        self.server = MemoryServer(limited())
        self.resource = Scripted()
        front: Any = self.server.site.resource
        front._static = self.resource
        self.connection = self.server.connect()
        self.addCleanup(self.connection.leave)

    def ask(
        self, method: str = "GET", *, version: str = "1.1", body: bytes = b""
    ) -> Any:
        """Send a request; return it as the resource sees it."""
        raw = request_bytes(method, "/page?q=1", {"X-A": "b"}, body)
        self.connection.send(raw.replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1))
        return self.resource.request

    def raw(self) -> bytes:
        """Return what came."""
        return bytes(self.connection.transport.value())

    def test_what_it_sees(self) -> None:
        """Method, path, headers, body, peer and cookies are those of the client."""
        request = self.ask("POST", body=b"a=1")
        self.assertEqual((request.method, request.uri), (b"POST", b"/page?q=1"))
        self.assertEqual(request.getHeader("x-a"), "b")
        self.assertEqual(request.content.read(), b"a=1")
        self.assertEqual(request.args, {b"q": [b"1"]})
        self.assertEqual(request.getClientAddress().host, "192.0.2.1")
        self.assertFalse(request.isSecure())

    def test_large_bodies_are_on_disk(self) -> None:
        """Beyond 64 KiB a body is in a file."""
        request = self.ask("POST", body=b"x" * 70_000)
        self.assertTrue(request.content._rolled)
        self.assertEqual(len(request.content.read()), 70_000)

    def test_chunks(self) -> None:
        """What has no length comes in chunks, and the connection goes on."""
        request = self.ask()
        request.write(b"one")
        request.write(b"two")
        request.finish()
        self.connection.send(NEXT)
        first, second = read_all(self.raw(), ended=False)
        self.assertEqual((first.body, second.status), (b"onetwo", 200))

    def test_for_old_clients(self) -> None:
        """HTTP/1.0 has no chunks: the end of the connection is the end."""
        request = self.ask(version="1.0")
        request.write(b"one")
        self.assertFalse(self.connection.closing)
        request.finish()
        (got,) = read_all(self.raw())
        self.assertEqual((got.body, got.headers["connection"]), (b"one", "close"))
        self.assertTrue(self.connection.closing)

    def test_too_short(self) -> None:
        """A body shorter than its own length cuts the connection."""
        request = self.ask()
        request.setHeader("content-length", "10")
        request.write(b"short")
        request.finish()
        self.assertTrue(self.connection.transport.aborted)

    def test_too_long(self) -> None:
        """What is beyond its own length is not sent: it would be another answer."""
        request = self.ask()
        request.setHeader("content-length", "5")
        request.write(b"short" + b"HTTP/1.1 200 OK\r\n\r\n")
        request.finish()
        (got,) = read_all(self.raw(), ended=False)
        self.assertEqual(got.body, b"short")

    def test_framing_is_ours(self) -> None:
        """A resource cannot set what belongs to the connection, nor split a header."""
        request = self.ask()
        for name, value in (
            ("transfer-encoding", "gzip"),
            ("connection", "upgrade"),
            ("server", "other"),
            ("x-split", "a\r\nX-B: c"),
        ):
            request.responseHeaders.addRawHeader(name, value)
        request.setHeader("content-length", "2")
        request.write(b"ok")
        request.finish()
        (got,) = read_all(self.raw(), ended=False)
        self.assertEqual(got.headers["server"], "tbtwist")
        self.assertNotIn("connection", got.headers)
        self.assertNotIn("transfer-encoding", got.headers)
        self.assertNotIn("x-b", got.headers)

    def test_a_length_that_is_none(self) -> None:
        """A length that is no number is not passed on."""
        request = self.ask()
        request.setHeader("content-length", "many")
        request.write(b"ok")
        request.finish()
        (got,) = read_all(self.raw(), ended=False)
        self.assertEqual(got.body, b"ok")

    def test_no_body_allowed(self) -> None:
        """204 and 304 have none, whatever is written."""
        request = self.ask()
        request.setResponseCode(204)
        request.write(b"nothing")
        request.finish()
        self.connection.send(NEXT)
        self.assertEqual(
            [g.status for g in read_all(self.raw(), ended=False)], [204, 200]
        )

    def test_own_words(self) -> None:
        """A status may have words of its own, on one line."""
        request = self.ask()
        request.setResponseCode(200, b"Fine\r\nX: y")
        request.finish()
        self.assertTrue(self.raw().startswith(b"HTTP/1.1 200 Fine  X: y\r\n"))

    def test_leaving(self) -> None:
        """A resource learns that its client has left, and may go on writing."""
        request = self.ask()
        request.write(b"x")
        self.connection.leave()
        self.assertEqual(len(self.resource.left), 1)
        request.write(b"y")
        self.assertEqual(self.server.health.in_flight, 0)

    def test_breaking_off(self) -> None:
        """An answer that is broken off is not passed off as complete."""
        request = self.ask()
        request.write(b"x")
        request.loseConnection()
        self.assertTrue(self.connection.transport.aborted)

    def test_push_producer(self) -> None:
        """A producer is paused when the client does not read."""
        told: list[str] = []
        request = self.ask()
        request.registerProducer(_Push(told), True)
        self.connection.transport.fill()
        self.connection.transport.make_room()
        request.unregisterProducer()
        self.connection.transport.fill()
        self.assertEqual(told, ["pause", "resume"])

    def test_pull_producer(self) -> None:
        """A pull producer is pulled while there is room, and in turns."""
        request = self.ask()
        producer = _Pulled(request, 30)
        request.registerProducer(producer, False)
        self.assertLess(producer.pulled, 30)
        self.connection.transport.fill()
        pulled = producer.pulled
        self.server.reactor.pump([1, 1])
        self.assertEqual(producer.pulled, pulled)
        self.connection.transport.make_room()
        self.server.reactor.pump([0] * 10)
        (got,) = read_all(self.raw(), ended=False)
        self.assertEqual(got.body, b"x" * 30)

    def test_pull_producer_whose_client_leaves(self) -> None:
        """It is stopped, and pulled no more."""
        request = self.ask()
        producer = _Pulled(request, 30)
        request.registerProducer(producer, False)
        self.connection.leave()
        self.server.reactor.pump([0] * 10)
        self.assertLess(producer.pulled, 30)
        self.assertTrue(producer.stopped)
        self.assertEqual(self.server.left_behind(), [])


class _Push:
    def __init__(self, told: list[str]) -> None:
        self.pauseProducing = lambda: told.append("pause")
        self.resumeProducing = lambda: told.append("resume")
        self.stopProducing = lambda: told.append("stop")


class _Pulled:
    def __init__(self, request: Any, pieces: int) -> None:
        self.request = request
        self.pieces = pieces
        self.pulled = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        self.pulled += 1
        self.request.write(b"x")
        if self.pulled == self.pieces:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


class PacingTests(SynchronousTestCase):
    """WSGI writes wait for room (T4)."""

    def test_order(self) -> None:
        """Calls from a thread wait while the client does not read, and keep order."""
        server = MemoryServer(limited())
        resource = Scripted()
        front: Any = server.site.resource
        front._static = resource
        connection: Connection = server.connect()
        connection.send(request_bytes("GET", "/page"))
        called: list[int] = []
        carrier = resource.request.channel
        connection.transport.fill()
        for number in range(3):
            carrier.call_when_room(lambda n=number: called.append(n))
        self.assertEqual(called, [])
        connection.transport.make_room()
        self.assertEqual(called, [0, 1, 2])
        connection.transport.fill()
        carrier.call_when_room(lambda: called.append(3))
        connection.leave()
        self.assertEqual(called, [0, 1, 2, 3])
