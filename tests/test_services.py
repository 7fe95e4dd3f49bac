"""Owners for what runs beside, waiting, and services that stop in order."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.services import Background, SequentialService, wait, wait_until


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


class Child(Service):
    """A service that writes into a shared log and stops when it is told."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.setName(name)
        self._log = log
        self.stopping: Deferred[None] = Deferred()

    def startService(self) -> None:
        """Write it down."""
        super().startService()
        self._log.append(f"start {self.name}")

    def stopService(self) -> Deferred[None]:
        """Write it down, and take a while."""
        super().stopService()
        self._log.append(f"stop {self.name}")
        return self.stopping


class SequentialTests(SynchronousTestCase):
    """`SequentialService`."""

    def setUp(self) -> None:
        """Start a bus and a port, in this order."""
        self.clock = Clock()
        self.log: list[str] = []
        self.service = SequentialService(self.clock, 5.0)
        self.bus, self.port = (Child(name, self.log) for name in ("bus", "port"))
        for child in (self.bus, self.port):
            child.setServiceParent(self.service)
        self.service.startService()

    def test_order(self) -> None:
        """The last to start stops first, and the next waits for it."""
        stopping = self.service.stopService()
        self.assertEqual(self.log, ["start bus", "start port", "stop port"])
        self.port.stopping.callback(None)
        self.assertEqual(self.log[3:], ["stop bus"])
        self.assertNoResult(stopping)
        self.bus.stopping.callback(None)
        self.successResultOf(stopping)
        self.assertFalse(self.service.running)

    def test_one_hangs(self) -> None:
        """One that does not stop in its time does not hold up the others."""
        stopping = self.service.stopService()
        self.clock.advance(5.0)
        self.bus.stopping.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.log[-1], "stop bus")
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_one_fails(self) -> None:
        """One that fails to stop is logged, and the others stop."""
        stopping = self.service.stopService()
        self.port.stopping.errback(Trouble())
        self.bus.stopping.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(len(self.flushLoggedErrors(Trouble)), 1)
