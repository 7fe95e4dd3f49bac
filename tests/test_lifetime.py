"""A role's life as a process."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import CannotBind, NoBus
from tbtwist.lifetime import Life, Lifetime, Surroundings
from tbtwist.net.supervised import Notifier

CANNOT = CannotBind(what="http-1", address="127.0.0.1:8000", reason="taken")


class FakeReactor(Clock):
    """A clock that also remembers readers and whether it was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.when_running: list[Any] = []
        self.readers: list[Any] = []
        self.stopped = 0

    def callWhenRunning(self, call: Any) -> None:
        """Keep it for `run`."""
        self.when_running.append(call)

    def callFromThread(self, call: Any, *args: Any) -> None:
        """Do it at once."""
        call(*args)

    def addReader(self, reader: Any) -> None:
        """Remember it."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Forget it."""
        if reader in self.readers:
            self.readers.remove(reader)

    def stop(self) -> None:
        """Count it."""
        self.stopped += 1

    def run(self) -> None:
        """Do what waited for the reactor to run."""
        for call in self.when_running:
            call()


class FakeRole:
    """A role that records what is asked of it."""

    drain_timeout_s = 10.0
    place = "nothing"

    def __init__(self) -> None:
        self.events: list[str] = []
        self.started: Deferred[None] = Deferred()
        self.drained: Deferred[None] = Deferred()
        self.stopped: Deferred[None] | None = None
        self.bind_error: Exception | None = None

    def bind(self) -> None:
        """Fail as the test wants it."""
        self.events.append("bind")
        if self.bind_error is not None:
            raise self.bind_error

    async def start(self, life: Life) -> None:
        """Wait for the test."""
        self.events.append("start")
        await self.started

    async def drain(self) -> None:
        """Wait for the test."""
        self.events.append("drain")
        await self.drained

    async def stop(self) -> None:
        """Record it, and wait for the test if it wants that."""
        self.events.append("stop")
        if self.stopped is not None:
            await self.stopped

    def figures(self) -> Mapping[str, int]:
        """Return a figure."""
        return {"REQUESTS_TOTAL": 3}


class FakeNotifier(Notifier):
    """Keeps what would be sent."""

    def tell(self, **facts: object) -> bool:
        """Keep it."""
        TOLD.append(facts)
        return True


TOLD: list[dict[str, object]] = []


