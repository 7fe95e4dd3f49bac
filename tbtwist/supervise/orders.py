"""What an operator may ask for while everything runs, one thing at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.errors import ManagerBusy, UnknownWorker
from tbtwist.status import Role, UpdateStep
from tbtwist.supervise.changes import (
    Changes,
    changes,
    check_unchanged,
    free_numbers,
    number_of,
)
from tbtwist.supervise.fleet import Fleet
from tbtwist.supervise.plan import check_ports, worker_spec
from tbtwist.supervise.rolling import Say, roll
from tbtwist.supervise.slot import Slot

Reload = Callable[[], Settings]
"""Reads the configuration again; raises ConfigError or ConfigNotFound."""
SERVING: Final[tuple[Role, ...]] = ("http", "ws")
"""The roles whose workers can be replaced and counted; a broker is one."""


class Orders:
    """Carries out updates and scaling on a `Fleet`.

    Every order raises `ManagerBusy` while another is carried out.
    """

    def __init__(self, fleet: Fleet, settings: Settings, reload: Reload) -> None:
        self._fleet = fleet
        self._settings = settings
        self._reload = reload
        self._doing = ""

    @contextlib.contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        if self._doing:
            raise ManagerBusy(doing=self._doing)
        self._doing = doing
        try:
            yield
        finally:
            self._doing = ""

    # --- update

    def plan(self, roles: Sequence[Role] = SERVING) -> Changes:
        """Return what `update` would do now."""
        return self._changes(self._reload(), roles)

    def _changes(self, new: Settings, roles: Sequence[Role]) -> Changes:
        old = self._settings
        check_unchanged(old, new)
        check_ports(new)
        counts = {
            role: len(self._fleet.of(role))
            if _section(old, role).workers == _section(new, role).workers
            else _section(new, role).workers
            for role in roles
        }
        running = [slot.spec for slot in self._fleet.slots]
        return changes(running, new, counts, roles)

    async def update(self, say: Say, roles: Sequence[Role] = SERVING) -> None:
        """Read the configuration and replace all workers of ``roles``.

        The number of workers changes where the configuration's has changed.

        Raises:
            ConfigError, ConfigNotFound: it cannot be used; nothing was touched.
            WorkerNotReady, CannotBind: a worker did not come up; those that were not
                replaced before are as they were.
        """
        with self._alone("an update"):
            new = self._reload()
            todo = self._changes(new, roles)
            fleet = self._fleet
            for spec in todo.replaced:
                slot = fleet.find(spec.id)
                if slot is not None:
                    slot.renew(spec, fleet.policy(new, spec))
                    await roll(fleet, (slot,), say)
            for spec in todo.moved:
                old = fleet.find(spec.id)
                await fleet.hire(fleet.slot(new, spec))
                if old is not None:
                    await fleet.dismiss(old)
                say(UpdateStep(spec.id, "moved", 0, ""))
            for spec in todo.added:
                await fleet.hire(fleet.slot(new, spec))
                say(UpdateStep(spec.id, "started", 0, ""))
            for worker_id in todo.removed:
                await self._dismiss(worker_id)
                say(UpdateStep(worker_id, "stopped", 0, ""))
            self._settings = new

    # --- how many

    async def start_worker(self, role: Role) -> str:
        """Start one more worker of ``role``; return its id when it serves.

        Raises:
            WorkerNotReady, CannotBind: it did not come up, and is gone.
        """
        with self._alone(f"starting a worker of {role}"):
            return await self._one_more(role)

    async def stop_worker(self, worker_id: str, *, graceful: bool = True) -> None:
        """Let one worker drain and leave for good; ungraceful, it is killed.

        Raises:
            UnknownWorker: there is none of this name, or it is the broker.
        """
        with self._alone(f"stopping {worker_id}"):
            await self._dismiss(worker_id, graceful=graceful)

    async def restart_worker(self, say: Say, worker_id: str) -> None:
        """Replace one worker, as an update does, with the settings in effect.

        Raises:
            UnknownWorker: there is none of this name, or it is the broker.
            WorkerNotReady: the new one did not come up; the old one serves on.
        """
        with self._alone(f"restarting {worker_id}"):
            await roll(self._fleet, (self._serving(worker_id),), say)

    async def scale(self, role: Role, count: int) -> None:
        """Start or stop workers until ``role`` has ``count``, the last ones first."""
        with self._alone(f"scaling {role}"):
            while len(self._fleet.of(role)) < count:
                await self._one_more(role)
            while len(self._fleet.of(role)) > count:
                await self._fleet.dismiss(self._fleet.of(role)[-1])

    async def _one_more(self, role: Role) -> str:
        fleet = self._fleet
        taken = {number_of(slot.spec.id) for slot in fleet.of(role)}
        (number,) = free_numbers(taken, 1)
        spec = worker_spec(self._settings, role, number)
        await fleet.hire(fleet.slot(self._settings, spec))
        return spec.id

    async def _dismiss(self, worker_id: str, *, graceful: bool = True) -> None:
        await self._fleet.dismiss(self._serving(worker_id), graceful=graceful)

    def _serving(self, worker_id: str) -> Slot:
        slot = self._fleet.find(worker_id)
        if slot is None or slot.spec.role not in SERVING:
            known = ", ".join(s.spec.id for s in self._fleet.slots if s.spec.address)
            raise UnknownWorker(worker=worker_id, known=known or "none")
        return slot


def _section(settings: Settings, role: Role) -> HttpWorker | WsWorker:
    return settings.http_worker if role == "http" else settings.ws_worker
