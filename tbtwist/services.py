"""Services that start and stop in order, and owners for what runs beside them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

_log = Logger()


class Background:
    """Owns what runs beside the caller: nothing is dropped, failures are logged."""

    def __init__(self) -> None:
        self._running: set[Deferred[Any]] = set()

    def spawn(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work``; log its failure as ``what``."""
        self.own(what, Deferred.fromCoroutine(work))

    def own(self, what: str, running: Deferred[Any]) -> None:
        """Take care of a Deferred that nobody else waits for."""
        self._running.add(running)

        def ended(result: object) -> None:
            self._running.discard(running)
            if isinstance(result, Failure) and not result.check(CancelledError):
                _log.failure("{what} failed", failure=result, what=what)

        _ = running.addBoth(ended)

    def cancel_all(self) -> None:
        """Cancel everything that still runs."""
        for running in tuple(self._running):
            running.cancel()


class SequentialService(MultiService):
    """Children start in order and stop one by one in reverse, each in its time.

    `MultiService` stops all children at once; a worker must stop accepting
    before its bus leaves.
    """

    def __init__(self, clock: IReactorTime, stop_timeout_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._stop_timeout_s = stop_timeout_s

    @override
    def stopService(self) -> Deferred[None]:
        """Stop the children in reverse order; fires when the last has stopped."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_each(tuple(reversed(self.services))))

    async def _stop_each(self, children: Sequence[IService]) -> None:
        for child in children:
            stopping: Deferred[Any] = maybeDeferred(child.stopService)
            _ = stopping.addTimeout(self._stop_timeout_s, self._clock)
            try:
                await stopping
            except Exception as error:  # noqa: BLE001 - the others must stop as well
                _log.failure("stopping {child}: {error}", child=child, error=error)


async def wait(clock: IReactorTime, seconds: float) -> None:
    """Come back after ``seconds`` of ``clock``."""
    done: Deferred[None] = Deferred()
    call = clock.callLater(seconds, done.callback, None)
    try:
        await done
    finally:
        if call.active():
            call.cancel()


async def wait_until(
    clock: IReactorTime, reached: Callable[[], bool], timeout_s: float
) -> bool:
    """Look every 20 ms whether ``reached``; False when ``timeout_s`` passed first."""
    deadline = clock.seconds() + timeout_s
    while not reached():
        if clock.seconds() >= deadline:
            return False
        await wait(clock, 0.02)
    return True
