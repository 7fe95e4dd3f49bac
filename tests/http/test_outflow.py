"""The way out: order, bounds, and an end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.http.outflow import PIECE, Outflow
from tests.http.memory import Wire


class Recorder:
    """A producer that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.told.append("stop")


class OutflowTests(SynchronousTestCase):
    """What a connection sends."""

    def setUp(self) -> None:
        """Connect."""
        self.clock = Clock()
        self.wire = Wire()
        self.out = Outflow(self.wire, self.clock, 30)

    def test_room(self) -> None:
        """While there is room, what is written goes out."""
        self.out.write(b"a")
        self.out.write(b"b")
        self.assertEqual(self.wire.value(), b"ab")

    def test_full(self) -> None:
        """While there is none it waits, in order, and the reader's time runs."""
        self.wire.fill()
        self.out.write(b"a")
        self.out.write(b"b")
        self.assertEqual((self.wire.value(), self.out.due), (b"", 30))
        self.wire.make_room()
        self.assertEqual((self.wire.value(), self.out.due), (b"ab", float("inf")))

    def test_large(self) -> None:
        """A large body goes out in pieces, each when the last one was taken."""
        self.wire.slow = True
        self.out.write(b"x" * (2 * PIECE + 1))
        self.assertEqual(len(self.wire.value()), PIECE)
        self.clock.advance(29)
        self.wire.make_room()
        self.assertEqual((len(self.wire.value()), self.out.due), (2 * PIECE, 59))
        self.wire.make_room()
        self.assertEqual(len(self.wire.value()), 2 * PIECE + 1)

    def test_close(self) -> None:
        """The connection is closed after the last byte, not before."""
        self.wire.fill()
        self.out.write(b"last")
        self.out.close()
        self.assertFalse(self.wire.disconnecting)
        self.wire.make_room()
        self.assertEqual((self.wire.value(), self.wire.disconnecting), (b"last", True))

    def test_half_close(self) -> None:
        """The client sees the end while we can still hear it."""
        self.out.close_write_side()
        self.assertTrue(self.wire.half_closed)
        self.assertFalse(self.wire.disconnecting)

    def test_producer(self) -> None:
        """A producer is paused, resumed and stopped with the connection."""
        producer = Recorder()
        self.wire.fill()
        self.out.register(producer)
        self.wire.make_room()
        self.out.stopProducing()
        self.assertEqual(producer.told, ["pause", "resume", "stop"])

    def test_drained(self) -> None:
        """Who waits for room goes on when there is some, at once if there is."""
        self.successResultOf(Deferred.fromCoroutine(self.out.drained()))
        self.wire.fill()
        waiting = Deferred.fromCoroutine(self.out.drained())
        self.assertNoResult(waiting)
        self.wire.make_room()
        self.successResultOf(waiting)

    def test_leaving_while_waiting(self) -> None:
        """A wait can be given up; room that comes later disturbs nobody."""
        self.wire.fill()
        waiting = Deferred.fromCoroutine(self.out.drained())
        waiting.cancel()
        self.failureResultOf(waiting)
        self.wire.make_room()