class LifetimeTests(SynchronousTestCase):
    """From privileged start to exit."""

    def setUp(self) -> None:
        """Make a role in a process that is all pretence."""
        TOLD.clear()
        self.hangup: object = signal.SIG_DFL
        self.reactor = FakeReactor()
        self.role = FakeRole()
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(signal, "getsignal", lambda _: self.hangup)
        self.at_exit: list[Any] = []
        self.patch(atexit, "register", lambda *call: self.at_exit.append(call))
        self.left: list[int] = []
        self.patch(os, "_exit", self.left.append)
        self.cleaned: list[bool] = []
        self.terminal = io.StringIO()
        self.patch(sys, "__stderr__", self.terminal)
        self.redirected: list[int] = []
        self.patch(os, "dup2", lambda _, descriptor: self.redirected.append(descriptor))
        self.life = self.make()

    def make(self, lifeline: int | None = None) -> Lifetime:
        """Return a lifetime over the fakes."""
        around = Surroundings(
            reactor=self.reactor,
            notifier=FakeNotifier(""),
            lifeline=lifeline,
            on_failed_start=lambda: self.cleaned.append(True),
            on_ready=lambda: TOLD.append({"settled": True}),
            on_failure=lambda: TOLD.append({"prepared": True}),
        )
        return Lifetime(self.role, around)

    def run_life(self) -> None:
        """Start, and let the reactor run."""
        self.life.privilegedStartService()
        self.life.startService()
        self.reactor.run()

    def test_cannot_bind(self) -> None:
        """A role that cannot bind ends with one sentence, and cleans up."""
        self.role.bind_error = CANNOT
        error = self.assertRaises(SystemExit, self.life.privilegedStartService)
        self.assertEqual(1, error.code)
        self.assertEqual(
            "Cannot listen on 127.0.0.1:8000 for http-1: taken.\n",
            self.terminal.getvalue(),
        )
        self.assertEqual([True], self.cleaned)

    def test_ready_only_when_started(self) -> None:
        """READY is told once the role has started, not before, then a heartbeat."""
        self.run_life()
        self.assertEqual([], TOLD)
        self.role.started.callback(None)
        self.assertEqual({"settled": True}, TOLD[0])
        self.assertEqual({"READY": 1, "STATUS": "serving"}, TOLD[1])
        self.reactor.advance(1)
        self.assertEqual(
            {"WATCHDOG": 1, "X_REQUESTS_TOTAL": 3, "X_LAG_US": 0}, TOLD[-1]
        )

    def test_lag(self) -> None:
        """A heartbeat tells how late it is; those after it are not late again."""
        self.run_life()
        self.role.started.callback(None)
        self.reactor.advance(1.25)
        self.assertEqual(250_000, TOLD[-1]["X_LAG_US"])
        self.reactor.advance(0.75)
        self.assertEqual(0, TOLD[-1]["X_LAG_US"])
        self.reactor.advance(3.5)
        self.assertEqual(2_500_000, TOLD[-1]["X_LAG_US"])
        self.reactor.advance(0.5)
        self.assertEqual(0, TOLD[-1]["X_LAG_US"])

    def test_last_figures(self) -> None:
        """What was counted since the last heartbeat is told before the end."""
        self.run_life()
        self.role.started.callback(None)
        TOLD.clear()
        self.successResultOf(self.life.stopService())
        self.assertEqual([{"WATCHDOG": 1, "X_REQUESTS_TOTAL": 3}], TOLD)

    def test_no_signal_handler_before_the_reactor_runs(self) -> None:
        """Handlers are installed when there is a reactor that can be stopped."""
        self.life.startService()
        self.assertEqual({}, self.handlers)
        self.reactor.run()
        expected = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        self.assertEqual(expected, set(self.handlers))

    def test_hangup(self) -> None:
        """A terminal that goes away is as good as SIGTERM."""
        self.run_life()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual({"STOPPING": 1, "STATUS": "draining"}, TOLD[-1])

    def test_nohup(self) -> None:
        """Who was started to outlive the terminal does."""
        self.hangup = signal.SIG_IGN
        self.run_life()
        self.assertNotIn(signal.SIGHUP, self.handlers)

    def test_sigterm_drains(self) -> None:
        """SIGTERM drains, then stops; nothing else ends the process."""
        self.run_life()
        self.role.started.callback(None)
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual({"STOPPING": 1, "STATUS": "draining"}, TOLD[-1])
        self.assertEqual(0, self.reactor.stopped)
        self.role.drained.callback(None)
        self.assertEqual(1, self.reactor.stopped)
        self.successResultOf(self.life.stopService())
        self.assertEqual(["bind", "start", "drain", "stop"], self.role.events)
        self.assertEqual([], self.at_exit)

    def test_drain_has_a_deadline(self) -> None:
        """A drain that never ends is given up at its deadline."""
        self.run_life()
        self.life.end("SIGTERM")
        self.reactor.advance(10.1)
        self.assertEqual(1, self.reactor.stopped)

    def test_second_signal_hurries(self) -> None:
        """The second signal stops at once, the third leaves without a word."""
        self.run_life()
        terminate = self.handlers[signal.SIGTERM]
        terminate(signal.SIGTERM, None)
        self.assertEqual(0, self.reactor.stopped)
        terminate(signal.SIGTERM, None)
        self.assertEqual(1, self.reactor.stopped)
        self.assertEqual([], self.left)
        terminate(signal.SIGTERM, None)
        self.assertEqual([1], self.left)

    def test_third_signal_needs_no_reactor(self) -> None:
        """It counts also when the reactor does nothing any more."""
        self.run_life()
        self.patch(self.reactor, "callFromThread", lambda *_: None)
        for _ in range(2):
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual([], self.left)
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual([1], self.left)

    def test_ended_by_itself_during_a_drain(self) -> None:
        """A role that wants to end while it drains hurries nothing."""
        self.run_life()
        self.life.end("everything has stopped")
        self.life.end("everything has stopped")
        self.assertEqual(0, self.reactor.stopped)
        self.assertEqual(1, self.role.events.count("drain"))

    def test_stuck_stop_has_a_deadline(self) -> None:
        """A role that cannot stop does not keep the process for ever."""
        self.role.stopped = Deferred()
        stopping = self.life.stopService()
        self.assertNoResult(stopping)
        self.reactor.advance(10.1)
        self.successResultOf(stopping)
        self.assertEqual([], self.flushLoggedErrors())

    def test_sigint_belongs_to_the_manager(self) -> None:
        """Under a manager a Ctrl-C is ignored; the manager orders the shutdown."""
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        self.life = self.make(lifeline=read)
        self.run_life()
        self.assertEqual(signal.SIG_IGN, self.handlers[signal.SIGINT])
        self.successResultOf(self.life.stopService())
        self.assertEqual([], self.reactor.readers)

    def test_manager_gone(self) -> None:
        """When the manager dies, the worker drains and leaves."""
        read, write = os.pipe()
        self.life = self.make(lifeline=read)
        self.run_life()
        os.close(write)
        self.reactor.readers[0].doRead()
        self.assertEqual([1, 2], self.redirected, "where nobody reads any more")
        self.assertIn("drain", self.role.events)
        self.role.drained.callback(None)
        self.assertEqual(1, self.reactor.stopped)
        self.successResultOf(self.life.stopService())

    def test_failing_start_is_an_exit_status(self) -> None:
        """An error after the start ends the process with status 1 and a sentence."""
        self.run_life()
        self.role.started.errback(NoBus())
        self.assertEqual(1, self.reactor.stopped)
        [(leave, sentence, *prepared)] = self.at_exit
        self.assertEqual("This application is not connected to a bus.", sentence)
        leave(sentence, *prepared)
        self.assertEqual([1], self.left)
        self.assertIn({"prepared": True}, TOLD)
        self.assertEqual(f"{sentence}\n", self.terminal.getvalue())

    def test_unexpected_error_at_start(self) -> None:
        """A bug at start is logged with its traceback and ends the process too."""
        self.run_life()
        self.role.started.errback(ValueError("odd"))
        self.assertEqual("ValueError: odd", self.at_exit[0][1])
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_told_to_end_while_starting(self) -> None:
        """A role that is told to end before it is ready never claims to be."""
        self.run_life()
        self.life.end("SIGTERM")
        self.role.started.callback(None)
        self.assertNotIn({"READY": 1, "STATUS": "serving"}, TOLD)


class NotifierTests(SynchronousTestCase):
    """A socket that nobody reads."""

    def test_nobody_listens(self) -> None:
        """A supervisor that has gone away costs nothing."""
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        notifier = Notifier(str(Path(folder) / "gone"))
        self.assertFalse(notifier.tell(READY=1))
