"""Many deadlines, one timer.

A reactor's ``callLater`` costs more than a call's encoding, and nearly all calls are
answered long before their deadline.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_KEPT_ANYWAY: Final = 64


class Deadlines:
    """Calls ``expired`` with every key whose time is over before it was removed."""

    def __init__(self, clock: IReactorTime, expired: Callable[[str], None]) -> None:
        self._clock = clock
        self._expired = expired
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer: IDelayedCall | None = None

    def add(self, key: str, timeout_s: float) -> None:
        """Let ``key`` expire in ``timeout_s``."""
        due = self._due[key] = self._clock.seconds() + timeout_s
        heapq.heappush(self._heap, (due, key))
        if self._timer is None or self._heap[0][1] == key:
            self._set_timer()

    def remove(self, key: str) -> None:
        """``key`` does not expire any more; fine if it has."""
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _KEPT_ANYWAY:
            self._heap = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._heap)

    def _set_timer(self) -> None:
        """Wake up for the first one that is still there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap:
            delay = max(0.0, self._heap[0][0] - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        over = []
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                over.append(key)
        self._set_timer()
        for key in over:
            self._expired(key)

    def clear(self) -> None:
        """Nothing expires any more."""
        self._due.clear()
        self._heap.clear()
        self._set_timer()
