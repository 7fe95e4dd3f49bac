"""What the bus' core asks of an engine, and how it collects what leaves at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tbtwist.bus.codec import Parcel, Verb, encode_parcels, encode_route
from tbtwist.bus.config import BusConfig
from tbtwist.bus.table import Table
from tbtwist.config.schema import KIB

Receiver = Callable[[Sequence[bytes]], None]

BATCH_PARCELS: Final = 64
BATCH_BYTES: Final = 256 * KIB


class Wire(Protocol):
    """The way of one worker to the broker.

    ``transmit``, ``push`` and ``publish`` never block; False means that the
    message was not taken (no room), and is gone.
    """

    def open(self, received: Receiver, published: Receiver) -> None:
        """Connect; messages from the broker and publications come in from now on."""

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """Send to the broker; it knows who sent it."""

    def push(self, frames: Sequence[bytes]) -> bool:
        """Send to the broker on the way of the sends."""

    def publish(self, frames: Sequence[bytes]) -> bool:
        """Send to all subscribers of the first frame."""

    def subscribe(self, topic: bytes) -> None:
        """Receive what is published under ``topic``."""

    def unsubscribe(self, topic: bytes) -> None:
        """End that."""

    def close(self) -> None:
        """Free everything; calling this twice is fine."""


class Outbox:
    """Collects the parcels of one wake-up: one message a destination.

    What the wire does not take is lost here and sent again by its lane.
    """

    def __init__(self, clock: IReactorTime, wire: Wire, identity: str) -> None:
        self._clock = clock
        self._wire = wire
        self._identity = identity
        self._waiting: dict[tuple[Verb, str], list[Parcel]] = {}
        self._flushing: IDelayedCall | None = None

    def put(self, verb: Verb, destination: str, parcel: Parcel) -> None:
        """Send ``parcel`` with the others of this wake-up."""
        waiting = self._waiting.get((verb, destination))
        if waiting is None:
            waiting = self._waiting[verb, destination] = []
        waiting.append(parcel)
        if self._flushing is None:
            self._flushing = self._clock.callLater(0, self._flush)

    def flush(self) -> None:
        """Send everything now."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flush()

    def _flush(self) -> None:
        self._flushing = None
        waiting, self._waiting = self._waiting, {}
        for (verb, destination), parcels in waiting.items():
            prefix = encode_route(verb, destination, self._identity)
            transmit = self._wire.push if verb is Verb.SEND else self._wire.transmit
            for batch in batches(parcels):
                transmit(encode_parcels(prefix, batch))

    def discard(self) -> None:
        """Send nothing any more."""
        self._waiting.clear()
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None


@attrs.define(eq=False)
class Traffic:
    """How many messages of ours were taken from the bus and given to it."""

    taken: int = 0
    given: int = 0


@attrs.frozen(eq=False)
class Surroundings:
    """What every part of one bus works with; ``counters`` counts drops by reason."""

    clock: IReactorTime
    name: str
    config: BusConfig
    wire: Wire
    outbox: Outbox
    table: Table = attrs.Factory(Table)
    counters: Counter[str] = attrs.Factory(Counter)
    traffic: Traffic = attrs.Factory(Traffic)


def batches(parcels: Sequence[Parcel]) -> list[list[Parcel]]:
    """Cut ``parcels`` into messages of a bounded size; one parcel always fits."""
    cut: list[list[Parcel]] = []
    size = 0
    for parcel in parcels:
        weight = sum(len(header) + len(body) for header, body in parcel.items)
        if not cut or size + weight > BATCH_BYTES or len(cut[-1]) >= BATCH_PARCELS:
            cut.append([])
            size = 0
        cut[-1].append(parcel)
        size += weight
    return cut
