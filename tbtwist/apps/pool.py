"""The threads that application functions without ``async`` run in (DESIGN D6).

The pool is theirs alone, has a bound and says when that is reached. A thread
cannot be interrupted: a function that outlives its deadline keeps its thread, and
is counted in ``overdue`` until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from typing_extensions import override

from tbtwist.apps.crossing import settable
from tbtwist.errors import PoolFull

T = TypeVar("T")


@attrs.define(eq=False)
class _Job:
    work: Callable[[], Any]
    context: contextvars.Context
    future: Future[Any] = attrs.Factory(Future)
    overdue: bool = False
    finished: bool = False

    def run(self) -> Callable[[], None]:
        """Run the work; return what tells its outcome. Nothing escapes."""
        try:
            value = self.context.run(self.work)
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            return partial(self.future.set_exception, settable(error))
        return partial(self.future.set_result, value)


class SyncPool:
    """At most ``threads`` functions run and ``queue`` more wait; else `PoolFull`.

    Threads start when they are needed and are daemons, so that a function that
    never returns cannot keep the process.
    """

    def __init__(self, threads: int, queue: int, *, name: str = "app") -> None:
        self._limit = threads
        self._room = threads + queue
        self._name = name
        self._lock = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._threads: set[threading.Thread] = set()
        self._started = 0
        self._idle = 0
        self._busy = 0
        self._overdue = 0
        self._stopping = False
        self._stopped: list[Callable[[], object]] = []

    @property
    def busy(self) -> int:
        """Return how many functions run."""
        return self._busy

    @property
    def queued(self) -> int:
        """Return how many wait for a thread."""
        return len(self._waiting)

    @property
    def overdue(self) -> int:
        """Return how many still run although nobody waits for them any more."""
        return self._overdue

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread, in a copy of the current context.

        Cancelling takes it out of the queue; once it runs it goes on to its end.

        Raises:
            PoolFull: the queue has no room, or the pool is stopping.
        """
        job = self._submit(work)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            self._abandon(job)
            raise

    def _submit(self, work: Callable[[], Any]) -> _Job:
        job = _Job(work, contextvars.copy_context())
        with self._lock:
            if self._stopping or self._busy + len(self._waiting) >= self._room:
                raise PoolFull
            self._waiting.append(job)
            if self._idle >= len(self._waiting):
                self._lock.notify()
            elif len(self._threads) < self._limit:
                self._start_thread()
        return job

    def _start_thread(self) -> None:
        self._started += 1
        name = f"{self._name}-{self._started}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _abandon(self, job: _Job) -> None:
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            elif not job.finished:
                job.overdue = True
                self._overdue += 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                self._finished(job)
                continue
            tell = job.run()
            self._finished(job)
            tell()
        self._leave()

    def _next(self) -> _Job | None:
        with self._lock:
            while not self._waiting:
                if self._stopping:
                    return None
                self._idle += 1
                self._lock.wait()
                self._idle -= 1
            self._busy += 1
            return self._waiting.popleft()

    def _finished(self, job: _Job) -> None:
        with self._lock:
            self._busy -= 1
            job.finished = True
            if job.overdue:
                self._overdue -= 1

    def _leave(self) -> None:
        with self._lock:
            self._threads.discard(threading.current_thread())
            told = () if self._threads else tuple(self._stopped)
        for stopped in told:
            stopped()

    def start(self) -> None:
        """Take work again after `stop`."""
        with self._lock:
            self._stopping = False
            self._stopped.clear()

    def stop(self, stopped: Callable[[], object]) -> None:
        """Take no more work, drop what waits, and let the threads end.

        Returns at once. ``stopped`` is called when the last thread has ended, in
        that thread; right here if there is none.
        """
        with self._lock:
            self._stopping = True
            dropped = tuple(self._waiting)
            self._waiting.clear()
            running = bool(self._threads)
            if running:
                self._stopped.append(stopped)
            self._lock.notify_all()
        for job in dropped:
            job.future.cancel()
        if not running:
            stopped()


class PoolService(Service):
    """Starts and stops a `SyncPool` with the application.

    Stopping waits at most `stop_timeout_s` for functions that still run, and
    never on the reactor's thread.
    """

    def __init__(self, pool: SyncPool, reactor: Any, stop_timeout_s: float) -> None:
        self._pool = pool
        self._clock: IReactorTime = reactor
        self._threads: IReactorFromThreads = reactor
        self.stop_timeout_s = stop_timeout_s

    @override
    def startService(self) -> None:
        """Take work."""
        super().startService()
        self._pool.start()

    @override
    def stopService(self) -> Deferred[None]:
        """Fires when the threads have ended, or the time is up."""
        super().stopService()
        done: Deferred[None] = Deferred()

        def end() -> None:
            if late.active():
                late.cancel()
            if not done.called:
                done.callback(None)

        late = self._clock.callLater(self.stop_timeout_s, end)
        self._pool.stop(lambda: self._threads.callFromThread(end))
        return done
