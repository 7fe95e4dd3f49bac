"""What the channels said lately, for those who were away for a moment. Pure.

Every worker receives every broadcast and keeps it, also for channels that have
no member here: whoever comes back may come to any worker. Each channel is
bounded, all together are, and nothing is kept longer than ``keep_s``. What was
let go is remembered as a position, so that nobody is told that nothing is missing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import count
from typing import Final

import attrs
import msgspec

from tbtwist.config.schema import WsWorker
from tbtwist.ws.positions import MAX_PUBLISHERS, Positions, Vector, furthest

OVERHEAD_BYTES: Final = 400
"""What an entry weighs beside its text."""

CLOCK_SLACK_S: Final = 5.0
"""How far the clocks and the deliveries of two workers may be apart."""


@attrs.frozen
class Limits:
    """The bounds: messages and bytes for each channel, bytes for all, seconds."""

    messages: int
    each_bytes: int
    total_bytes: int
    keep_s: float

    @classmethod
    def from_settings(cls, settings: WsWorker) -> Limits:
        """Return the bounds that the configuration asks for."""
        return cls(
            settings.history_size,
            settings.history_bytes,
            settings.history_total_bytes,
            settings.history_s,
        )


class Broadcast(msgspec.Struct, frozen=True, eq=False, array_like=True):
    """One publication: what it said, to which channel (None: to everybody)."""

    mark: str
    number: int
    channel: str | None
    body: bytes
    binary: bool = False
    exclude: tuple[str, ...] = ()
    at: float = 0.0

    @property
    def weight(self) -> int:
        """Return roughly how many bytes of memory it takes."""
        return OVERHEAD_BYTES + len(self.body) + len(self.channel or "")


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """What one worker tells a new one: its positions, what is lost, what is kept.

    ``lost`` has the highest lost numbers of each channel that something is kept of,
    ``forgotten`` those of all others.
    """

    stretches: dict[str, tuple[int, int]]
    forgotten: dict[str, int]
    lost: list[tuple[str | None, dict[str, int]]]
    kept: list[Broadcast]


@attrs.define(eq=False)
class _Channel:
    """What one channel said, and the highest numbers of what it said before."""

    lost: dict[str, int]
    kept: deque[Broadcast] = attrs.Factory(deque)
    weight: int = 0


class History:
    """All channels of one worker."""

    def __init__(self, limits: Limits, positions: Positions) -> None:
        self._limits = limits
        self._positions = positions
        self._forgotten: dict[str, int] = {}
        self._clear()

    def _clear(self) -> None:
        self._channels: dict[str | None, _Channel] = {}
        self._in_order: OrderedDict[Broadcast, int] = OrderedDict()
        self._serials = count()
        self._weight = 0

    def __len__(self) -> int:
        """Return how many broadcasts are kept."""
        return len(self._in_order)

    @property
    def weight(self) -> int:
        """Return roughly how many bytes they take."""
        return self._weight

    def keep(self, broadcast: Broadcast) -> None:
        """Keep what was just received, and let go of what is too much."""
        channel = self._channel(broadcast.channel)
        channel.kept.append(broadcast)
        channel.weight += broadcast.weight
        self._weight += broadcast.weight
        self._in_order[broadcast] = next(self._serials)
        limits = self._limits
        while len(channel.kept) > limits.messages or channel.weight > limits.each_bytes:
            self._let_go(channel.kept[0])
        while self._weight > limits.total_bytes:
            self._let_go(next(iter(self._in_order)))

    def _channel(self, name: str | None) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(dict(self._forgotten))
        return channel

    def in_order(self, broadcasts: Iterable[Broadcast]) -> list[Broadcast]:
        """Return kept broadcasts in the order in which they were received."""
        return sorted(broadcasts, key=self._in_order.__getitem__)

    def expire(self, now: float) -> None:
        """Let go of what is too old."""
        while self._in_order:
            oldest = next(iter(self._in_order))
            if oldest.at > now - self._limits.keep_s:
                return
            self._let_go(oldest)

    def after(
        self, channel: str | None, seen: Vector, asked_at: float
    ) -> list[Broadcast] | None:
        """Return what a channel said after ``seen``; None if that is not all here.

        ``seen`` was written down at ``asked_at``. What a publisher that it does not
        name had said long before is nothing new: then ``seen`` knows too little.
        """
        found = self._channels.get(channel)
        lost = self._forgotten if found is None else found.lost
        if any(number > seen.get(mark, 0) for mark, number in lost.items()):
            return None
        kept = () if found is None else found.kept
        news = [each for each in kept if each.number > seen.get(each.mark, 0)]
        old = asked_at - CLOCK_SLACK_S
        if any(each.mark not in seen and each.at < old for each in news):
            return None
        return news

    # --- from worker to worker -----------------------------------------------------

    def snapshot(self, max_bytes: int) -> Snapshot:
        """Return the newest of what is kept, as a new worker wants it."""
        kept: list[Broadcast] = []
        left_out: dict[str | None, dict[str, int]] = {}
        for broadcast in reversed(self._in_order):
            max_bytes -= broadcast.weight
            if max_bytes >= 0:
                kept.append(broadcast)
            else:
                lost = left_out.setdefault(broadcast.channel, {})
                lost[broadcast.mark] = max(
                    broadcast.number, lost.get(broadcast.mark, 0)
                )
        told = {each.channel for each in kept}
        forgotten, lost_of = dict(self._forgotten), []
        for name, channel in self._channels.items():
            lost = furthest(channel.lost, left_out.get(name, {}))
            if name in told:
                lost_of.append((name, lost))
            else:
                forgotten = furthest(forgotten, lost)
        kept.reverse()
        return Snapshot(self._positions.stretches, forgotten, lost_of, kept)

    def adopt(self, snapshot: Snapshot, now: float) -> None:
        """Take over what a colleague has kept of the time before we were there."""
        before = {mark: since for mark, (since, _) in self._positions.stretches.items()}
        ours = tuple(self._in_order)
        self._forgotten = furthest(self._forgotten, snapshot.forgotten)
        self._clear()
        for name, lost in snapshot.lost:
            self._channel(name).lost = furthest(self._forgotten, lost)
        for broadcast in snapshot.kept:
            if broadcast.number <= before.get(broadcast.mark, broadcast.number):
                self.keep(broadcast)
        for broadcast in ours:
            self.keep(broadcast)
        self._positions.adopt(snapshot.stretches, now)

    def _let_go(self, broadcast: Broadcast) -> None:
        """Forget the oldest of a channel."""
        channel = self._channels[broadcast.channel]
        channel.kept.popleft()
        channel.weight -= broadcast.weight
        self._weight -= broadcast.weight
        del self._in_order[broadcast]
        self._note(channel.lost, broadcast.mark, broadcast.number)
        if not channel.kept:
            del self._channels[broadcast.channel]
            for mark, number in channel.lost.items():
                self._note(self._forgotten, mark, number)

    def _note(self, lost: dict[str, int], mark: str, number: int) -> None:
        lost[mark] = max(number, lost.get(mark, 0))
        if len(lost) > 2 * MAX_PUBLISHERS:
            for gone in [each for each in lost if not self._positions.knows(each)]:
                del lost[gone]
