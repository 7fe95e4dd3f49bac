"""What should run: the settings as a list of workers, pure.

The order of the list is the order of starting; stopping goes the other way,
with http and ws workers draining together before the broker leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from tbtwist.config.ports import EVERY_ADDRESS, port_conflicts
from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.errors import ConfigError, ConfigProblem
from tbtwist.status import Role

BROKER_ID: Final = "broker"
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
    problems = tuple(
        ConfigProblem("settings", " and ".join(conflict.keys), conflict.expected)
        for conflict in port_conflicts(settings)
    )
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
