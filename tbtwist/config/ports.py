"""Ports that would be taken twice: worker i listens on ``port + i``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import attrs

from tbtwist.config.schema import Settings

_LAST_PORT: Final = 65535
EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared only
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


@attrs.frozen
class PortRange:
    """The ports of one role; ``keys`` are the settings that make them up."""

    role: str
    host: str
    first: int
    count: int
    keys: tuple[str, ...]

    @property
    def last(self) -> int:
        """Return the highest port."""
        return self.first + self.count - 1

    def name(self, port: int) -> str:
        """Return who listens on ``port``: ``http-11``, or the manager's web UI."""
        if self.role == _WEB_UI:
            return self.role
        return f"{self.role}-{port - self.first + 1}"

    def shares_host(self, other: PortRange) -> bool:
        """Whether both would bind the same address."""
        hosts = {self.host, other.host}
        return len(hosts) == 1 or bool(hosts & EVERY_ADDRESS) or hosts <= _LOOPBACK


@attrs.frozen
class PortConflict:
    """A sentence, and the keys that could be changed to make it untrue."""

    expected: str
    keys: tuple[str, ...]


_WEB_UI: Final = "the manager's web UI"


def port_ranges(settings: Settings) -> tuple[PortRange, ...]:
    """Return what will be bound; port 0 (any free one) is left out."""
    http, ws, manager = settings.http_worker, settings.ws_worker, settings.manager
    ui = int(manager.web_ui_enabled)
    ranges = (
        _workers("http", http.host, http.port, http.workers),
        _workers("ws", ws.host, ws.port, ws.workers),
        PortRange(
            _WEB_UI, manager.web_ui_host, manager.web_ui_port, ui, (_WEB_UI_PORT,)
        ),
    )
    return tuple(r for r in ranges if r.first and r.count)


_WEB_UI_PORT: Final = "manager.web_ui_port"


def _workers(role: str, host: str, port: int, workers: int) -> PortRange:
    keys = (f"{role}_worker.port", f"{role}_worker.workers")
    return PortRange(role, host, port, workers, keys)


def port_conflicts(settings: Settings) -> Iterator[PortConflict]:
    """Return every pair of ranges that meet, and every range beyond 65535."""
    ranges = port_ranges(settings)
    for each in ranges:
        if each.last > _LAST_PORT:
            sentence = (
                f"expected ports up to {_LAST_PORT}; "
                f"{each.name(each.last)} would need {each.last}"
            )
            yield PortConflict(sentence, each.keys)
    for one, other in itertools.combinations(ranges, 2):
        port = max(one.first, other.first)
        if port <= min(one.last, other.last) and one.shares_host(other):
            sentence = (
                f"expected ports of its own; {one.name(port)} and "
                f"{other.name(port)} would both listen on {port}"
            )
            yield PortConflict(sentence, one.keys + other.keys)
