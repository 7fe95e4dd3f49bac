"""Connections that say nothing."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.handshakes import Handshakes


@attrs.define(eq=False)
class Silent:
    """A connection whose handshake is not done."""

    aborted: bool = False

    def abort(self) -> None:
        """Write it down."""
        self.aborted = True


class HandshakesTests(SynchronousTestCase):
    """Bounded in time and number."""

    def setUp(self) -> None:
        """Give each ten seconds, and room for three."""
        self.clock = Clock()
        self.reasons: list[str] = []
        self.handshakes = Handshakes(self.clock, 10.0, 3, self.reasons.append)

    def begin(self) -> Silent:
        """Let a connection begin."""
        connection = Silent()
        self.handshakes.begin(connection)
        return connection

    def test_deadline(self) -> None:
        """Each has its time from its own beginning."""
        first = self.begin()
        self.clock.advance(4)
        second = self.begin()
        self.clock.advance(5.9)
        self.assertFalse(first.aborted)
        self.clock.advance(0.2)
        self.assertEqual((first.aborted, second.aborted), (True, False))
        self.clock.advance(4)
        self.assertTrue(second.aborted)
        self.assertEqual(self.reasons, ["handshake timeout"] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_done(self) -> None:
        """One that is open is left alone, and no timer is left."""
        connection = self.begin()
        self.handshakes.end(connection)
        self.handshakes.end(connection)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(20)
        self.assertFalse(connection.aborted)

    def test_pushed_out(self) -> None:
        """When there are too many, the oldest goes; the newest is served."""
        first, second, third, fourth = (self.begin() for _ in range(4))
        self.assertTrue(first.aborted)
        self.assertFalse(second.aborted or third.aborted or fourth.aborted)
        self.assertEqual(self.reasons, ["handshake pushed out"])
        self.assertEqual(len(self.handshakes), 3)
        self.handshakes.end(first)
        self.assertEqual(len(self.handshakes), 3)
        for each in (second, third, fourth):
            self.handshakes.end(each)
