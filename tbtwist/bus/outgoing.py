"""What a worker sends on reliable lanes: to http workers, and to connections."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from typing_extensions import override

from tbtwist.boundaries import LaneEvents
from tbtwist.bus.book import CLOSED, LaneBook
from tbtwist.bus.codec import Parcel, Verb, pack, unpack
from tbtwist.bus.lane import Budget, Entry, OriginLane
from tbtwist.bus.probation import Probation
from tbtwist.bus.table import Change
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import TbtwistError, Undeliverable
from tbtwist.events import Item
from tbtwist.identity import conn_owner

_log = Logger()


class Forwards(LaneBook):
    """The lanes of our connections to http workers."""

    verb = Verb.FORWARD

    def __init__(self, around: Surroundings, budget: Budget) -> None:
        super().__init__(around, budget)
        self._probation = Probation(2 * around.config.dead_after_s)

    def open(self, key: str, events: LaneEvents) -> ForwardLane:
        """Open the lane of ``key``; ValueError if it is open."""
        if key in self._lanes:
            msg = f"the lane {key} is open"
            raise ValueError(msg)
        return ForwardLane(self, self._open(key, events))

    def forward(self, lane: OriginLane, item: Item) -> bool:
        """Take an item, and send it if the window allows."""
        if lane.closing:
            raise Undeliverable(target=lane.key, reason="the lane is closed")
        if self._closed:
            self._around.counters[f"dropped: {CLOSED}"] += 1
            return False
        has_room = lane.put(pack(item))
        self._around.done["forwarded"] += 1
        self._pump(lane)
        return has_room

    def shut(self, lane: OriginLane) -> None:
        """Forget the lane as soon as it is empty."""
        lane.closing = True
        if not lane.entries:
            self._drop(lane)

    @override
    def _bind(self, lane: OriginLane) -> None:
        table = self._around.table
        if lane.worker is not None and (
            lane.worker not in table.members or table.takes_keys(lane.worker)
        ):
            return
        self._release(lane)
        if lane.entries:
            lane.worker = table.choose(lane.key)

    @override
    def _open_to(self, worker: str) -> bool:
        return self._around.table.takes_keys(worker)

    @override
    def _admits(self, lane: OriginLane, worker: str) -> bool:
        if not lane.is_suspect:
            return True
        return self._probation.admits(lane, worker, self._around.clock.seconds())

    @override
    def changed(self, change: Change) -> None:
        self._probation.gone(change.gone)
        super().changed(change)

    @override
    def tick(self, now: float) -> None:
        super().tick(now)
        for lane in self._probation.overdue(now):
            self._pump(lane)

    @override
    def _orphaned(self, lane: OriginLane) -> None:
        if not lane.entries:
            return
        if lane.entries[0].deaths < self._around.config.max_deaths:
            self._around.counters["moved: worker gone"] += 1
            return
        entry = lane.give_up()
        self._around.counters["poison"] += 1
        _log.error(
            "item {number} of {key} is given up: {deaths} workers died with it in hand",
            number=entry.number,
            key=lane.key,
            deaths=entry.deaths,
        )
        events = lane.events
        if events is not None:
            self._tell(lane, lambda: events.on_given_up(unpack(entry.packed)))
        self._let_go(lane)

    @override
    def _settle(self, lane: OriginLane, entry: Entry, ack: Parcel) -> None:
        events = lane.events
        if events is not None and ack.items:
            self._tell(lane, lambda: events.on_replies([*map(unpack, ack.items)]))
        worker = lane.worker
        self._let_go(lane)
        if entry.deaths and worker is not None:
            for held in self._probation.passed(worker):
                self._pump(held)

    def _let_go(self, lane: OriginLane) -> None:
        """There is one item less: tell of room, end a lane that is closing."""
        if lane.events is not None and lane.has_room_again():
            self._tell(lane, lane.events.on_room)
        if lane.closing and not lane.entries:
            self._drop(lane)

    def _tell(self, lane: OriginLane, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:  # noqa: BLE001 - one connection's trouble is not the bus'
            _log.failure("the owner of lane {key} failed", key=lane.key)


@attrs.frozen(eq=False)
class ForwardLane:
    """`boundaries.Lane` over a book of lanes."""

    _book: Forwards
    _lane: OriginLane

    @property
    def empty(self) -> bool:
        """As `boundaries.Lane.empty`."""
        return not self._lane.entries

    def forward(self, item: Item) -> bool:
        """As `boundaries.Lane.forward`."""
        return self._book.forward(self._lane, item)

    def close(self) -> None:
        """As `boundaries.Lane.close`."""
        self._book.shut(self._lane)


class Sends(LaneBook):
    """The lanes of ours to other workers' connections, opened when needed."""

    verb = Verb.SEND

    def send(self, item: Item) -> Deferred[None]:
        """Take an item for the connection that it names."""
        done: Deferred[None] = Deferred()
        try:
            self._put(item, done)
        except TbtwistError as error:
            self._around.counters[f"refused: {type(error).__name__}"] += 1
            done.errback(error)
        return done

    def _put(self, item: Item, done: Deferred[None]) -> None:
        key = item.conn_id
        if self._closed:
            raise Undeliverable(target=key, reason=CLOSED)
        if conn_owner(key) is None:
            raise Undeliverable(target=key, reason="this is no connection id")
        packed = pack(item)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._open(key)
        lane.put(packed, done)
        self._around.done["sent"] += 1
        self._pump(lane)

    @override
    def tick(self, now: float) -> None:
        super().tick(now)
        for lane in tuple(self._lanes.values()):
            idle_s = now - lane.touched
            if not lane.entries and idle_s > self._around.config.idle_after_s:
                self._drop(lane)

    @override
    def _bind(self, lane: OriginLane) -> None:
        if lane.worker is not None:
            return
        owner = conn_owner(lane.key)
        table = self._around.table
        if owner is not None:
            lane.worker = table.find(owner.slot, owner.generation)
        if lane.worker is None and table.settled and table.known:
            self._orphaned(lane)

    @override
    def _open_to(self, worker: str) -> bool:
        return True

    @override
    def _admits(self, lane: OriginLane, worker: str) -> bool:
        return True

    @override
    def _orphaned(self, lane: OriginLane) -> None:
        self._drop(lane)
        self._fail(lane, "the worker that owned the connection is gone")

    @override
    def _settle(self, lane: OriginLane, entry: Entry, ack: Parcel) -> None:
        done, reason = entry.done, ack.stamp.reason
        if reason:
            self._around.counters["undeliverable: refused by the owner"] += 1
        if done is None:
            return
        if reason:
            done.errback(Undeliverable(target=lane.key, reason=reason))
        else:
            done.callback(None)
