"""All workers in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric as Family,
)

from tbtwist.observe.metrics import METRICS, Metric, find
from tbtwist.observe.prometheus import as_text, cumulated
from tbtwist.status import Status, WorkerState, WorkerStatus
from tbtwist.webui.totals import Sums, Totals

_STATES: Final = get_args(WorkerState)


def exposition(status: Status, totals: Totals) -> bytes:
    """Return what ``GET /metrics`` answers.

    Counters of a worker that is gone for good stay: totals never go back.
    """
    return as_text((*_counted(totals), *_supervised(status)))


def _counted(totals: Totals) -> Iterator[Family]:
    workers = tuple(totals.by_worker())
    for metric in METRICS.values():
        family = _family(metric)
        for worker, sums in workers:
            for label, value in _values(metric, sums):
                labels = [worker, label] if metric.label else [worker]
                family.add_metric(labels, value * metric.unit)
        if family.samples:
            yield family
    yield _latency(workers)


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    labels = ["worker", metric.label] if metric.label else ["worker"]
    made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return made(f"tbtwist_{metric.name}", metric.text, labels=labels)


def _values(metric: Metric, sums: Sums) -> Iterator[tuple[str, int]]:
    for name, value in sorted(sums.figures.items()):
        known = find(name)
        if known is not None and known[0] is metric:
            yield known[1], value


def _latency(workers: Iterable[tuple[str, Sums]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "tbtwist_http_request_duration_seconds",
        "Time until an answer was known",
        labels=["worker"],
    )
    for worker, sums in workers:
        if any(sums.buckets):
            family.add_metric([worker], cumulated(sums.buckets), sums.latency_s)
    return family


def _supervised(status: Status) -> Iterator[Family]:
    """Yield what the manager knows of its workers by itself."""
    yield _states(status)
    for name, text, read in _GAUGES:
        family = GaugeMetricFamily(
            f"tbtwist_worker_{name}", text, labels=["worker", "role"]
        )
        for worker in status.workers:
            value = read(worker)
            if value is not None:
                family.add_metric([worker.id, worker.role], value)
        yield family
    restarts = CounterMetricFamily(
        "tbtwist_worker_restarts",
        "Processes that had to be replaced because they ended",
        labels=["worker", "role"],
    )
    for worker in status.workers:
        restarts.add_metric([worker.id, worker.role], worker.restarts)
    yield restarts


def _states(status: Status) -> Family:
    family = GaugeMetricFamily(
        "tbtwist_workers", "Workers by role and state", labels=["role", "state"]
    )
    for role in sorted({worker.role for worker in status.workers}):
        mine = [w.state for w in status.workers if w.role == role]
        for state in _STATES:
            family.add_metric([role, state], mine.count(state))
    return family


def _up(worker: WorkerStatus) -> float:
    return float(worker.state == "running")


_GAUGES: Final = (
    ("up", "Whether the worker runs and is ready", _up),
    ("uptime_seconds", "Age of its process", lambda w: w.uptime_s),
    ("memory_bytes", "Resident memory", lambda w: w.memory_bytes),
    ("cpu_percent", "CPU in percent of one core", lambda w: w.cpu_percent),
    ("generation", "Number of its process in this slot", lambda w: w.generation),
)
