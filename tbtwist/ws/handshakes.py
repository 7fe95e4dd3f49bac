"""The connections that are not open yet: bounded in number and in time.

Whoever opens connections and says nothing cannot keep others out: when there are
too many, the oldest has to go, and an honest client needs but a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class HalfOpen(Protocol):
    """A connection whose handshake is not done."""

    def abort(self) -> None:
        """Drop it at once."""


class Handshakes:
    """Keeps them in the order in which they came.

    ``given_up`` is told why one was dropped.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout_s: float,
        most: int,
        given_up: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._most = most
        self._given_up = given_up
        self._ends_at: dict[HalfOpen, float] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ends_at)

    def begin(self, connection: HalfOpen) -> None:
        """Give a new connection its time."""
        if len(self._ends_at) >= self._most:
            self._drop(next(iter(self._ends_at)), "handshake pushed out")
        self._ends_at[connection] = self._clock.seconds() + self._timeout_s
        if self._timer is None:
            self._timer = self._clock.callLater(self._timeout_s, self._look)

    def end(self, connection: HalfOpen) -> None:
        """One is open, or gone; twice is fine."""
        self._ends_at.pop(connection, None)
        if not self._ends_at and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for connection, ends_at in tuple(self._ends_at.items()):
            if ends_at > now:
                self._timer = self._clock.callLater(ends_at - now, self._look)
                return
            self._drop(connection, "handshake timeout")

    def _drop(self, connection: HalfOpen, why: str) -> None:
        del self._ends_at[connection]
        self._given_up(why)
        connection.abort()
