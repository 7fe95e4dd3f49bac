"""Figures, ours beside a peer's, and how they are shown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Literal

import attrs

Better = Literal["more", "less"]


@attrs.frozen(kw_only=True)
class Plan:
    """How much is measured: rounds, seconds of each, WebSocket connections.

    For ``http``, which has many servers, ``http_seconds`` of either load, and the
    constant ``rate`` of the second one, in requests a second.
    """

    rounds: int
    seconds: float
    connections: int
    http_seconds: float
    rate: float = 500.0


FULL = Plan(rounds=5, seconds=3.0, connections=1000, http_seconds=2.0)
QUICK = Plan(rounds=1, seconds=0.5, connections=100, http_seconds=0.5)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which ``percent`` of the values are (nearest rank)."""
    if not values:
        msg = "no values"
        raise ValueError(msg)
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


@attrs.frozen(kw_only=True)
class Figure:
    """One quantity: ours and a peer's, a value for every round."""

    part: str
    name: str
    unit: str
    better: Better
    peer_name: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Return how many times better we are, by the medians; below 1: worse."""
        ours, peer = statistics.median(self.ours), statistics.median(self.peer)
        over, under = (ours, peer) if self.better == "more" else (peer, ours)
        return over / under if under else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for a JSON file."""
        return {
            **attrs.asdict(self),
            "ours_median": statistics.median(self.ours),
            "peer_median": statistics.median(self.peer),
            "ratio": round(self.ratio, 3),
        }


def number(value: float) -> str:
    """Return a value as people read it: three digits or more, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def shown(values: Sequence[float]) -> str:
    """Return the median, and the range where there is more than one value."""
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))}-{number(max(values))})"


_HEAD = ("what", "ours", "peer", "peer is", "ratio")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table with columns of even width."""
    return aligned([_HEAD, *map(_row, figures)])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first being the head, as a Markdown table of even columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        f"{figure.name}, {figure.unit}",
        shown(figure.ours),
        shown(figure.peer),
        figure.peer_name,
        f"{figure.ratio:.2f}",
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "| " + " | ".join(cells) + " |"
