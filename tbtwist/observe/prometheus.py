"""Figures in Prometheus' text format, whoever counts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from tbtwist.observe.metrics import BOUNDS_S

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


def as_text(families: Iterable[Metric]) -> bytes:
    """Return figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(tuple(families)))
    return generate_latest(registry)


def cumulated(slots: Sequence[int]) -> list[tuple[str, float]]:
    """Return latency's buckets, each with those below it."""
    below, found = 0, []
    for bound, count in zip((*BOUNDS_S, "+Inf"), slots, strict=True):
        below += count
        found.append((str(bound), float(below)))
    return found


@attrs.frozen(eq=False)
class _Collected(Collector):
    families: tuple[Metric, ...]

    @override
    def collect(self) -> Iterable[Metric]:
        return self.families
