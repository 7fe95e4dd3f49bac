"""Where application coroutines run (DESIGN D6): always as asyncio Tasks.

On a reactor that has an asyncio loop, on that loop; on any other reactor, on one
loop in a background thread; under a plain WSGI server, on whatever loop the
caller runs on. A deadline is a deadline: the caller goes on at that moment, and
the Task is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.apps.crossing import (
    CallOnReactor,
    Home,
    deferred_to_future,
    post,
    reactor_caller,
    settle,
)
from tbtwist.apps.tasks import Execution, LoopThread, Work, log_late

_log = Logger()
T = TypeVar("T")

__all__ = ["LoopRunner", "ReactorRunner", "Runner", "deferred_to_future"]


class Runner(Protocol):
    """Runs application code."""

    def run(self, work: Work[T], *, timeout_s: float) -> Awaitable[T]:
        """Run ``work`` as an asyncio Task and wait for it.

        Cancelling what this returns cancels the Task.

        Raises:
            DeadlinePassed: it took longer than ``timeout_s``; it has been cancelled.
        """


class LoopRunner:
    """Runs work on the asyncio loop that the caller is running on."""

    async def run(self, work: Work[T], *, timeout_s: float) -> T:
        """As `Runner.run`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def tell(outcome: object) -> None:
            if done.done():
                log_late(outcome)
            elif isinstance(outcome, Failure) and outcome.check(CancelledError):
                done.cancel()
            else:
                settle(done, outcome)

        execution = Execution(Home(loop, None), work, timeout_s, tell, tell)
        execution.start(copy_context())
        try:
            return await done
        except asyncio.CancelledError:
            execution.cancel()
            raise


class ReactorRunner(Service):
    """Runs work for code on the reactor's thread; `run` returns Deferreds.

    ``loop`` is where application code runs, if not on the reactor's own loop.
    Works before `startService` too. `stopService` cancels what runs and waits at
    most ``stop_timeout_s`` for it; after that nothing is run.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        stop_timeout_s: float = 5.0,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._reactor = reactor
        self._stop_timeout_s = stop_timeout_s
        self._reactor_loop = _asyncio_loop(reactor)
        self._tell: CallOnReactor = reactor_caller(reactor)
        self._home = None if loop is None else Home(loop, self._tell)
        self._thread: LoopThread | None = None
        self._running: dict[Execution, Deferred[Any]] = {}
        self._refusing = False
        self._emptied: Deferred[None] | None = None

    @override
    def startService(self) -> None:
        """Run work, again after `stopService`."""
        super().startService()
        self._refusing = False

    def run(self, work: Work[T], *, timeout_s: float) -> Deferred[T]:
        """As `Runner.run`; on the reactor's thread only."""
        if self._refusing:
            return fail(CancelledError())
        home = self._home or self._settle_down()
        on_loop = self._on_loop
        result: Deferred[T] = Deferred(lambda _: on_loop(home.loop, execution.cancel))
        execution = Execution(
            home,
            work,
            timeout_s,
            late=partial(self._tell, _fire, result),
            ended=lambda outcome: self._tell(self._ended, execution, outcome),
        )
        self._running[execution] = result
        on_loop(home.loop, execution.start, copy_context())
        return result

    def _ended(self, execution: Execution, outcome: object) -> None:
        result = self._running.pop(execution)
        if result.called:
            log_late(outcome)
        else:
            result.callback(outcome)
        if self._emptied is not None and not self._running:
            emptied, self._emptied = self._emptied, None
            _fire(emptied, None)

    @override
    def stopService(self) -> Deferred[None]:
        """Fires when nothing runs any more, or the time is up."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._refusing = True
        for result in tuple(self._running.values()):
            result.cancel()
        await self._bounded(self._all_ended())
        thread, self._thread, self._home = self._thread, None, None
        if thread is not None:
            stopped: Deferred[None] = Deferred()
            thread.stop(lambda: self._reactor.callFromThread(_fire, stopped, None))
            await self._bounded(stopped)

    def _all_ended(self) -> Deferred[None]:
        if not self._running:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    async def _bounded(self, waiting: Deferred[None]) -> None:
        late = self._reactor.callLater(self._stop_timeout_s, _fire, waiting, None)
        await waiting
        if late.active():
            late.cancel()
        else:
            _log.warn("application code did not end when it was asked to")

    def _settle_down(self) -> Home:
        """Find the loop to run on; start one if the reactor has none."""
        loop = self._reactor_loop
        if loop is None:
            self._thread = LoopThread("app-loop")
            self._thread.start()
            loop = self._thread.loop
        self._home = Home(loop, self._tell)
        return self._home

    def _on_loop(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., object],
        *args: Any,
    ) -> None:
        """Call ``function`` in the thread of ``loop``, which may be this one."""
        if loop is self._reactor_loop:
            function(*args)
        else:
            post(loop, function, *args)


def _asyncio_loop(reactor: object) -> asyncio.AbstractEventLoop | None:
    """Return the loop that ``reactor`` runs on; Twisted has no public name for it."""
    return getattr(reactor, "_asyncioEventloop", None)


def _fire(deferred: Deferred[Any], outcome: Any) -> None:
    if not deferred.called:
        deferred.callback(outcome)
