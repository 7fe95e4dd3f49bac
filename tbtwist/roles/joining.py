"""How a worker joins the bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger

from tbtwist.boundaries import EventBus
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.lifetime import Life
from tbtwist.observe.metrics import (
    BUS_IN,
    BUS_OUT,
    BUS_PENDING,
    BUS_REASON,
    RECEIVED,
    SENT,
)
from tbtwist.roles.process import Process
from tbtwist.services import Background, wait

_log = Logger()
DRAIN_MARGIN_S = 1.0
"""How much longer than its own deadlines a drain may take before it is given up."""
_PATIENCE_S = 2.0
_FENCED = "the broker had given this worker up for dead; a new one must take its place"


def zeromq_bus(process: Process) -> EventBus:
    """Return the bus between processes, for this one."""
    from tbtwist.bus.zeromq import ZmqBus  # noqa: PLC0415 - not with the memory bus

    return ZmqBus(
        process.reactor,
        process.identity,
        Endpoints.for_settings(process.settings, process.random),
        BusConfig.from_settings(process.settings),
    )


def bus_summary(bus: EventBus) -> Mapping[str, int]:
    """Return what the manager is told about a worker's bus."""
    figures = bus.figures()
    now = figures.now
    return {
        BUS_PENDING: now["lane_items"] + now["deliveries_waiting"],
        "BUS_QUEUED_BYTES": now["lane_bytes"],
        BUS_IN: sum(figures.done.get(name, 0) for name in RECEIVED),
        BUS_OUT: sum(figures.done.get(name, 0) for name in SENT),
        **bus_reasons(figures.incidents),
    }


def bus_reasons(incidents: Mapping[str, int]) -> dict[str, int]:
    """Return what went wrong on a bus, by reason, as a role's figures."""
    return {f"{BUS_REASON}{reason}": count for reason, count in incidents.items()}


async def join(
    process: Process,
    bus: EventBus,
    background: Background,
    life: Life,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Join the bus and announce readiness.

    Under a manager, and with the broker in the same process, this waits for the
    broker, since ready means reachable. By hand a role serves at once, and joins when
    there is a broker. A worker that was declared dead meanwhile has lost its lanes to
    others; it finishes its requests and ends, and whoever started it starts a new one.
    """
    bus.on_fenced(lambda: life.end(_FENCED))

    async def joining() -> None:
        await bus.connect()
        bus.announce(ready=True)
        on_ready()

    if process.around.supervised or process.broker_inside:
        await joining()
    else:
        background.spawn("joining the bus", joining())
        background.spawn("noticing the broker", _notice(process.reactor, bus))


async def _notice(reactor: Any, bus: EventBus) -> None:
    """Say so when the broker lets us wait."""
    await wait(reactor, _PATIENCE_S)
    if not bus.connected:
        _log.warn("there is no broker yet; serving without the bus until it comes")
