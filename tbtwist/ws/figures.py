"""What a ws worker tells about itself: ``GET /metrics``, in two formats.

Prometheus' text, or JSON to whom prefers that, as an http worker's (R1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tbtwist.api.figures import bus_as_dict, bus_families
from tbtwist.boundaries import BusFigures
from tbtwist.observe.prometheus import PROMETHEUS, as_text
from tbtwist.ws.counts import Counts
from tbtwist.ws.handshake import Answer, Head, refusal
from tbtwist.ws.registry import Registry


@attrs.frozen
class Report:
    """Everything that ``/metrics`` tells; ``gauges`` are figures of the protocol."""

    worker_id: str
    counts: Counts
    registry: Registry[Any]
    ready: Callable[[], bool]
    gauges: Callable[[], Mapping[str, int]]
    bus: Callable[[], BusFigures]

    def answer(self, head: Head, *, insider: bool) -> Answer:
        """Return the answer to a request for it."""
        if not insider:
            return refusal(403, "Figures are for this machine and trusted proxies.")
        if "application/json" in head.headers.get("accept", "").lower():
            return Answer(200, self.as_dict())
        text = as_text(self._families())
        fresh = (("Content-Type", PROMETHEUS), ("Cache-Control", "no-store"))
        return Answer(200, text, fresh)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by their names."""
        counts = self.counts
        return {
            "worker_id": self.worker_id,
            "connections": len(self.registry),
            "channels": self.registry.channels,
            "opened_total": counts.opened,
            "messages_in_total": counts.messages_in,
            "messages_out_total": counts.messages_out,
            "broadcasts_missed_total": counts.broadcasts_missed,
            **self.gauges(),
            "refused": dict(counts.refused),
            "closes": {str(code): n for code, n in counts.closes.items()},
            "drops": dict(counts.drops),
            "zmq": bus_as_dict(self.bus()),
        }

    def _families(self) -> Iterable[Metric]:
        counts = self.counts
        yield _gauge("ready", "Whether the worker is ready", self.ready())
        yield _gauge("ws_connections", "Open connections", len(self.registry))
        yield _gauge("ws_channels", "Channels in use", self.registry.channels)
        for name, value in self.gauges().items():
            yield _gauge(f"ws_{name}", f"{name.replace('_', ' ')} now", value)
        for name, text, value in (
            ("opened", "Connections opened", counts.opened),
            ("messages_in", "Messages from clients", counts.messages_in),
            ("messages_out", "Messages to clients", counts.messages_out),
            ("broadcasts_missed", "Broadcasts lost", counts.broadcasts_missed),
        ):
            yield CounterMetricFamily(f"tbtwist_ws_{name}", text, value)
        yield _labelled("refused", "Handshakes refused", "reason", counts.refused)
        yield _labelled("closes", "Connections closed by us", "code", counts.closes)
        yield _labelled("drops", "What did not arrive", "reason", counts.drops)
        yield from bus_families(self.bus())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tbtwist_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"tbtwist_ws_{name}", text, labels=[label])
    for key, count in sorted(values.items()):
        family.add_metric([str(key)], count)
    return family
