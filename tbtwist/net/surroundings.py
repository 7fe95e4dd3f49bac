"""What the connections of one listener have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

if TYPE_CHECKING:
    from tbtwist.net.transport import LoopTransport


@attrs.frozen
class Limits:
    """How much one connection may hold, and for how long."""

    high_water_bytes: int = 64 * 1024
    """What may wait to be sent before a producer is paused."""
    low_water_bytes: int = 0
    """What may still wait when it is resumed; 0 as with Twisted's transports."""
    close_timeout_s: float = 10.0
    """How long a closing connection may make no progress, or send what nobody
    reads any more, before it is cut."""


DEFAULT_LIMITS: Final = Limits()


@attrs.frozen(eq=False)
class Surroundings:
    """The factory, the loop, and the connections that there are."""

    factory: IProtocolFactory
    loop: asyncio.AbstractEventLoop
    clock: IReactorTime
    limits: Limits
    open: set[LoopTransport] = attrs.field(factory=set)
    """Every connection that is not lost. Nothing else refers to one that is
    paused, and the garbage collector must not close it."""
