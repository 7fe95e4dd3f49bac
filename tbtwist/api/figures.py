"""What a worker has done so far, counted and in two formats (contract §2, R1.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from tbtwist.api.health import Health
from tbtwist.apps.pool import SyncPool
from tbtwist.boundaries import BusFigures
from tbtwist.observe.metrics import (
    BOUNDS_S,
    BUCKETS,
    HARMLESS,
    RECEIVED,
    SENT,
    STATUS,
    latency_figures,
)
from tbtwist.observe.prometheus import as_text, cumulated


@attrs.define(eq=False)
class Figures:
    """Counts what the core answers; written where the core runs.

    ``sessions`` are requests to the session's own paths, good or bad.
    """

    answers: Counter[int] = attrs.field(factory=Counter, init=False)
    sessions: int = attrs.field(default=0, init=False)
    seconds: float = attrs.field(default=0.0, init=False)
    _slots: list[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = [0] * BUCKETS

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer and the time until it was known."""
        self.answers[status] += 1
        self.seconds += seconds
        self._slots[bisect_left(BOUNDS_S, seconds)] += 1

    def total(self, first: int = 100, last: int = 599) -> int:
        """Return how many answers had a status in this range."""
        return sum(n for status, n in self.answers.items() if first <= status <= last)

    def buckets(self) -> list[tuple[str, float]]:
        """Return a histogram's buckets, each with those below it."""
        return cumulated(self._slots)

    def told(self) -> dict[str, int]:
        """Return what a manager adds up (`tbtwist.observe.metrics`)."""
        classes: Counter[str] = Counter()
        for status, count in self.answers.items():
            classes[f"{STATUS}{status // 100}XX"] += count
        return {**classes, **latency_figures(tuple(self._slots), self.seconds)}


@attrs.frozen
class Report:
    """Everything that ``/metrics`` tells.

    ``bus`` returns the figures of the bus; ``ws_messages`` says how many messages
    of WebSockets were handled here.
    """

    health: Health
    figures: Figures
    pool: Callable[[], SyncPool]
    streams: Callable[[], int]
    bus: Callable[[], BusFigures]
    ws_messages: Callable[[], int]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures with ToolBoxV2's names (R1.2)."""
        figures, answered = self.figures, self.figures.total()
        return {
            "worker_id": self.health.worker_id,
            "requests_total": max(self.health.requests_total, answered),
            "requests_success": figures.total(100, 399),
            "requests_error": figures.total(500, 599),
            "requests_auth": figures.sessions,
            "requests_denied": figures.answers[401] + figures.answers[403],
            "ws_messages_handled": self.ws_messages(),
            "avg_latency_ms": figures.seconds / answered * 1000 if answered else 0,
            "zmq": bus_as_dict(self.bus()),
        }

    def as_text(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return as_text(self._families())

    def _families(self) -> Iterable[Metric]:
        yield self._answers()
        latency = HistogramMetricFamily(
            "tbtwist_http_request_duration_seconds", "Time until an answer was known"
        )
        latency.add_metric([], self.figures.buckets(), self.figures.seconds)
        yield latency
        for name, text, value in self._gauges():
            yield GaugeMetricFamily(f"tbtwist_{name}", text, value=value)
        yield CounterMetricFamily(
            "tbtwist_ws_messages_handled",
            "Messages of WebSockets handled",
            self.ws_messages(),
        )
        yield from bus_families(self.bus())

    def _answers(self) -> Metric:
        family = CounterMetricFamily(
            "tbtwist_http_requests", "Requests answered by the API", labels=["status"]
        )
        for status, count in sorted(self.figures.answers.items()):
            family.add_metric([str(status)], count)
        return family

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        health, pool = self.health, self.pool()
        yield "http_received", "Requests received, of every kind", health.requests_total
        yield "http_in_flight", "Requests that are being answered", health.in_flight
        yield "http_streams", "Streams under way", self.streams()
        yield "app_threads_busy", "Functions that run in threads", pool.busy
        yield "app_threads_queued", "Functions that wait for a thread", pool.queued
        yield "app_threads_overdue", "Functions nobody waits for", pool.overdue
        yield "ready", "Whether the worker is ready", health.status == "ready"
        connected = health.bus_connected is not False
        yield "bus_connected", "Whether the bus is there, or not needed", connected


def bus_as_dict(bus: BusFigures) -> dict[str, Any]:
    """Return R1.2's five figures, and what they are made of."""
    done, incidents = bus.done, bus.incidents
    harm = {k: n for k, n in incidents.items() if k not in HARMLESS}
    return {
        "events_sent": sum(done.get(name, 0) for name in SENT),
        "events_received": sum(done.get(name, 0) for name in RECEIVED),
        "rpc_calls": done.get("asked", 0),
        "rpc_timeouts": incidents.get("call: CallTimeout", 0),
        "errors": sum(harm.values()),
        "done": dict(done),
        "incidents": dict(incidents),
        "now": dict(bus.now),
    }


def bus_families(bus: BusFigures) -> Iterable[Metric]:
    """Return the same for Prometheus."""
    messages = CounterMetricFamily(
        "tbtwist_bus_messages", "Messages by what became of them", labels=["what"]
    )
    incidents = CounterMetricFamily(
        "tbtwist_bus_incidents", "What was dropped or repeated", labels=["reason"]
    )
    for family, counts in ((messages, bus.done), (incidents, bus.incidents)):
        for label, count in sorted(counts.items()):
            family.add_metric([label], count)
        yield family
    for name, value in bus.now.items():
        text = f"The bus' {name.replace('_', ' ')} at this moment"
        yield GaugeMetricFamily(f"tbtwist_bus_{name}", text, value=value)
