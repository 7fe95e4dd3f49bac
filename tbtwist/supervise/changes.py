"""What an update changes: the running slots beside new settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from tbtwist.config.schema import Settings
from tbtwist.errors import ConfigError, ConfigProblem
from tbtwist.status import Role
from tbtwist.supervise.plan import WorkerSpec, worker_spec

_WEB_UI: Final = ("web_ui_enabled", "web_ui_host", "web_ui_port")


@attrs.frozen
class Changes:
    """Which workers are replaced, on their address or another one, come and go."""

    replaced: tuple[WorkerSpec, ...] = ()
    moved: tuple[WorkerSpec, ...] = ()
    added: tuple[WorkerSpec, ...] = ()
    removed: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return the plan in words, in the order of its steps."""
        return (
            *(f"replace {spec.id}" for spec in self.replaced),
            *(f"replace {s.id}, moving to {_place(s)}" for s in self.moved),
            *(f"start {spec.id} on {_place(spec)}" for spec in self.added),
            *(f"stop {worker_id}" for worker_id in self.removed),
        )


def _place(spec: WorkerSpec) -> str:
    address = spec.address
    assert address is not None
    return f"{address.host}:{address.port or 'any free port'}"


def changes(
    running: Sequence[WorkerSpec],
    settings: Settings,
    counts: Mapping[Role, int],
    roles: Sequence[Role],
) -> Changes:
    """Return how to get from ``running`` to ``settings``, for ``roles``.

    ``counts`` says how many workers of a role there shall be.
    """
    replaced: list[WorkerSpec] = []
    moved: list[WorkerSpec] = []
    added: list[WorkerSpec] = []
    removed: list[str] = []
    for role in roles:
        mine = [spec for spec in running if spec.role == role]
        removed += [spec.id for spec in mine[counts[role] :]]
        for spec in mine[: counts[role]]:
            new = worker_spec(settings, role, number_of(spec.id))
            (replaced if new.address == spec.address else moved).append(new)
        missing = max(0, counts[role] - len(mine))
        numbers = free_numbers({number_of(spec.id) for spec in mine}, missing)
        added += [worker_spec(settings, role, number) for number in numbers]
    return Changes(tuple(replaced), tuple(moved), tuple(added), tuple(removed))


def number_of(worker_id: str) -> int:
    """Return 3 for ``http-3``."""
    return int(worker_id.partition("-")[2])


def free_numbers(taken: set[int], count: int) -> list[int]:
    """Return the ``count`` lowest numbers from 1 on that are not taken."""
    found: list[int] = []
    number = 1
    while len(found) < count:
        if number not in taken:
            found.append(number)
        number += 1
    return found


def check_unchanged(old: Settings, new: Settings) -> None:
    """Refuse what only a restart can change.

    Raises:
        ConfigError: the data directory, the bus, the logs or the web UI's place are
            others.
    """
    keys = [
        key
        for key, before, after in (
            ("data_dir", old.data_dir, new.data_dir),
            ("zmq", old.zmq, new.zmq),
            ("bus", old.bus, new.bus),
            ("logging", old.logging, new.logging),
            *(
                (
                    f"manager.{name}",
                    getattr(old.manager, name),
                    getattr(new.manager, name),
                )
                for name in _WEB_UI
            ),
        )
        if before != after
    ]
    if keys:
        expected = "this takes effect with tbtwist restart, not with an update"
        problems = (ConfigProblem("settings", key, expected) for key in keys)
        raise ConfigError(tuple(problems))
