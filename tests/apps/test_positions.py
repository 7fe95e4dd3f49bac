"""A publisher's word about how far it is."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.positions import EVERY_S, PositionBeats
from tbtwist.boundaries import IncomingCall
from tests.ws.fakes import FakeBus


class PositionBeatTests(SynchronousTestCase):
    """`PositionBeats`."""

    def setUp(self) -> None:
        """Make them, not begun yet."""
        self.clock, self.bus = Clock(), FakeBus()
        self.beats = PositionBeats(self.bus, self.clock)

    def told(self) -> int:
        """Return how often the position was told."""
        expected = ("ws.broadcast", "ws.position")
        for topic, item in self.bus.published:
            self.assertEqual((topic, item.event.type), expected)
        return len(self.bus.published)

    def test_now_and_then(self) -> None:
        """It is told at the beginning, now and then, and at the end."""
        self.beats.start()
        self.assertEqual(self.told(), 1)
        self.clock.advance(EVERY_S)
        self.assertEqual(self.told(), 2)
        self.beats.stop()
        self.assertEqual(self.told(), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_asked(self) -> None:
        """It is told when a new ws worker wants to know."""
        asked = IncomingCall("ws-2.1.aa", "ws.tell_position", None)

        async def ask() -> object:
            return await self.bus.served["ws.tell_position"](asked)

        self.assertIs(self.successResultOf(Deferred.fromCoroutine(ask())), True)
        self.assertEqual(self.told(), 1)

    def test_never_begun(self) -> None:
        """What never began has no last word."""
        self.beats.stop()
        self.assertEqual(self.told(), 0)
