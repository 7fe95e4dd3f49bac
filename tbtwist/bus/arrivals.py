"""What arrives at a worker: read, given to whom it is for, or counted as malformed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs
from twisted.logger import Logger

from tbtwist.bus.book import LaneBook
from tbtwist.bus.codec import Parcel, Route, Verb, decode_parcels, decode_route
from tbtwist.bus.wire import Receiver
from tbtwist.errors import BadFrame

_log = Logger()

Taker = Callable[[Route, Sequence[bytes]], None]
"""Takes a message: its route, and the frames after that."""


class ParcelTaker(Protocol):
    """Takes what arrives on lanes."""

    def received(self, origin: str, parcels: Sequence[Parcel]) -> None:
        """Take what an origin sent."""


@attrs.frozen(eq=False)
class Arrivals:
    """Who takes which verb; nothing is taken from an origin that ``is_gone``."""

    takers: Mapping[Verb, Taker]
    counters: Counter[str]
    is_gone: Callable[[str], bool]

    def take(self, frames: Sequence[bytes]) -> None:
        """Give a message of the broker's to whoever takes its verb."""
        self.guarded(self._route, frames)

    def _route(self, frames: Sequence[bytes]) -> None:
        route = decode_route(frames[0])
        if self.is_gone(route.origin):
            self.counters["refused: gone"] += 1
            return
        self.takers.get(route.verb, _strange)(route, frames[1:])

    def guarded(self, take: Receiver, frames: Sequence[bytes]) -> None:
        """Let ``take`` have a message; a malformed one is counted."""
        try:
            take(frames)
        except BadFrame as error:
            self.counters["dropped: bad frame"] += 1
            _log.debug("{error}", error=error)


def _strange(route: Route, frames: Sequence[bytes]) -> None:
    raise BadFrame(
        reason=f"{route.verb.name} with {len(frames)} frames from the broker"
    )


def parcels_to(taker: ParcelTaker) -> Taker:
    """Return what gives parcels to ``taker``."""
    return lambda route, frames: taker.received(
        route.origin, decode_parcels(route, frames)
    )


def acknowledgements_to(book: LaneBook) -> Taker:
    """Return what gives acknowledgements to a book of lanes."""

    def take(route: Route, frames: Sequence[bytes]) -> None:
        for parcel in decode_parcels(route, frames):
            book.acknowledged(route.origin, parcel)

    return take
