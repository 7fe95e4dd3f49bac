"""The origin's side of the reliable lane: one key, in order, until acknowledged.

Pure: it takes and returns values, and knows neither sockets nor time of its own.
Invariants: entries are numbered without gaps; the first ``sent`` of them are on
their way to ``worker`` and never exceed the window (one item always fits);
``worker`` may have handled everything up to ``reached``, and nothing beyond;
only the first entry can be acknowledged. A destination handles a key's items one
after another, so only the first entry can have been in hand when its worker died:
it is a *suspect* from then on, and goes alone.
"""

from __future__ import annotations

from collections import deque

import attrs
from twisted.internet.defer import Deferred

from tbtwist.boundaries import LaneEvents
from tbtwist.bus.codec import Flag, Packed, Parcel, Stamp
from tbtwist.bus.config import BusConfig
from tbtwist.errors import QueueFull

OVERHEAD_BYTES = 200
"""What an entry costs beside its own bytes, about."""


@attrs.define(eq=False)
class Entry:
    """An item that its origin still keeps, and whoever waits for it."""

    number: int
    packed: Packed
    size: int
    done: Deferred[None] | None
    moved: bool = False
    deaths: int = 0


@attrs.define(eq=False)
class Budget:
    """What all lanes of a process together may keep."""

    limit_bytes: int
    used_bytes: int = 0

    def take(self, size: int, target: str) -> None:
        """Count ``size`` in; `QueueFull` if that is too much."""
        if self.used_bytes + size > self.limit_bytes:
            raise QueueFull(
                target=target, limit=f"{self.limit_bytes} bytes in all lanes"
            )
        self.used_bytes += size

    def give(self, size: int) -> None:
        """Count ``size`` out."""
        self.used_bytes -= size


def farewell(key: str, epoch: int, number: int) -> Parcel:
    """Return the word that a key will not come again."""
    return Parcel(Stamp(key, epoch, number, number, Flag.FORGET, items=0))


@attrs.define(eq=False)
class OriginLane:
    """One key's items, numbered from 1 within this ``epoch`` of the key."""

    key: str
    epoch: int
    config: BusConfig
    budget: Budget
    events: LaneEvents | None = None
    worker: str | None = None
    entries: deque[Entry] = attrs.Factory(deque)
    sent: int = 0
    reached: int = 0
    closing: bool = False
    touched: float = 0.0
    _bytes: int = 0
    _sent_bytes: int = 0
    _next: int = 1
    _paused: bool = False

    def put(self, packed: Packed, done: Deferred[None] | None = None) -> bool:
        """Take an item; False when the window is full from now on.

        Raises:
            QueueFull: far beyond the window, or all lanes together hold too much.
        """
        size = len(packed[0]) + len(packed[1]) + OVERHEAD_BYTES
        config = self.config
        if len(self.entries) >= config.queue_messages or (
            self.entries and self._bytes + size > config.queue_bytes
        ):
            limit = f"{config.queue_messages} messages or {config.queue_bytes} bytes"
            raise QueueFull(target=self.key, limit=limit)
        self.budget.take(size, self.key)
        self.entries.append(Entry(self._next, packed, size, done))
        self._next += 1
        self._bytes += size
        if (
            len(self.entries) >= config.window_messages
            or self._bytes >= config.window_bytes
        ):
            self._paused = True
        return not self._paused

    @property
    def window_is_empty(self) -> bool:
        """Whether its worker has nothing of this key that is not acknowledged."""
        return not self.entries or self.entries[0].number > self.reached

    @property
    def is_suspect(self) -> bool:
        """Whether the first item was in hand at a worker that died."""
        return bool(self.entries) and self.entries[0].deaths > 0

    def take(self, now: float, *, fresh: bool) -> list[Parcel]:
        """Return what may be sent now, and count it as sent.

        Unless ``fresh``, only what its worker may have got already.
        """
        parcels: list[Parcel] = []
        while self.sent < len(self.entries) and self._fits(self.entries[self.sent]):
            entry = self.entries[self.sent]
            if not (fresh or entry.number <= self.reached):
                break
            self.sent += 1
            self._sent_bytes += entry.size
            parcels.append(Parcel(self._stamp(entry), (entry.packed,)))
            self.reached = max(self.reached, entry.number)
        if parcels:
            self.touched = now
        return parcels

    def _fits(self, entry: Entry) -> bool:
        if self.sent == 0:
            return True
        return (
            not self.is_suspect
            and self.sent < self.config.window_messages
            and self._sent_bytes + entry.size <= self.config.window_bytes
        )

    def _stamp(self, entry: Entry) -> Stamp:
        repeated = Flag.REPEATED if entry.number <= self.reached else 0
        flags = repeated | (Flag.MOVED if entry.moved else 0)
        floor = self.entries[0].number
        return Stamp(self.key, self.epoch, entry.number, floor, flags)

    def farewell(self) -> Parcel:
        """Return the word to a worker that this key will not come again."""
        return farewell(self.key, self.epoch, self._next)

    def repeat(self) -> None:
        """Begin again with what is on its way, to the same worker."""
        self.sent = self._sent_bytes = 0

    def leave(self, *, died: bool) -> None:
        """Its worker is gone: what that may have handled is marked from now on."""
        if died and not self.window_is_empty:
            self.entries[0].deaths += 1
        for entry in self.entries:
            if entry.number > self.reached:
                break
            entry.moved = True
        self.worker, self.reached = None, 0
        self.repeat()

    def acknowledge(self, number: int, now: float) -> Entry | None:
        """Let go of the first entry if that is ``number``, and return it."""
        if self.window_is_empty or self.entries[0].number != number:
            return None
        if self.sent:
            self.sent -= 1
            self._sent_bytes -= self.entries[0].size
        self.touched = now
        return self._pop()

    def give_up(self) -> Entry:
        """Let go of the first entry, which was sent to nobody that lives."""
        return self._pop()

    def _pop(self) -> Entry:
        entry = self.entries.popleft()
        self._bytes -= entry.size
        self.budget.give(entry.size)
        return entry

    def has_room_again(self) -> bool:
        """Whether a full window has become half empty since it was last asked."""
        config = self.config
        if (
            self._paused
            and len(self.entries) <= config.window_messages // 2
            and self._bytes <= config.window_bytes // 2
        ):
            self._paused = False
            return True
        return False

    def abandon(self) -> list[Entry]:
        """Let go of everything, and return it."""
        entries = list(self.entries)
        self.entries.clear()
        self.budget.give(self._bytes)
        self.sent = self._bytes = self._sent_bytes = 0
        return entries
