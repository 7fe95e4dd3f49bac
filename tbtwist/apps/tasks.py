"""A piece of work as an asyncio Task with a deadline, and a thread to run it in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.apps.crossing import HOME, Home, carried, current_loop
from tbtwist.errors import DeadlinePassed

_log = Logger()
T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]
Tell = Callable[[Any], None]
"""Is told a value or a Failure."""


class Execution:
    """One piece of work as a Task, with its deadline; lives in its loop's thread.

    ``late`` is told when the deadline has passed, ``ended`` what came of it in the
    end. Who gets both believes the first.
    """

    def __init__(
        self, home: Home, work: Work[Any], timeout_s: float, late: Tell, ended: Tell
    ) -> None:
        self._home = home
        self._work = work
        self._timeout_s = timeout_s
        self._late = late
        self._ended = ended
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, context: Context) -> None:
        """Begin, in ``context``."""
        loop = self._home.loop
        context.run(HOME.set, self._home)
        self._timer = loop.call_later(self._timeout_s, self._expire)
        self._task = loop.create_task(guarded(self._work), context=context)
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Ask the Task to end."""
        if self._task is not None:
            self._task.cancel()

    def _expire(self) -> None:
        self._late(Failure(DeadlinePassed(self._timeout_s)))
        self.cancel()

    def _over(self, task: asyncio.Task[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._ended(_outcome(task))


async def guarded(work: Work[T]) -> T:
    """Run ``work`` in a Task of its own; whatever it raises ends it, and nothing else.

    What asks the process to exit, or looks like the end of something else, becomes
    an ordinary exception. Only a cancellation that somebody asked for stays one.
    """
    task = asyncio.current_task()
    try:
        return await work()
    except (asyncio.CancelledError, GeneratorExit) as error:
        if task is None or task.cancelling() or not _runs(task):
            raise
        raise carried(error) from error
    except (CancelledError, KeyboardInterrupt, SystemExit) as error:
        raise carried(error) from error


def _runs(task: asyncio.Task[Any]) -> bool:
    """Whether ``task`` is at work, and not just being thrown away unfinished."""
    return current_loop() is not None and asyncio.current_task() is task


def _outcome(task: asyncio.Task[Any]) -> object:
    if task.cancelled():
        return Failure(CancelledError())
    error = task.exception()
    return task.result() if error is None else Failure(error)


def log_late(outcome: object) -> None:
    """Log how work ended that nobody waits for any more, if it ended badly."""
    if isinstance(outcome, Failure) and not outcome.check(CancelledError):
        _log.failure("a call failed after nobody waited for it", failure=outcome)


class LoopThread:
    """An asyncio loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopped: Callable[[], object] = _nothing

    def start(self) -> None:
        """Start the thread; work can be given to ``loop`` at once."""
        self._thread.start()

    def stop(self, stopped: Callable[[], object]) -> None:
        """Cancel what runs and end; returns at once.

        ``stopped`` is called in the thread when all is over.
        """
        self._stopped = stopped
        self.loop.call_soon_threadsafe(self._stopping.set)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._until_stopped())
        self._stopped()

    async def _until_stopped(self) -> None:
        await self._stopping.wait()


def _nothing() -> None:
    """Nobody wants to know."""
