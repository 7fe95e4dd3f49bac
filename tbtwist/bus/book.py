"""Many reliable lanes of one origin: bound, sent, sent again, acknowledged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from tbtwist.boundaries import LaneEvents
from tbtwist.bus.codec import Parcel, Stamp, Verb
from tbtwist.bus.lane import Budget, Entry, OriginLane, farewell
from tbtwist.bus.table import Change
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import Undeliverable

CLOSED: Final = "the bus was closed"


class LaneBook(ABC):
    """All lanes of one kind: bound to workers, sent, sent again, acknowledged."""

    verb: Verb

    def __init__(self, around: Surroundings, budget: Budget) -> None:
        self._around = around
        self._budget = budget
        self._lanes: dict[str, OriginLane] = {}
        self._epoch = 0
        self._retries: dict[str, IDelayedCall] = {}
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether nothing waits for an acknowledgement."""
        return not any(lane.entries for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """Return how many items wait for their acknowledgement."""
        return sum(len(lane.entries) for lane in self._lanes.values())

    def changed(self, change: Change) -> None:
        """Other workers are there now: bind anew, send again."""
        if not change.matters:
            return
        for lane in tuple(self._lanes.values()):
            if lane.worker in change.gone:
                lane.leave(died=lane.worker in change.died)
                self._orphaned(lane)
            elif lane.worker in change.appeared:
                lane.repeat()
            self._pump(lane)

    def acknowledged(self, worker: str, parcel: Parcel) -> None:
        """A destination has handled an item."""
        lane = self._lanes.get(parcel.stamp.key)
        entry = None
        if (
            lane is not None
            and lane.worker == worker
            and lane.epoch == parcel.stamp.epoch
        ):
            now = self._around.clock.seconds()
            entry = lane.acknowledge(parcel.stamp.number, now)
        if lane is None or entry is None:
            self._around.counters["refused: stale acknowledgement"] += 1
            if lane is None or lane.worker != worker:
                self._part(worker, parcel.stamp)
            return
        self._around.done["delivered"] += 1
        self._settle(lane, entry, parcel)
        self._pump(lane)

    def _part(self, worker: str, stamp: Stamp) -> None:
        """Say farewell again to a worker that still waits for a key."""
        if worker in self._around.table.members:
            parcel = farewell(stamp.key, stamp.epoch, stamp.number + 1)
            self._around.outbox.put(self.verb, worker, parcel)

    def tick(self, now: float) -> None:
        """Send again what waited too long, whoever lost it."""
        for lane in tuple(self._lanes.values()):
            if lane.sent and now - lane.touched > self._around.config.resend_after_s:
                self._again(lane)

    def lost(self, worker: str) -> None:
        """The broker could not deliver to ``worker``: try again soon."""
        if worker not in self._retries:
            delay = self._around.config.retry_after_s
            self._retries[worker] = self._around.clock.callLater(
                delay, self._retry, worker
            )

    def _retry(self, worker: str) -> None:
        del self._retries[worker]
        for lane in tuple(self._lanes.values()):
            if lane.worker == worker and lane.sent:
                self._again(lane)

    def _again(self, lane: OriginLane) -> None:
        self._around.counters["sent again"] += lane.sent
        lane.repeat()
        self._pump(lane)

    def _open(self, key: str, events: LaneEvents | None = None) -> OriginLane:
        self._epoch += 1
        config = self._around.config
        lane = OriginLane(key, self._epoch, config, self._budget, events)
        lane.touched = self._around.clock.seconds()
        self._lanes[key] = lane
        return lane

    def _pump(self, lane: OriginLane) -> None:
        """Bind a lane that may change its worker, and send what fits."""
        around, table = self._around, self._around.table
        if lane.window_is_empty:
            self._bind(lane)
        worker = lane.worker
        if worker is None or worker not in table.members or not table.known:
            return
        if not self._admits(lane, worker):
            return
        fresh = self._open_to(worker)
        for parcel in lane.take(around.clock.seconds(), fresh=fresh):
            around.outbox.put(self.verb, worker, parcel)

    def _release(self, lane: OriginLane) -> None:
        """Unbind a lane whose window is empty."""
        if lane.worker is not None:
            if lane.worker in self._around.table.members:
                self._around.outbox.put(self.verb, lane.worker, lane.farewell())
            lane.worker = None

    def _drop(self, lane: OriginLane) -> None:
        self._release(lane)
        self._lanes.pop(lane.key, None)

    def close(self) -> None:
        """Stop; whoever still waits is told."""
        self._closed = True
        for retry in self._retries.values():
            retry.cancel()
        self._retries.clear()
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            self._fail(lane, CLOSED)

    def _fail(self, lane: OriginLane, reason: str) -> None:
        for entry in lane.abandon():
            self._around.counters[f"undeliverable: {reason}"] += 1
            if entry.done is not None:
                entry.done.errback(Undeliverable(target=lane.key, reason=reason))

    @abstractmethod
    def _bind(self, lane: OriginLane) -> None:
        """Give ``lane``, whose window is empty, the worker that it should have."""

    @abstractmethod
    def _open_to(self, worker: str) -> bool:
        """Whether something new may be sent to ``worker``."""

    @abstractmethod
    def _admits(self, lane: OriginLane, worker: str) -> bool:
        """Whether ``lane`` may be sent to its ``worker`` now."""

    @abstractmethod
    def _orphaned(self, lane: OriginLane) -> None:
        """Its worker is gone."""

    @abstractmethod
    def _settle(self, lane: OriginLane, entry: Entry, ack: Parcel) -> None:
        """``entry`` has been acknowledged."""
