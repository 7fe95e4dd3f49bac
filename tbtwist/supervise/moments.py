"""Waiting for what happens once, and for what becomes true."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Moment:
    """Something that happens once, well or badly, and those who wait for it."""

    def __init__(self) -> None:
        self._outcome: Failure | bool = False
        self._waiting: list[Deferred[None]] = []

    @property
    def happened(self) -> bool:
        """Whether it has happened, and well."""
        return self._outcome is True

    def when(self) -> Deferred[None]:
        """Return a Deferred of your own for it; it may have happened already."""
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiter)
        if self._outcome is not False:
            self._release()
        return waiter

    def _forget(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def happen(self, failure: Failure | None = None) -> None:
        """Let it happen; only the first time counts."""
        if self._outcome is False:
            self._outcome = failure or True
            self._release()

    def _release(self) -> None:
        outcome = self._outcome
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if isinstance(outcome, Failure):
                waiter.errback(outcome)
            else:
                waiter.callback(None)


class Conditions:
    """Those who wait until something is true; asked again after every change."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    async def until(self, reached: Callable[[], bool]) -> None:
        """Come back when ``reached`` is true."""
        if reached():
            return
        entry: tuple[Callable[[], bool], Deferred[None]] = (reached, Deferred())
        self._waiting.append(entry)
        try:
            await entry[1]
        finally:
            self._waiting.remove(entry)

    def check(self) -> None:
        """Something has changed: wake whoever waited for it."""
        for reached, waiter in tuple(self._waiting):
            if not waiter.called and reached():
                waiter.callback(None)
