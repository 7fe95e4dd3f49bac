"""What workers count: the one vocabulary of those who tell and those who add up.

A worker sends whole numbers by short names with every heartbeat; the manager
knows from `METRICS` what each of them means. A name may end in a label's value,
as in ``STATUS_2XX`` or ``BUS:sent again``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import attrs

Kind = Literal["counter", "gauge", "peak"]
"""Counters only grow; gauges of two generations are added, of peaks the larger counts."""

BOUNDS_S: Final[tuple[float, ...]] = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30),
)
"""The upper bounds of latency's buckets; one more bucket has none."""
BUCKETS: Final = len(BOUNDS_S) + 1
LATENCY: Final = "LATENCY_"
LATENCY_US: Final = "LATENCY_US"
REQUESTS: Final = "REQUESTS_TOTAL"
CONNECTIONS: Final = "CONNECTIONS"
IN_FLIGHT: Final = "IN_FLIGHT"
BUS_PENDING: Final = "BUS_PENDING"
BUS_IN: Final = "BUS_IN"
BUS_OUT: Final = "BUS_OUT"
BUS_REASON: Final = "BUS:"
DROPS: Final = "DROPS "
STATUS: Final = "STATUS_"
LAG_US: Final = "LAG_US"

_MOST_REASONS: Final = 20
_LONGEST_REASON: Final = 60
_NO_WORD: Final = re.compile(r"[^A-Z0-9]+")
_LOST: Final = ("dropped", "undeliverable", "publication", "subscription", "poison")
_SENT_AGAIN: Final = frozenset(
    {"dropped: old epoch", "dropped: repetition", "dropped: gap"}
)
"""What a lane sends again anyway, or had been taken before."""
HARMLESS: Final = frozenset(
    {"dropped: repetition", "moved: worker gone", "redelivered", "sent again"}
)
"""What the bus' promises make happen; nothing is lost by it."""
SENT: Final = ("published", "forwarded", "sent")
RECEIVED: Final = ("received", "handled", "taken")


@attrs.frozen
class Metric:
    """One figure: its name and text in Prometheus, its kind, its label, its unit."""

    name: str
    text: str
    kind: Kind = "counter"
    label: str = ""
    unit: float = 1.0


METRICS: Final[Mapping[str, Metric]] = {
    REQUESTS: Metric("http_received", "Requests received, of every kind"),
    STATUS: Metric(
        "http_requests", "Requests answered, by class of status", label="status"
    ),
    IN_FLIGHT: Metric("http_in_flight", "Requests that are being answered", "gauge"),
    "HTTP_CONNECTIONS": Metric("http_connections", "Open HTTP connections", "gauge"),
    "HTTP_WAITING": Metric("http_waiting", "Requests that wait for a turn", "gauge"),
    "STREAMS": Metric("http_streams", "Streams under way", "gauge"),
    "POOL_BUSY": Metric("app_threads_busy", "Functions that run in threads", "gauge"),
    "POOL_WAITING": Metric(
        "app_threads_queued", "Functions that wait for a thread", "gauge"
    ),
    "POOL_OVERDUE": Metric(
        "app_threads_overdue", "Functions nobody waits for", "gauge"
    ),
    CONNECTIONS: Metric("ws_connections", "Open WebSocket connections", "gauge"),
    "WS_OPENED": Metric("ws_opened", "WebSocket connections opened"),
    "WS_IN": Metric("ws_messages_received", "WebSocket messages from clients"),
    "WS_OUT": Metric("ws_messages_sent", "WebSocket messages to clients"),
    "WS_REFUSED_": Metric("ws_refused", "Connections refused, by reason", label="why"),
    "WS_CLOSED_": Metric("ws_closed", "Connections closed, by code", label="code"),
    BUS_IN: Metric("bus_received", "Messages taken from the bus"),
    BUS_OUT: Metric("bus_sent", "Messages given to the bus"),
    BUS_PENDING: Metric(
        "bus_pending", "Messages that wait to be acknowledged or handled", "gauge"
    ),
    "BUS_QUEUED_BYTES": Metric(
        "bus_queued_bytes", "Bytes that wait for an acknowledgement", "gauge"
    ),
    "BUS:workers": Metric("broker_workers", "Workers that the broker knows", "gauge"),
    BUS_REASON: Metric(
        "bus_incidents", "What was dropped, refused or repeated", label="reason"
    ),
    DROPS: Metric("ws_drops", "What did not reach a connection", label="reason"),
    LAG_US: Metric(
        "reactor_lag_seconds", "How late a heartbeat was", "peak", unit=1e-6
    ),
}
_PREFIXES: Final = tuple(key for key in METRICS if key.endswith(("_", ":", " ")))


def find(name: str) -> tuple[Metric, str] | None:
    """Return what a figure's name means, and its label's value; None if unknown."""
    metric = METRICS.get(name)
    if metric is not None:
        return metric, ""
    prefix = next((p for p in _PREFIXES if name.startswith(p)), None)
    if prefix is None:
        return None
    label = name[len(prefix) :]
    return METRICS[prefix], label.lower() if prefix.endswith("_") else label


def bucket(name: str) -> int | None:
    """Return which of latency's buckets a figure's name means, if it does."""
    number = name.removeprefix(LATENCY)
    if number == name or not number.isdecimal() or int(number) >= BUCKETS:
        return None
    return int(number)


def spread(prefix: str, counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Give each reason a name of its own under ``prefix``; the rest is ``OTHER``."""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    found: Counter[str] = Counter()
    for reason, count in ordered:
        full = len(found) >= _MOST_REASONS
        word = _NO_WORD.sub("_", reason.upper())[:_LONGEST_REASON].strip("_")
        found["OTHER" if full or not word else word] += count
    for word, count in found.items():
        yield prefix + word, count


def is_loss(name: str) -> bool:
    """Whether a figure counts something that was lost, and not only done again."""
    if name.startswith(DROPS):
        return True
    reason = name.removeprefix(BUS_REASON)
    return reason != name and reason.startswith(_LOST) and reason not in _SENT_AGAIN


def latency_figures(slots: tuple[int, ...], seconds: float) -> dict[str, int]:
    """Return a histogram: how many answers fell into each bucket, and their time."""
    counted = {f"{LATENCY}{i}": n for i, n in enumerate(slots) if n}
    return {**counted, LATENCY_US: int(seconds * 1e6)}
