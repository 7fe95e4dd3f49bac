"""What a bus tells about itself: `BusFigures` from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tbtwist.boundaries import BusFigures
from tbtwist.bus.book import LaneBook
from tbtwist.bus.calls import Calls
from tbtwist.bus.incoming import Deliveries
from tbtwist.bus.lane import Budget
from tbtwist.bus.topics import MISSED
from tbtwist.bus.wire import Surroundings


def figures_of(
    around: Surroundings,
    books: Sequence[LaneBook],
    budget: Budget,
    deliveries: Deliveries,
    calls: Calls,
) -> BusFigures:
    """Return the figures of a bus with these parts."""
    now = {
        "lane_items": sum(book.waiting for book in books),
        "lane_bytes": budget.used_bytes,
        "lanes_bound": deliveries.bound,
        "deliveries_waiting": deliveries.load,
        "calls_open": calls.open,
        "calls_answering": calls.answering,
    }
    return BusFigures(dict(around.done), _by_kind(around.counters), now)


def _by_kind(counters: Mapping[str, int]) -> Mapping[str, int]:
    """Return the counters without topics, of which applications may have many."""
    kinds: Counter[str] = Counter()
    for reason, count in counters.items():
        kinds[MISSED if reason.startswith(MISSED) else reason] += count
    return kinds
