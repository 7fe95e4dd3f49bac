"""The destination's side of the reliable lane: in order, once, and acknowledged.

Pure. For every ``(origin, key)`` it knows which number comes next, so that a
repetition or a gap is seen at once, and keeps acknowledgements until their
origin has them. Memory is bounded: when acknowledgements weigh too much, the
oldest are forgotten together with what was known of their keys; an item that
comes again after that is handled again, marked as redelivered.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import attrs

from tbtwist.bus.codec import Flag, Packed, Parcel, Stamp
from tbtwist.bus.config import BusConfig


@attrs.define(eq=False)
class Record:
    """What a destination knows of one key of one origin."""

    origin: str
    key: str
    epoch: int
    unsure: bool
    expected: int = 0
    pending: deque[Parcel] = attrs.Factory(deque)
    busy: bool = False
    lost: bool = False
    acks: dict[int, Parcel] = attrs.Factory(dict)

    def redelivered(self, stamp: Stamp) -> bool:
        """Whether an item may have been handled before.

        By an earlier worker; or by us, if we have forgotten what we handled.
        """
        if stamp.flags & Flag.MOVED:
            return True
        return self.unsure and bool(stamp.flags & Flag.REPEATED)


def _weight(ack: Parcel) -> int:
    return 100 + sum(len(header) + len(body) for header, body in ack.items)


def _last_word(record: Record) -> Parcel:
    """Return the last acknowledgement, without replies if its origin has them."""
    last = record.expected - 1
    empty = Parcel(Stamp(record.key, record.epoch, max(last, 0), items=0))
    return record.acks.get(last, empty)


@attrs.define(eq=False)
class Inbox:
    """All records of one destination."""

    config: BusConfig
    counters: Counter[str]
    _records: dict[tuple[str, str], Record] = attrs.Factory(dict)
    _kept: dict[Record, None] = attrs.Factory(dict)
    _kept_bytes: int = 0
    _forgot: bool = False

    def __len__(self) -> int:
        return len(self._records)

    @property
    def kept_bytes(self) -> int:
        """Return what the kept acknowledgements weigh."""
        return self._kept_bytes

    def accept(self, origin: str, parcel: Parcel) -> Record | Parcel | None:
        """Take a parcel.

        Returns the record when it has something new to handle, the kept
        acknowledgement when this is a repetition of something handled, and None
        when there is nothing to do.
        """
        stamp = parcel.stamp
        if stamp.flags & Flag.FORGET:
            self._forget(origin, stamp)
            return None
        record = self._record(origin, stamp)
        if stamp.epoch != record.epoch:
            self.counters["dropped: old epoch"] += 1
            return None
        self._confirm(record, stamp.floor)
        if stamp.number < record.expected:
            self.counters["dropped: repetition"] += 1
            return record.acks.get(stamp.number)
        if stamp.number > record.expected:
            self.counters["dropped: gap"] += 1
            return None
        record.expected += 1
        record.pending.append(parcel)
        return record

    def _record(self, origin: str, stamp: Stamp) -> Record:
        """Return the record of a key, a new one for a new epoch."""
        place = origin, stamp.key
        record = self._records.get(place)
        if record is not None and stamp.epoch > record.epoch:
            self._drop(place)
            record = None
        if record is None:
            self._make_room()
            record = Record(origin, stamp.key, stamp.epoch, unsure=self._forgot)
            self._records[place] = record
        if record.expected < stamp.floor:
            self._skip(record, stamp.floor)
        return record

    def _skip(self, record: Record, floor: int) -> None:
        """What is below ``floor`` was handled elsewhere meanwhile.

        The key was bound to another worker for a while, and the farewell to us got
        lost.
        """
        record.expected = floor
        while record.pending and record.pending[0].stamp.number < floor:
            record.pending.popleft()

    def _make_room(self) -> None:
        """Forget the oldest idle key when there are too many."""
        if len(self._records) < self.config.keys:
            return
        for place, record in self._records.items():
            if not record.busy:
                self._forgot = True
                self.counters["forgotten: too many keys"] += 1
                self._drop(place)
                return

    def _confirm(self, record: Record, floor: int) -> None:
        """The origin has every acknowledgement below ``floor``."""
        while record.acks and (number := next(iter(record.acks))) < floor:
            self._kept_bytes -= _weight(record.acks.pop(number))
        if not record.acks:
            self._kept.pop(record, None)

    def acknowledge(
        self,
        record: Record,
        stamp: Stamp,
        replies: Sequence[Packed] = (),
        reason: str = "",
    ) -> Parcel:
        """Return the acknowledgement of an item that was handled, and keep it."""
        items = tuple(replies)
        ack = Parcel(
            Stamp(
                stamp.key, stamp.epoch, stamp.number, items=len(items), reason=reason
            ),
            items,
        )
        if not record.lost:
            record.acks[stamp.number] = ack
            self._kept.pop(record, None)
            self._kept[record] = None
            self._kept_bytes += _weight(ack)
            if self._kept_bytes > self.config.kept_bytes:
                self._shed()
        return ack

    def resting(self) -> list[tuple[str, Parcel]]:
        """Return origin and last acknowledgement of every key that rests here."""
        return [
            (record.origin, _last_word(record))
            for record in self._records.values()
            if not (record.busy or record.pending)
        ]

    def _shed(self) -> None:
        """Forget idle keys' acknowledgements, oldest first, until the rest fits."""
        for record in tuple(self._kept):
            if self._kept_bytes <= self.config.kept_bytes:
                return
            if record.busy:
                continue
            self._discard_acks(record)
            record.expected, record.unsure, self._forgot = 0, True, True
            self.counters["forgotten: acknowledgements"] += 1

    def _discard_acks(self, record: Record) -> None:
        self._kept_bytes -= sum(map(_weight, record.acks.values()))
        record.acks.clear()
        self._kept.pop(record, None)

    def _forget(self, origin: str, stamp: Stamp) -> None:
        record = self._records.get((origin, stamp.key))
        if record is not None and record.epoch <= stamp.epoch:
            self._drop((origin, stamp.key))

    def _drop(self, place: tuple[str, str]) -> None:
        record = self._records.pop(place)
        record.lost = True
        record.pending.clear()
        self._discard_acks(record)

    def lose(self, origin: str) -> tuple[str, ...]:
        """Forget everything of an origin that is gone; return the keys it had here."""
        places = [place for place in self._records if place[0] == origin]
        for place in places:
            self._drop(place)
        return tuple(key for _, key in places)
