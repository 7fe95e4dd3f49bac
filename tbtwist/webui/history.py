"""The last minutes, for charts: a sample a second, rates over a few of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from tbtwist.observe.metrics import BOUNDS_S
from tbtwist.webui.totals import Sums

KEPT: Final = 900
_RATE_SAMPLES: Final = 3
_LATENCY_SAMPLES: Final = 10
"""Over how many samples rates and percentiles are taken: beats come once a second,
each worker's at its own moment."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One moment of all workers: rates a second, latencies and lag in ms."""

    at: float
    requests: float
    errors: float
    p50: float | None
    p95: float | None
    p99: float | None
    connections: int
    http_connections: int
    bus: float
    drops: float
    lag: float


@attrs.frozen
class _Seen:
    at: float
    sums: Sums


class History:
    """The last 15 minutes."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self._seen: deque[_Seen] = deque(maxlen=_LATENCY_SAMPLES + 1)

    def add(self, at: float, sums: Sums) -> Sample:
        """Look at the sums now; return the new sample."""
        now = _Seen(at, sums)
        before = self._seen[-min(_RATE_SAMPLES, len(self._seen))] if self._seen else now
        oldest = self._seen[0] if self._seen else now
        self._seen.append(now)
        sample = _between(before, oldest, now)
        self.samples.append(sample)
        return sample


def _between(before: _Seen, oldest: _Seen, now: _Seen) -> Sample:
    seconds = now.at - before.at

    def rate(then: int, value: int) -> float:
        return round(max(0, value - then) / seconds, 2) if seconds > 0 else 0.0

    old, new = before.sums, now.sums
    slots = [
        max(0, b - a) for a, b in zip(oldest.sums.buckets, new.buckets, strict=True)
    ]
    return Sample(
        at=round(now.at, 2),
        requests=rate(old.requests, new.requests),
        errors=rate(old.errors, new.errors),
        p50=percentile_ms(slots, 0.50),
        p95=percentile_ms(slots, 0.95),
        p99=percentile_ms(slots, 0.99),
        connections=new.connections,
        http_connections=new.get("HTTP_CONNECTIONS"),
        bus=rate(old.bus_messages, new.bus_messages),
        drops=rate(old.drops, new.drops),
        lag=round(new.lag_s * 1000, 2),
    )


def percentile_ms(slots: Sequence[int], share: float) -> float | None:
    """Return the latency that ``share`` of the answers did not exceed, in ms.

    Within a bucket answers are taken to be spread evenly; beyond the last bound
    there is only that bound to tell. None if nothing was answered.
    """
    wanted, below = share * sum(slots), 0
    if not wanted:
        return None
    for position, count in enumerate(slots[:-1]):
        if count and below + count >= wanted:
            low = BOUNDS_S[position - 1] if position else 0.0
            part = (wanted - below) / count
            return round((low + part * (BOUNDS_S[position] - low)) * 1000, 3)
        below += count
    return BOUNDS_S[-1] * 1000
