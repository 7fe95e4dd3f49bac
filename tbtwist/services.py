"""Owners for what runs beside its caller, and waiting on a clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

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


async def wait_until_twice(
    clock: IReactorTime, reached: Callable[[], bool], pause_s: float, timeout_s: float
) -> bool:
    """Wait until ``reached``, and still so after a pause: others hear of it late."""
    deadline = clock.seconds() + timeout_s
    while await wait_until(clock, reached, deadline - clock.seconds()):
        await wait(clock, pause_s)
        if reached():
            return True
    return False
