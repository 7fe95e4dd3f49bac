"""All slots of a manager: brought up, hired, dismissed and stopped, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tbtwist.config.schema import Settings
from tbtwist.status import Role
from tbtwist.supervise.moments import Conditions
from tbtwist.supervise.plan import BROKER_ID, WorkerSpec, desired
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.slot import Slot
from tbtwist.supervise.workshop import Workshop

_STOP_ORDER: Final = (("ws", 2 / 3, 0.0), ("http", 1.0, 0.0), ("broker", 1.0, 1.0))
"""Roles in the order of stopping: which part of the remaining time each may take,
and how many seconds it gets in any case.

A ws worker that says goodbye needs http workers for what its connections still
have to say, and everybody needs the broker.
"""
_ROLES: Final = ("broker", "http", "ws")


class Fleet:
    """The slots, in the order of starting."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.conditions = Conditions()
        self._shop: Workshop | None = None
        self._jitter: Callable[[float], float] = float

    def fill(self, settings: Settings, shop: Workshop) -> None:
        """Make a slot for every worker that the settings ask for.

        Raises:
            ConfigError: their ports collide.
        """
        self._shop = shop
        self._jitter = shop.world.jitter
        self.slots = [self.slot(settings, spec) for spec in desired(settings)]

    def slot(self, settings: Settings, spec: WorkerSpec) -> Slot:
        """Return a slot, which belongs to nobody yet."""
        assert self._shop is not None
        return Slot(spec, self._shop, self.policy(settings, spec))

    def policy(self, settings: Settings, spec: WorkerSpec) -> Policy:
        """Return how patient the settings are with such a worker."""
        return Policy.from_settings(
            settings.manager,
            drain_timeout_s=spec.drain_timeout_s,
            jitter=self._jitter,
        )

    # --- who is here

    def find(self, worker_id: str) -> Slot | None:
        """Return the slot of a worker, or None."""
        return next((s for s in self.slots if s.spec.id == worker_id), None)

    def of(self, role: Role) -> list[Slot]:
        """Return the slots of a role, in their order."""
        return [slot for slot in self.slots if slot.spec.role == role]

    def addresses(self) -> dict[str, str]:
        """Return the real ports, as in ``TB_HTTP_PORTS=8000,8001``."""
        roles: tuple[Role, ...] = ("http", "ws")
        return {
            f"TB_{role.upper()}_PORTS": ",".join(str(s.port) for s in self.of(role))
            for role in roles
        }

    async def until(self, slots: Iterable[Slot], *states: str) -> None:
        """Come back when the present tenants of ``slots`` are in one of ``states``."""
        chosen = tuple(slots)
        await self.conditions.until(
            lambda: all(slot.state in states for slot in chosen)
        )

    async def emptied(self, slots: Sequence[Slot]) -> None:
        """Come back when nobody is left in ``slots``, not even who was replaced."""
        await self.conditions.until(lambda: all(slot.empty for slot in slots))

    # --- all of them

    def listen(self) -> None:
        """Open all listeners; `CannotBind` if a port is not to be had."""
        for slot in self.slots:
            slot.listen()

    def refuse(self) -> None:
        """Close all listeners."""
        for slot in self.slots:
            slot.refuse()

    def refuse_unserved(self) -> None:
        """Whoever waits for the broker to come up first serves nobody yet."""
        for slot in self.slots:
            if slot.state == "stopped":
                slot.refuse()

    async def start(self) -> None:
        """Start everybody, the broker first; each is ready or given up afterwards."""
        broker = [slot for slot in self.slots if slot.spec.id == BROKER_ID]
        others = [slot for slot in self.slots if slot.spec.id != BROKER_ID]
        for group in (broker, others):
            for slot in group:
                slot.start()
            await self.until(group, "running", "failed")

    async def stop(self, remaining: Callable[[], float]) -> None:
        """Drain and stop everybody in the time that is left."""
        self.refuse()
        for role, share, grace_s in _STOP_ORDER:
            group = [slot for slot in self.slots if slot.spec.role == role]
            for slot in group:
                slot.stop(max(share * remaining(), grace_s))
            await self.emptied(group)

    def hurry(self, timeout_s: float) -> None:
        """Give those who drain a nearer deadline, those who were replaced too."""
        for slot in self.slots:
            slot.hurry(timeout_s)

    # --- one of them

    async def hire(self, slot: Slot) -> None:
        """Add a slot and start its worker.

        Raises:
            CannotBind: its port is not to be had.
            WorkerNotReady: it did not come up; the slot is gone again.
        """
        slot.listen()
        self.slots.append(slot)
        self.slots.sort(key=_order)
        try:
            slot.start()
            await self.until((slot,), "running", "failed", "stopped")
        finally:
            if slot.state != "running":
                await self._drop(slot, 0.0)
        if slot.state != "running":
            raise slot.tenant.not_ready()

    async def dismiss(self, slot: Slot, *, graceful: bool = True) -> None:
        """Let the worker of a slot drain and leave; the slot goes with it.

        Ungraceful, it is killed.
        """
        await self._drop(slot, slot.kill_after_s if graceful else 0.0)

    async def _drop(self, slot: Slot, kill_after_s: float) -> None:
        slot.stop(kill_after_s)
        await self.emptied((slot,))
        if slot in self.slots:
            self.slots.remove(slot)


def _order(slot: Slot) -> tuple[int, int]:
    _, _, number = slot.spec.id.partition("-")
    return _ROLES.index(slot.spec.role), int(number or 0)
