"""How many requests run at once, and how many may wait for their turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Admission:
    """Lets ``limit`` requests run; up to ``queue`` more wait, in order.

    A token stands for a request; it is told its turn by a call.
    """

    def __init__(self, limit: int, queue: int) -> None:
        self._limit = limit
        self._queue = queue
        self._running: set[Any] = set()
        self._waiting: dict[Any, Callable[[], None]] = {}
        self._admitting = False

    @property
    def is_full(self) -> bool:
        """Whether the next one can neither run nor wait."""
        return len(self._running) >= self._limit and len(self._waiting) >= self._queue

    @property
    def waiting(self) -> int:
        """Return how many wait for their turn."""
        return len(self._waiting)

    def enter(self, token: Any, start: Callable[[], None]) -> bool:
        """Run ``start`` now, or return False and run it when it is its turn."""
        if len(self._running) >= self._limit:
            self._waiting[token] = start
            return False
        self._running.add(token)
        start()
        return True

    def leave(self, token: Any) -> None:
        """Make room, whether ``token`` ran, waited, or had left before."""
        self._waiting.pop(token, None)
        self._running.discard(token)
        if not self._admitting:
            self._admit()

    def _admit(self) -> None:
        """Start those whose turn it is; one that is done at once leaves in here."""
        self._admitting = True
        try:
            while self._waiting and len(self._running) < self._limit:
                following = next(iter(self._waiting))
                start = self._waiting.pop(following)
                self._running.add(following)
                start()
        finally:
            self._admitting = False
