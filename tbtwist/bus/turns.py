"""The end of the reactor's turn: where what one turn brings is sent together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from tbtwist.tracing import within


class Scheduled(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> object:
        """Do not let it happen."""


Soon = Callable[[Callable[[], None]], Scheduled]
"""Lets a function be called in the reactor's next turn, without a wait between."""


def soon_on(clock: IReactorTime) -> Soon:
    """Return the cheapest way that ``clock`` has.

    On an asyncio loop that is its own queue, at a tenth of a ``callLater``'s price.
    """
    loop: Any = getattr(clock, "_asyncioEventloop", None)
    return partial(clock.callLater, 0) if loop is None else loop.call_soon


class Turn:
    """Calls ``work`` once after each turn in which `wanted` was called.

    It is done for all who wanted it, so under nobody's trace.
    """

    def __init__(self, soon: Soon, work: Callable[[], None]) -> None:
        self._soon = soon
        self._work = work
        self._scheduled: Scheduled | None = None

    def wanted(self) -> None:
        """Let the work be done at the end of this turn."""
        if self._scheduled is None:
            self._scheduled = within(None, self._soon, self._do)

    def _do(self) -> None:
        self._scheduled = None
        self._work()

    def now(self) -> None:
        """Do it now, if it was wanted."""
        if self._scheduled is not None:
            self.cancel()
            self._work()

    def cancel(self) -> None:
        """Do not do it."""
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:
            scheduled.cancel()
