"""What the bus' core asks of an engine, and how it collects what leaves at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tbtwist.bus.codec import (
    Parcel,
    Verb,
    encode_number,
    encode_parcels,
    encode_route,
)
from tbtwist.bus.config import BusConfig
from tbtwist.bus.news import encode_items
from tbtwist.bus.table import Table
from tbtwist.bus.turns import Turn, soon_on
from tbtwist.config.schema import KIB

_log = Logger()

Receiver = Callable[[Sequence[bytes]], None]

BATCH_PARCELS: Final = 64
BATCH_ITEMS: Final = 64
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


@attrs.define(eq=False)
class _News:
    """Publications of one topic that follow each other, encoded."""

    first: int
    items: list[bytes] = attrs.Factory(list)
    size: int = 0


class Outbox:
    """Collects what one turn of the reactor brings: one message a destination.

    What the wire does not take is lost here, and counted: publications are missed,
    lanes send it again, which ``on_refused`` may see to.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wire: Wire,
        identity: str,
        counters: Counter[str] | None = None,
    ) -> None:
        self.counters = Counter() if counters is None else counters
        self._wire = wire
        self._identity = identity
        self._waiting: dict[tuple[Verb, str], list[Parcel]] = {}
        self._news: dict[bytes, _News] = {}
        self.on_refused: Callable[[Verb, str], None] = lambda _verb, _destination: None
        self._turn = Turn(soon_on(clock), self._flush)
        self._closed = False

    def put(self, verb: Verb, destination: str, parcel: Parcel) -> None:
        """Send ``parcel`` with the others of this turn."""
        if self._closed:
            return
        waiting = self._waiting.get((verb, destination))
        if waiting is None:
            waiting = self._waiting[verb, destination] = []
            self._turn.wanted()
        waiting.append(parcel)

    def publish(self, topic: bytes, number: int, item: bytes) -> None:
        """Publish an encoded item with the others of this turn and topic."""
        if self._closed:
            self.counters["publication: not sent"] += 1
            return
        news = self._news.get(topic)
        if news is None:
            news = self._news[topic] = _News(number)
            self._turn.wanted()
        news.items.append(item)
        news.size += len(item)
        if len(news.items) >= BATCH_ITEMS or news.size >= BATCH_BYTES:
            self._spread(topic, self._news.pop(topic))

    def flush(self) -> None:
        """Send everything now."""
        self._turn.now()

    def _flush(self) -> None:
        news, self._news = self._news, {}
        for topic, several in news.items():
            self._spread(topic, several)
        waiting, self._waiting = self._waiting, {}
        for (verb, destination), parcels in waiting.items():
            self._deliver(verb, destination, parcels)

    def _deliver(self, verb: Verb, destination: str, parcels: list[Parcel]) -> None:
        prefix = encode_route(verb, destination, self._identity)
        transmit = self._wire.push if verb is Verb.SEND else self._wire.transmit
        for batch in batches(parcels):
            if not transmit(encode_parcels(prefix, batch)):
                self.counters[f"{verb.name.lower()}: no room"] += len(batch)
                self.on_refused(verb, destination)

    def _spread(self, topic: bytes, news: _News) -> None:
        number = encode_number(news.first)
        route = encode_route(Verb.PUBLISH, "", self._identity, number)
        if not self._wire.publish((topic, route, encode_items(news.items))):
            self.counters["publication: not sent"] += len(news.items)

    def discard(self) -> None:
        """Send nothing any more, now and later."""
        self._closed = True
        self._waiting.clear()
        self._news.clear()
        self._turn.cancel()


@attrs.frozen(eq=False)
class Surroundings:
    """What every part of one bus works with.

    ``counters`` counts drops by reason, ``done`` what was not dropped.
    """

    clock: IReactorTime
    name: str
    config: BusConfig
    wire: Wire
    outbox: Outbox
    table: Table = attrs.Factory(Table)
    counters: Counter[str] = attrs.Factory(Counter)
    done: Counter[str] = attrs.Factory(Counter)


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
