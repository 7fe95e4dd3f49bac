"""Adds up what workers count, over all their generations. Pure.

A worker counts from 0 and is replaced; what its process had counted when it ended
is kept, so that totals never go back. What a killed process counted after its last
heartbeat, a second at most, is lost with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import attrs

from tbtwist.observe.metrics import (
    BUCKETS,
    BUS_IN,
    CONNECTIONS,
    LAG_US,
    LATENCY,
    LATENCY_US,
    REQUESTS,
    STATUS,
    bucket,
    find,
    is_loss,
)


@attrs.define(eq=False)
class _Slot:
    """One worker: what ended generations counted, and what the living ones say."""

    past: Counter[str] = attrs.Factory(Counter)
    present: dict[int, Mapping[str, int]] = attrs.Factory(dict)


@attrs.frozen
class Sums:
    """One worker's figures, or all of theirs together, by name."""

    figures: Mapping[str, int]

    def get(self, name: str) -> int:
        """Return one figure; 0 if it was never told."""
        return self.figures.get(name, 0)

    def starting(self, prefix: str) -> int:
        """Return the sum of all figures whose name starts with ``prefix``."""
        found = self.figures.items()
        return sum(value for name, value in found if name.startswith(prefix))

    @property
    def requests(self) -> int:
        """Return how many requests were received."""
        return self.get(REQUESTS)

    @property
    def answered(self) -> int:
        """Return how many requests the API answered."""
        return self.starting(STATUS)

    @property
    def errors(self) -> int:
        """Return how many of those failed by our fault."""
        return self.get(f"{STATUS}5XX")

    @property
    def connections(self) -> int:
        """Return how many WebSockets are open."""
        return self.get(CONNECTIONS)

    @property
    def bus_messages(self) -> int:
        """Return how many messages were taken from the bus."""
        return self.get(BUS_IN)

    @property
    def drops(self) -> int:
        """Return how much was dropped, for whatever reason."""
        return sum(value for name, value in self.figures.items() if is_loss(name))

    @property
    def lag_s(self) -> float:
        """Return how late the last heartbeat was."""
        return self.get(LAG_US) / 1e6

    @property
    def latency_s(self) -> float:
        """Return how long all answers took together."""
        return self.get(LATENCY_US) / 1e6

    @property
    def average_ms(self) -> float:
        """Return how long an answer took on average."""
        answered = self.answered
        return self.latency_s / answered * 1000 if answered else 0.0

    @property
    def buckets(self) -> tuple[int, ...]:
        """Return how many answers fell into each bucket of latency."""
        return tuple(self.get(f"{LATENCY}{i}") for i in range(BUCKETS))


class Totals:
    """Every worker that ever was, by its id."""

    def __init__(self) -> None:
        self._slots: defaultdict[str, _Slot] = defaultdict(_Slot)
        self._heard: dict[str, float] = {}

    def heard(
        self, worker: str, generation: int, figures: Mapping[str, int], at: float
    ) -> None:
        """Take what a worker's generation says; ``at`` is the wall clock."""
        self._heard[worker] = at
        self._slots[worker].present[generation] = figures

    def ended(self, worker: str, generation: int) -> None:
        """Keep what a generation counted; its gauges end with it."""
        slot = self._slots[worker]
        for name, value in slot.present.pop(generation, {}).items():
            if _kind(name) == "counter":
                slot.past[name] += value

    def heard_at(self, worker: str) -> float:
        """Return when a worker was heard last; 0 if never."""
        return self._heard.get(worker, 0.0)

    def of(self, worker: str) -> Sums:
        """Return the sums of one worker."""
        slot = self._slots.get(worker)
        return Sums({} if slot is None else _added(slot.past, *slot.present.values()))

    def all(self) -> Sums:
        """Return the sums of all workers."""
        return Sums(_added(*(sums.figures for _, sums in self.by_worker())))

    def by_worker(self) -> Iterator[tuple[str, Sums]]:
        """Yield the sums of each worker that ever was."""
        for worker in sorted(self._slots):
            yield worker, self.of(worker)


def _added(*parts: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            before = found.get(name, 0)
            peak = _kind(name) == "peak"
            found[name] = max(before, value) if peak else before + value
    return found


def _kind(name: str) -> str:
    if bucket(name) is not None or name == LATENCY_US:
        return "counter"
    known = find(name)
    return "gauge" if known is None else known[0].kind
