"""A role's life as a process: bound, started, ready, drained, gone.

`Lifetime` is the top service of every role. It turns errors into one sentence
and a non-zero exit, handles the signals, watches the manager's lifeline, and
tells the supervisor how the role is (PROCESS.md).
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    TimeoutError as DeferredTimeout,
)
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.errors import TbtwistError
from tbtwist.net.supervised import Notifier, as_facts
from tbtwist.services import Background

_log = Logger()
_HEARTBEAT_S = 1.0
_STOP_TIMEOUT_S = 10.0
_HURRY = 2  # with this signal nothing is waited for any more
_STDOUT, _STDERR = 1, 2


class Life(Protocol):
    """What a role may know and decide about its own process."""

    @property
    def abandoned(self) -> bool:
        """Whether the manager has died: everybody drains at once then."""

    def end(self, reason: str) -> None:
        """Drain and exit 0."""

    def fail(self, sentence: str) -> None:
        """Exit 1 with ``sentence`` as the last word."""


class Role(Protocol):
    """What a role does; `Lifetime` decides when."""

    drain_timeout_s: float

    @property
    def place(self) -> str:
        """Where it serves, for people."""

    def bind(self) -> None:
        """Take what must be had before anything starts; a TbtwistError if not."""

    async def start(self, life: Life) -> None:
        """Begin to serve; when it returns, the role is ready."""

    async def drain(self) -> None:
        """Take nothing new, and come back when nothing is left."""

    async def stop(self) -> None:
        """Free everything."""

    def figures(self) -> Mapping[str, int]:
        """Return what the supervisor wants counted."""


@attrs.frozen
class Surroundings:
    """What a process got from the one who started it."""

    reactor: Any
    notifier: Notifier
    lifeline: int | None = None
    on_start: Callable[[], None] = lambda: None
    on_failed_start: Callable[[], None] = lambda: None
    on_ready: Callable[[], None] = lambda: None
    on_failure: Callable[[], object] = lambda: None

    @property
    def supervised(self) -> bool:
        """Whether a manager of ours started this process."""
        return self.lifeline is not None


class _Lifeline(FileDescriptor):
    """Reads the pipe that the manager holds; its end means the manager died."""

    def __init__(
        self, reactor: Any, descriptor: int, on_end: Callable[[], None]
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._on_end = on_end
        self.startReading()

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def doRead(self) -> None:
        """End of file is the only thing that ever comes."""
        if os.read(self._descriptor, 64) == b"":
            self.stopReading()
            self._on_end()

    def close(self) -> None:
        """Stop watching."""
        self.stopReading()
        os.close(self._descriptor)


class Lifetime(Service):
    """Runs one `Role` from privileged start to exit."""

    def __init__(self, role: Role, around: Surroundings) -> None:
        self._role = role
        self._around = around
        self._background = Background()
        self._signals = 0
        self._ending: Deferred[None] | None = None
        self._lifeline: _Lifeline | None = None
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = around.reactor
        self._beat_due = 0.0
        self._ready = False
        self.abandoned = False

    @override
    def privilegedStartService(self) -> None:
        """Bind now, so that an error is one sentence and a non-zero exit."""
        self._around.on_start()
        try:
            self._role.bind()
        except TbtwistError as error:
            self._around.on_failed_start()
            _say(str(error))
            raise SystemExit(1) from error

    @override
    def startService(self) -> None:
        """Wait until the reactor runs; before that a signal would just kill."""
        super().startService()
        self._around.reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        self._install_signals()
        if self._around.lifeline is not None:
            self._lifeline = _Lifeline(
                self._around.reactor, self._around.lifeline, self._manager_gone
            )
        self._background.spawn("starting", self._start())

    def _install_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._signalled)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._signalled)
        supervised = self._around.supervised
        signal.signal(signal.SIGINT, signal.SIG_IGN if supervised else self._signalled)

    def _signalled(self, number: int, _frame: object) -> None:
        """The first drains, a second one hurries, a third leaves, even with no reactor."""
        self._signals += 1
        if self._signals > _HURRY:
            os._exit(1)
        self._around.reactor.callFromThread(self._obey, signal.Signals(number).name)

    def _obey(self, name: str) -> None:
        if self._signals < _HURRY or self._ending is None:
            self.end(name)
        else:
            _log.info("hurrying: {name}", name=name)
            self._ending.cancel()

    def _manager_gone(self) -> None:
        self.abandoned = True
        _silence()
        self.end("the manager is gone")

    async def _start(self) -> None:
        try:
            await self._role.start(self)
        except CancelledError:
            return
        except TbtwistError as error:
            self.fail(str(error))
            return
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}")
            raise
        if self._ending is None:
            self._ready = True
            _log.info("serving {place}", place=self._role.place)
            self._around.on_ready()
            self._around.notifier.tell(READY=1, STATUS="serving")
            self._beat_due = self._around.reactor.seconds()
            self._background.own("heartbeat", self._heartbeat.start(_HEARTBEAT_S))

    def _beat(self) -> None:
        now = self._around.reactor.seconds()
        late_s = max(0.0, now - self._beat_due)
        self._beat_due = now - late_s % _HEARTBEAT_S + _HEARTBEAT_S
        self._tell_figures(LAG_US=int(late_s * 1e6))

    def _tell_figures(self, **more: int) -> None:
        figures = {**self._role.figures(), **more}
        self._around.notifier.tell(WATCHDOG=1, **as_facts(figures))

    def end(self, reason: str) -> None:
        """Drain and exit 0; asked again it makes no difference."""
        if self._ending is not None:
            return
        _log.info("draining: {reason}", reason=reason)
        self._around.notifier.tell(STOPPING=1, STATUS="draining")
        self._ending = Deferred.fromCoroutine(self._drain())
        self._background.own("draining", self._ending)

    async def _drain(self) -> None:
        draining = Deferred.fromCoroutine(self._role.drain())
        _ = draining.addTimeout(self._role.drain_timeout_s, self._around.reactor)
        try:
            await draining
        except CancelledError:
            pass  # hurried: what is left is closed by stopService
        except DeferredTimeout:
            _log.warn(
                "the drain took longer than {seconds:g} s; closing what is left",
                seconds=self._role.drain_timeout_s,
            )
        except Exception:  # noqa: BLE001 - the process ends either way
            _log.failure("the drain did not finish", failure=Failure())
        self._around.reactor.stop()

    def fail(self, sentence: str) -> None:
        """End with exit status 1 and ``sentence`` as the last word."""
        _log.critical("{sentence}", sentence=sentence)
        atexit.register(_exit_with_failure, sentence, self._around.on_failure)
        self._around.reactor.stop()

    @override
    def stopService(self) -> Deferred[None]:
        """Free everything; the reactor stops when this has fired."""
        super().stopService()
        if self._heartbeat.running:
            self._heartbeat.stop()
            self._tell_figures()  # what was counted since the last heartbeat
        if self._lifeline is not None:
            self._lifeline.close()
        stopping = Deferred.fromCoroutine(self._stop())
        self._background.own("stopping", stopping)
        over: Deferred[None] = Deferred()
        _ = stopping.addBoth(lambda _: over.callback(None))
        return over

    async def _stop(self) -> None:
        stopping = Deferred.fromCoroutine(self._role.stop())
        _ = stopping.addTimeout(_STOP_TIMEOUT_S, self._around.reactor)
        try:
            await stopping
        except DeferredTimeout:
            _log.warn(
                "the stop took longer than {seconds:g} s", seconds=_STOP_TIMEOUT_S
            )


def _exit_with_failure(sentence: str, prepare: Callable[[], object]) -> None:
    """Leave with status 1: twistd itself would end with 0 after a clean stop."""
    prepare()
    _say(sentence)
    os._exit(1)


def _say(sentence: str) -> None:
    """Write to the real standard error: twistd has turned ``sys.stderr`` into a log."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(sentence + "\n")
        sys.__stderr__.flush()


def _silence() -> None:
    """Let standard output and error go nowhere: who read them has died.

    A ``print`` of the application would fail otherwise, in the middle of a drain.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (_STDOUT, _STDERR):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
