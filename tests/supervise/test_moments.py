"""Waiting for what happens once, and for what becomes true."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.supervise.moments import Conditions, Moment


class MomentTests(SynchronousTestCase):
    """Something that happens once."""

    def setUp(self) -> None:
        """Nothing has happened yet."""
        self.moment = Moment()

    def test_everybody_hears(self) -> None:
        """Who waited and who asks later hear of it alike."""
        early, other = self.moment.when(), self.moment.when()
        self.assertNoResult(early)
        self.moment.happen()
        self.assertIsNone(self.successResultOf(early))
        self.assertIsNone(self.successResultOf(other))
        self.assertIsNone(self.successResultOf(self.moment.when()))

    def test_only_once(self) -> None:
        """What has happened does not happen again, nor otherwise."""
        self.moment.happen()
        self.moment.happen(Failure(OSError()))
        self.assertIsNone(self.successResultOf(self.moment.when()))

    def test_badly(self) -> None:
        """A failure reaches everybody, with its reason."""
        early = self.moment.when()
        self.moment.happen(Failure(OSError("no")))
        self.assertIsInstance(self.failureResultOf(early).value, OSError)
        self.assertIsInstance(self.failureResultOf(self.moment.when()).value, OSError)

    def test_gave_up_waiting(self) -> None:
        """Who stopped waiting is not told, and does not disturb the others."""
        gone, patient = self.moment.when(), self.moment.when()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.moment.happen()
        self.assertIsNone(self.successResultOf(patient))


class ConditionsTests(SynchronousTestCase):
    """Something that becomes true."""

    def setUp(self) -> None:
        """It is not true yet."""
        self.true = False
        self.conditions = Conditions()

    def waiting(self) -> Deferred[None]:
        """Wait for it."""
        return Deferred.fromCoroutine(self.conditions.until(lambda: self.true))

    def test_true_already(self) -> None:
        """Nobody waits for what is true."""
        self.true = True
        self.successResultOf(self.waiting())

    def test_becomes_true(self) -> None:
        """Who waits is woken by the change that makes it true, not by others."""
        waiting = self.waiting()
        self.conditions.check()
        self.assertNoResult(waiting)
        self.true = True
        self.conditions.check()
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        """Who gave up is forgotten."""
        waiting = self.waiting()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.true = True
        self.conditions.check()

    def test_check_within_a_check(self) -> None:
        """A change that happens while the first is being told wakes nobody twice."""
        first = self.waiting()
        first.addCallback(lambda _: self.conditions.check())
        second = self.waiting()
        self.true = True
        self.conditions.check()
        self.successResultOf(first)
        self.successResultOf(second)
