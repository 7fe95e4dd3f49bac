"""Clients that mean no good: what they cost us, and that others are still served."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.response import FileBody, Response
from tbtwist.http.channel import PER_TURN
from tests.conformance.cases import CHUNKED, ECHO, PING, ask
from tests.http.cores import Core, Pieces
from tests.http.memory import MemoryServer, limited

_CROWD = 300
_GIB = 2**30


class SlowlorisTests(SynchronousTestCase):
    """Requests that never get complete (T3)."""

    def setUp(self) -> None:
        """Start the server and let the crowd in."""
        self.server = MemoryServer(limited(lane="auto"))
        self.crowd = [self.server.connect() for _ in range(_CROWD)]

    def drip(self, first: bytes, piece: bytes, seconds: int) -> None:
        """Begin a request, and send a little of it every second."""
        for connection in self.crowd:
            connection.send(first)
        for _ in range(seconds):
            self.server.reactor.advance(1)
            for connection in self.crowd:
                connection.send(piece)
            self.assertEqual(self.server.ask("GET", "/api/Open/add?a=1").status, 200)

    def statuses(self) -> set[int]:
        """Return what the crowd was told."""
        return {r.status for connection in self.crowd for r in connection.replies()}

    def test_heads(self) -> None:
        """A header a second keeps a connection for ten seconds, not for ever."""
        self.drip(b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n", 9)
        self.assertEqual(self.statuses(), set())
        self.drip(b"", b"X-A: b\r\n", 2)
        self.assertEqual(self.statuses(), {408})
        self.assertTrue(all(connection.closing for connection in self.crowd))
        self.server.reactor.pump([1] * 3)
        self.assertTrue(all(c.transport.aborted for c in self.crowd))

    def test_bodies(self) -> None:
        """A byte a second keeps a connection for a minute."""
        self.drip(ask("POST", ECHO, "Content-Length: 1000"), b"x", 58)
        self.assertEqual(self.statuses(), set())
        self.drip(b"", b"x", 3)
        self.assertEqual(self.statuses(), {408})

    def test_silence(self) -> None:
        """Who says nothing may stay for the time of an idle connection."""
        self.server.reactor.advance(74)
        self.assertFalse(any(connection.closing for connection in self.crowd))
        self.server.reactor.advance(2)
        self.assertTrue(all(connection.closing for connection in self.crowd))
        self.assertEqual(self.statuses(), set())

    def test_line_ends(self) -> None:
        """Empty lines are no request, and buy no time."""
        self.drip(b"\r\n", b"\r\n", 11)
        self.assertEqual(self.statuses(), {408})

    def test_large_but_steady(self) -> None:
        """A large body on a thin line is no attack: it keeps its pace."""
        (connection, *_) = self.crowd
        connection.send(ask("POST", ECHO, f"Content-Length: {4 * 2**20}"))
        for _ in range(128):
            connection.send(b"x" * 32768)
            self.server.reactor.advance(1)
        self.assertEqual([r.status for r in connection.replies()], [200])


class BodyTests(SynchronousTestCase):
    """Bodies that are too large cost no memory."""

    def memory_of(self, first: bytes, piece: bytes) -> int:
        """Return the peak while a client sends its GiB, as far as it gets."""
        server = MemoryServer(limited(lane="auto", max_body_bytes=2**20))
        connection = server.connect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        connection.send(first)
        for _ in range(64):
            connection.send(piece)
        _, peak = tracemalloc.get_traced_memory()
        self.assertEqual([r.status for r in connection.replies()], [413])
        self.assertTrue(connection.closing)
        return peak

    def test_announced(self) -> None:
        """A GiB that is announced is refused before it comes."""
        peak = self.memory_of(
            ask("POST", ECHO, f"Content-Length: {_GIB}"), b"x" * 2**16
        )
        self.assertLess(peak, 2**20)

    def test_chunked(self) -> None:
        """A GiB in chunks is refused where the limit is."""
        piece = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        peak = self.memory_of(ask("POST", ECHO, CHUNKED), piece)
        self.assertLess(peak, 4 * 2**20)

    def test_pipelined_without_reading(self) -> None:
        """Who asks and asks while one answer is awaited is not read any more."""
        server = MemoryServer(limited(lane="auto"))
        waiting: Deferred[Response] = Deferred()
        core = Core.before(server)
        core.answer = waiting
        connection = server.connect()
        connection.send(PING)
        for _ in range(40):
            connection.send(PING * 40)
        self.assertEqual(connection.transport.producerState, "paused")
        core.answer = Response(200, (), b"x")
        waiting.callback(core.answer)
        server.reactor.pump([0] * 100)
        self.assertEqual(connection.transport.producerState, "producing")
        self.assertEqual(len(connection.replies()), 1601)

    def test_pipelined_and_answered_at_once(self) -> None:
        """Who asks faster than its turns come is not read any more, and not lost."""
        server = MemoryServer(limited(lane="auto"))
        connection = server.connect()
        for _ in range(40):
            connection.send(PING * 100)
        self.assertEqual(connection.transport.producerState, "paused")
        self.assertEqual(len(connection.replies()), PER_TURN)
        server.reactor.pump([0] * 4000)
        self.assertEqual(connection.transport.producerState, "producing")
        self.assertEqual(len(connection.replies()), 4000 - PER_TURN)
        connection.leave()
        self.assertEqual(server.left_behind(), [])

    def test_answers_that_nobody_takes(self) -> None:
        """Who does not read answers gets no further ones, however many it asks for."""
        server = MemoryServer(limited(lane="auto"))
        connection = server.connect()
        connection.transport.slow = True
        for _ in range(40):
            connection.send(PING * 100)
            server.reactor.advance(0)
        self.assertEqual(connection.transport.producerState, "paused")
        self.assertEqual(server.health.requests_total, 1)
        connection.transport.make_room()
        self.assertEqual(server.health.requests_total, 2)
        connection.transport.slow = False
        connection.transport.make_room()
        server.reactor.pump([0] * 4000)
        self.assertEqual(len(connection.replies()), 4000)
        connection.leave()
        self.assertEqual(server.left_behind(), [])


class SlowReaderTests(SynchronousTestCase):
    """Clients that do not take what they asked for."""

    def setUp(self) -> None:
        """Serve a stream without an end, and one client."""
        self.server = MemoryServer(limited(lane="auto"))
        self.stream = Pieces()
        self.answer_with(Response(200, (), self.stream))
        self.connection = self.server.connect()

    def answer_with(self, response: Response) -> None:
        """Let every request be answered so."""
        Core.before(self.server).answer = response

    def test_stops(self) -> None:
        """A stream waits for its reader; a reader that stopped is cut off."""
        self.stream.limit = 3
        self.stream.on_limit = self.connection.transport.fill
        self.connection.send(PING)
        self.server.reactor.pump([1] * 29)
        self.assertEqual(self.stream.given, 3)
        self.assertFalse(self.connection.transport.aborted)
        self.server.reactor.pump([1] * 2)
        self.assertTrue(self.connection.transport.aborted)
        self.connection.leave()
        self.assertEqual(self.stream.closed, 1)
        self.assertEqual(self.server.health.in_flight, 0)
        self.assertEqual(self.server.left_behind(), [])

    def test_slow_but_reading(self) -> None:
        """A reader that takes a little in time gets everything."""
        body = b"x" * 2**20
        self.answer_with(Response(200, (), body))
        wire = self.connection.transport
        wire.slow = True
        wire.fill()
        self.connection.send(PING)
        received = b""
        for _ in range(17):
            self.server.reactor.pump([1] * 29)
            self.assertFalse(wire.aborted)
            wire.make_room()
            received += wire.value()
            wire.clear()
        self.assertEqual(received.partition(b"\r\n\r\n")[2], body)

    def test_a_file_that_shrinks(self) -> None:
        """An answer that cannot be completed is cut, not passed off as whole."""
        path = Path(self.mktemp())
        path.write_bytes(b"short")
        self.answer_with(Response(200, (), FileBody(path, 100)))
        self.connection.send(PING)
        self.assertTrue(self.connection.transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_leaving(self) -> None:
        """A stream is closed when its reader leaves, and only once."""
        self.stream.limit = 1
        self.stream.on_limit = self.connection.transport.fill
        self.connection.send(PING)
        self.connection.leave()
        self.assertEqual(self.stream.closed, 1)
