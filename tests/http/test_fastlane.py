"""Answers of the core on their way to the client."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.response import FileBody, Response
from tests.conformance.wire import Got, read_all
from tests.http.cores import Core, Pieces
from tests.http.memory import MemoryServer, limited, request_bytes

PATH = "/api/Open/anything"


class FastLaneTestCase(SynchronousTestCase):
    """A server whose core has one answer."""

    def setUp(self) -> None:
        """Start it and connect."""
        self.server = MemoryServer(limited(lane="auto"))
        self.core = Core.before(self.server)
        self.connection = self.server.connect()
        self.addCleanup(self.connection.leave)

    def got(self, method: str = "GET", version: bytes = b"1.1") -> Got:
        """Ask and return the answer."""
        raw = request_bytes(method, PATH).replace(b"HTTP/1.1", b"HTTP/" + version)
        self.connection.send(raw)
        heads = (0,) if method == "HEAD" else ()
        ended = self.connection.closing
        (got,) = read_all(self.connection.transport.value(), heads=heads, ended=ended)
        return got


class BytesTests(FastLaneTestCase):
    """Bodies in memory."""

    def test_one_write(self) -> None:
        """Head and body go out together: one packet."""
        writes: list[bytes] = []
        self.patch(self.connection.transport, "write", writes.append)
        self.core.answer = Response(200, (("X-A", "b"),), b"body")
        self.connection.send(request_bytes("GET", PATH))
        (only,) = writes
        self.assertIn(b"\r\nX-A: b\r\n", only)
        self.assertTrue(only.endswith(b"\r\n\r\nbody"))

    def test_header_injection(self) -> None:
        """A header with a line end in it is never sent; the connection is cut."""
        self.core.answer = Response(200, (("X-A", "b\r\nX-C: d"),), b"body")
        self.connection.send(request_bytes("GET", PATH))
        self.assertEqual(self.connection.transport.value(), b"")
        self.assertTrue(self.connection.transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_leaving(self) -> None:
        """Nobody works for those who have left."""
        cancelled: list[object] = []
        self.core.answer = Deferred(cancelled.append)
        self.connection.send(request_bytes("GET", PATH))
        self.connection.leave()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.server.health.in_flight, 0)


class StreamTests(FastLaneTestCase):
    """Bodies that are made while they are sent."""

    def setUp(self) -> None:
        """Answer with three pieces."""
        super().setUp()
        self.stream = Pieces()
        self.stream.last = 3
        self.core.answer = Response(200, (), self.stream)

    def test_chunks(self) -> None:
        """A stream comes in chunks, and the connection can be used again."""
        self.assertEqual(self.got().body, b"piece" * 3)
        self.assertFalse(self.connection.closing)
        self.assertEqual(self.stream.closed, 1)

    def test_for_old_clients(self) -> None:
        """HTTP/1.0 reads to the end of the connection."""
        got = self.got(version=b"1.0")
        self.assertEqual((got.body, got.headers["connection"]), (b"piece" * 3, "close"))
        self.assertTrue(self.connection.closing)

    def test_known_length(self) -> None:
        """A stream whose length is known says so."""
        self.core.answer = Response(206, (), self.stream, stream_length=15)
        got = self.got()
        self.assertEqual(
            (got.headers["content-length"], got.body), ("15", b"piece" * 3)
        )

    def test_head(self) -> None:
        """HEAD takes nothing of a stream, and closes it."""
        self.assertEqual(self.got("HEAD").body, b"")
        self.assertEqual((self.stream.given, self.stream.closed), (0, 1))

    def test_breaking(self) -> None:
        """A stream that fails cuts the connection: half an answer is none."""

        def fail() -> None:
            msg = "out of pieces"
            raise RuntimeError(msg)

        self.stream.limit, self.stream.on_limit = 2, fail
        self.connection.send(request_bytes("GET", PATH))
        self.assertTrue(self.connection.transport.aborted)
        self.connection.leave()
        self.assertEqual(self.stream.closed, 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_others_have_their_turn(self) -> None:
        """Who streams for long takes no turn from those who wait."""
        server = MemoryServer(limited(lane="auto", max_concurrent=1))
        core = Core.before(server)
        stream = Pieces()
        core.answer = Response(200, (), stream)
        listener = server.connect()
        stream.limit, stream.on_limit = 1, listener.transport.fill
        listener.send(request_bytes("GET", PATH))
        core.answer = Response(200)
        self.assertEqual(server.ask("GET", PATH).status, 200)
        self.assertEqual(server.health.in_flight, 1)
        listener.leave()
        self.assertEqual(server.health.in_flight, 0)


class FileTests(FastLaneTestCase):
    """Files."""

    def setUp(self) -> None:
        """Write one."""
        super().setUp()
        self.path = Path(self.mktemp())
        self.content = bytes(range(256)) * 1024
        self.path.write_bytes(self.content)

    def test_whole(self) -> None:
        """A file arrives whole."""
        self.core.answer = Response(200, (), FileBody(self.path, len(self.content)))
        self.assertEqual(self.got().body, self.content)

    def test_part(self) -> None:
        """A part of it is that part."""
        self.core.answer = Response(206, (), FileBody(self.path, 1000, offset=70_000))
        self.assertEqual(self.got().body, self.content[70_000:71_000])

    def test_gone(self) -> None:
        """A file that went away is a 404."""
        self.core.answer = Response(200, (), FileBody(self.path.with_name("no"), 10))
        self.assertEqual(self.got().status, 404)
