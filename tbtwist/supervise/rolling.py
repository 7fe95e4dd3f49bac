"""The rolling update: each slot gets a successor, and nobody notices.

One slot after another: a new process starts beside the present one, on the same
listener; when it is ready the old one drains and leaves. The first that does not
get ready ends the update: it is sent away, and everybody else stays as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tbtwist.status import UpdateStep
from tbtwist.supervise.fleet import Fleet
from tbtwist.supervise.slot import Slot
from tbtwist.supervise.tenant import Tenant

Say = Callable[[UpdateStep], None]
_DECIDED = ("running", "failed", "stopped")


async def roll(fleet: Fleet, slots: Sequence[Slot], say: Say) -> None:
    """Replace the tenants of ``slots``.

    Raises:
        WorkerNotReady: a successor did not come up. It is gone; its slot and those
            after it have their old tenants.
    """
    for slot in slots:
        await _replace(fleet, slot, say)


async def _replace(fleet: Fleet, slot: Slot, say: Say) -> None:
    successor = slot.invite()

    def tell(step: str, tenant: Tenant, detail: str = "") -> None:
        say(UpdateStep(slot.spec.id, step, tenant.generation, detail))

    tell("starting", successor)
    try:
        await fleet.conditions.until(lambda: successor.state in _DECIDED)
    finally:
        if successor.state != "running":
            slot.turn_away()
    if successor.state != "running":
        error = successor.not_ready()
        tell("failed", successor, error.reason)
        raise error
    old = slot.hand_over()
    tell("ready", successor)
    tell("draining", old)
    await fleet.conditions.until(lambda: old.state == "stopped")
    tell("gone", old, old.last_exit.reason if old.last_exit else "")
