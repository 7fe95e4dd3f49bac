"""Where nginx reaches the workers, and where it can listen itself."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.errors import ConfigError, ConfigProblem
from tbtwist.status import Role, Status

_EVERY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_GONE: Final = "stopped"


def upstream_addresses(
    settings: Settings, status: Status | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the addresses of http and of ws workers.

    Those of a running manager if there is ``status`` (there may be more or fewer
    than configured, and port 0 became a real one), else the configured ones.

    Raises:
        ConfigError: a host is unknown, or ports will be known only when a manager runs.
    """
    sections: tuple[tuple[Role, HttpWorker | WsWorker], ...] = (
        ("http", settings.http_worker),
        ("ws", settings.ws_worker),
    )
    http, ws = (_addresses(role, section, status) for role, section in sections)
    return http, ws


def _addresses(
    role: Role, section: HttpWorker | WsWorker, status: Status | None
) -> Sequence[str]:
    ports = _configured(role, section) if status is None else _running(role, status)
    host = _reachable(role, section.host) if ports else ""
    return [f"{host}:{port}" for port in ports]


def _running(role: Role, status: Status) -> Sequence[int]:
    return [
        worker.port
        for worker in status.workers
        if worker.role == role and worker.port and worker.state != _GONE
    ]


def _configured(role: Role, section: HttpWorker | WsWorker) -> Sequence[int]:
    if section.workers and not section.port:
        expected = "expected a fixed port, or a running manager to ask for the real one"
        raise _error(f"{role}_worker.port", expected)
    return range(section.port, section.port + section.workers)


def _reachable(role: Role, host: str) -> str:
    """Return what `bind_tcp` makes of ``host``, as nginx writes an address."""
    try:
        found = socket.getaddrinfo(_EVERY.get(host, host), 0, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise _error(f"{role}_worker.host", "expected a host that is known") from error
    family, _, _, _, where = found[0]
    return f"[{where[0]}]" if family == socket.AF_INET6 else str(where[0])


def _error(key: str, expected: str) -> ConfigError:
    return ConfigError((ConfigProblem("configuration", key, expected),))


def has_ipv6() -> bool:
    """Whether one can listen on IPv6 addresses here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
            listener.bind(("::", 0))
    except OSError:
        return False
    return True
