"""The end of a turn."""

from __future__ import annotations

import asyncio

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.turns import Turn, soon_on


class TurnTests(SynchronousTestCase):
    """Once a turn, however often it is wanted."""

    def setUp(self) -> None:
        """Start afresh."""
        self.clock = Clock()
        self.done: list[str] = []
        self.turn = Turn(soon_on(self.clock), lambda: self.done.append("done"))

    def test_once_a_turn(self) -> None:
        """What was wanted twice is done once, and again in another turn."""
        for expected in (1, 2):
            self.turn.wanted()
            self.turn.wanted()
            self.clock.advance(0)
            self.assertEqual(len(self.done), expected)
        self.clock.advance(1)
        self.assertEqual(len(self.done), 2)

    def test_now(self) -> None:
        """It can be done at once, if there is anything to do."""
        self.turn.now()
        self.assertEqual(self.done, [])
        self.turn.wanted()
        self.turn.now()
        self.clock.advance(1)
        self.assertEqual(self.done, ["done"])

    def test_cancelled(self) -> None:
        """What is not wanted any more is not done."""
        self.turn.wanted()
        self.turn.cancel()
        self.turn.cancel()
        self.clock.advance(1)
        self.assertEqual(self.done, [])

    def test_on_a_loop(self) -> None:
        """On an asyncio loop its own queue is used."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.clock._asyncioEventloop = loop  # type: ignore[attr-defined]
        turn = Turn(soon_on(self.clock), lambda: self.done.append("done"))
        turn.wanted()
        turn.cancel()
        turn.wanted()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        loop.call_soon(loop.stop)
        loop.run_forever()
        self.assertEqual(self.done, ["done"])
