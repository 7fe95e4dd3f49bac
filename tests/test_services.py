"""Owners for what runs beside, waiting, and services that stop in order."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.services import Background, wait, wait_until, wait_until_twice


class Trouble(Exception):
    """Something that only these tests raise."""


class BackgroundTests(SynchronousTestCase):
    """`Background`."""

    def setUp(self) -> None:
        """Have one."""
        self.background = Background()
        self.gate: Deferred[None] = Deferred()
        self.log: list[str] = []

    async def work(self) -> None:
        """Wait at the gate, and write down how that went."""
        try:
            await self.gate
            self.log.append("done")
        except CancelledError:
            self.log.append("cancelled")
            raise

    def test_runs(self) -> None:
        """Work goes on without anybody waiting for it."""
        self.background.spawn("work", self.work())
        self.gate.callback(None)
        self.assertEqual(self.log, ["done"])

    def test_failure(self) -> None:
        """A failure is logged, once, with what it was."""
        self.background.spawn("work", self.work())
        self.gate.errback(Trouble("no"))
        [logged] = self.flushLoggedErrors(Trouble)
        self.assertEqual(str(logged.value), "no")

    def test_cancelled(self) -> None:
        """What is cancelled ends, and is no failure."""
        self.background.spawn("one", self.work())
        self.background.cancel_all()
        self.assertEqual(self.log, ["cancelled"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_ended_is_forgotten(self) -> None:
        """What has ended is not cancelled afterwards, and not kept."""
        self.background.spawn("work", self.work())
        self.gate.callback(None)
        self.background.cancel_all()
        self.assertEqual(self.log, ["done"])
        self.assertEqual(self.background._running, set())

    def test_owned(self) -> None:
        """A Deferred of somebody else's is taken care of in the same way."""
        self.background.own("foreign", self.gate)
        self.background.cancel_all()
        self.assertTrue(self.gate.called)
        self.background.own("failed", Deferred())
        late: Deferred[None] = Deferred()
        self.background.own("late", late)
        late.errback(Trouble())
        self.assertEqual(len(self.flushLoggedErrors(Trouble)), 1)


class WaitTests(SynchronousTestCase):
    """`wait` and `wait_until`."""

    def setUp(self) -> None:
        """Have a clock."""
        self.clock = Clock()

    def test_wait(self) -> None:
        """It takes as long as it was told, of the given clock."""
        waiting = Deferred.fromCoroutine(wait(self.clock, 2.0))
        self.clock.advance(1.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        """A wait that is cancelled leaves no timer behind."""
        waiting = Deferred.fromCoroutine(wait(self.clock, 2.0))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def until(self, reached: list[bool], timeout_s: float) -> Deferred[bool]:
        """Wait until there is something in the list."""
        return Deferred.fromCoroutine(
            wait_until(self.clock, lambda: bool(reached), timeout_s)
        )

    def test_reached_already(self) -> None:
        """What is so already takes no time."""
        self.assertTrue(self.successResultOf(self.until([True], 0.0)))

    def test_reached(self) -> None:
        """It comes back soon after it is so."""
        reached: list[bool] = []
        waiting = self.until(reached, 5.0)
        self.clock.pump([0.02] * 10)
        self.assertNoResult(waiting)
        reached.append(True)
        self.clock.advance(0.02)
        self.assertTrue(self.successResultOf(waiting))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_reached(self) -> None:
        """It gives up when the time is over, not before."""
        waiting = self.until([], 1.0)
        self.clock.pump([0.02] * 49)
        self.assertNoResult(waiting)
        self.clock.pump([0.02] * 2)
        self.assertFalse(self.successResultOf(waiting))


class TwiceTests(SynchronousTestCase):
    """`wait_until_twice`."""

    def setUp(self) -> None:
        """Have a clock and something that may change."""
        self.clock = Clock()
        self.reached = False
        self.waiting = Deferred.fromCoroutine(
            wait_until_twice(self.clock, lambda: self.reached, 1.0, 10.0)
        )

    def test_still_so(self) -> None:
        """What is so before and after the pause is so."""
        self.reached = True
        self.clock.pump([0.1] * 5)
        self.assertNoResult(self.waiting)
        self.clock.pump([0.1] * 10)
        self.assertTrue(self.successResultOf(self.waiting))

    def test_not_any_more(self) -> None:
        """What has changed during the pause is waited for again, up to the deadline."""
        self.reached = True
        self.clock.pump([0.1] * 5)
        self.reached = False
        self.clock.pump([0.1] * 50)
        self.assertNoResult(self.waiting)
        self.clock.pump([0.1] * 60)
        self.assertFalse(self.successResultOf(self.waiting))
