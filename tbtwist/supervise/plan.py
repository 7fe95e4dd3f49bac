"""What should run: the settings as a list of workers, pure.

The order of the list is the order of starting; stopping goes the other way,
with http and ws workers draining together before the broker leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import attrs

from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.errors import ConfigError, ConfigProblem
from tbtwist.status import Role

BROKER_ID: Final = "broker"
_LAST_PORT: Final = 65535
EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared only
_BROKER_DRAIN_S: Final = 5.0


@attrs.frozen
class Address:
    """Where a worker listens; port 0 is any free one."""

    host: str
    port: int
    backlog: int


@attrs.frozen
class WorkerSpec:
    """One worker that should run. The broker has no address of its own."""

    id: str
    role: Role
    address: Address | None
    drain_timeout_s: float


def desired(settings: Settings) -> tuple[WorkerSpec, ...]:
    """Return the workers that the settings ask for, in the order of starting.

    Raises:
        ConfigError: ranges of ports collide or leave the possible ones; every
            problem names the keys to change.
    """
    check_ports(settings)
    broker = WorkerSpec(BROKER_ID, "broker", None, _BROKER_DRAIN_S)
    http = _specs("http", settings.http_worker)
    ws = _specs("ws", settings.ws_worker)
    return (broker, *http, *ws)


def check_ports(settings: Settings) -> None:
    """Raise ConfigError if ranges of ports collide or leave the possible ones."""
    problems = tuple(_problems(settings))
    if problems:
        raise ConfigError(problems)


def reachable(host: str) -> str:
    """Return where clients on this machine find who listens on ``host``."""
    return "127.0.0.1" if host in EVERY_ADDRESS else host


def worker_spec(settings: Settings, role: Role, number: int) -> WorkerSpec:
    """Return the http or ws worker with this number, which counts from 1."""
    section = settings.http_worker if role == "http" else settings.ws_worker
    return _spec(role, section, number)


def _specs(role: Role, section: HttpWorker | WsWorker) -> Iterator[WorkerSpec]:
    for number in range(1, section.workers + 1):
        yield _spec(role, section, number)


def _spec(role: Role, section: HttpWorker | WsWorker, number: int) -> WorkerSpec:
    port = section.port + number - 1 if section.port else 0
    address = Address(section.host, port, section.backlog)
    return WorkerSpec(f"{role}-{number}", role, address, section.drain_timeout_s)


@attrs.frozen
class _Range:
    """The ports that one section of the settings takes."""

    keys: str
    host: str
    first: int
    count: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1

    def common_with(self, other: _Range) -> int | None:
        """Return the first port that both would take, if there is one."""
        first = max(self.first, other.first)
        if first > min(self.last, other.last) or not _same_host(self.host, other.host):
            return None
        return first


def _same_host(one: str, other: str) -> bool:
    if one in EVERY_ADDRESS or other in EVERY_ADDRESS:
        return True
    return one.replace("localhost", "127.0.0.1") == other.replace(
        "localhost", "127.0.0.1"
    )


def _ranges(settings: Settings) -> Iterator[_Range]:
    for name, section in (
        ("http_worker", settings.http_worker),
        ("ws_worker", settings.ws_worker),
    ):
        if section.port and section.workers:
            keys = f"{name}.port and {name}.workers"
            yield _Range(keys, section.host, section.port, section.workers)
    manager = settings.manager
    if manager.web_ui_enabled and manager.web_ui_port:
        yield _Range("manager.web_ui_port", manager.web_ui_host, manager.web_ui_port, 1)


def _problems(settings: Settings) -> Iterator[ConfigProblem]:
    ranges: Sequence[_Range] = tuple(_ranges(settings))
    for each in ranges:
        if each.last > _LAST_PORT:
            expected = (
                f"the last port would be {each.last}; the highest is {_LAST_PORT}"
            )
            yield ConfigProblem("settings", each.keys, expected)
    for one, other in combinations(ranges, 2):
        port = one.common_with(other)
        if port is not None:
            expected = f"port {port} is also taken by {other.keys}"
            yield ConfigProblem("settings", one.keys, expected)
