"""What a worker knows of what was said: positions, history, and how it learns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tbtwist.apps.positions import TELL_METHOD
from tbtwist.boundaries import EventBus, IncomingCall
from tbtwist.config.schema import MIB, WsWorker
from tbtwist.errors import TbtwistError
from tbtwist.events import Publication
from tbtwist.services import wait
from tbtwist.ws.history import Broadcast, History, Limits, Snapshot
from tbtwist.ws.positions import Positions, Vector, mark_of
from tbtwist.ws.tokens import Standing

_log = Logger()

HISTORY_METHOD: Final = "ws.history"
_TOLD_BYTES: Final = 4 * MIB
"""How much of its history a worker tells another one."""

_LEARNING_S: Final = 1.0
_UNDERWAY_S: Final = 0.25
_SILENT_S: Final = 60.0
"""How long a publisher is remembered beyond what it said."""


@attrs.frozen
class Missed:
    """What a client missed, by channel; None where that is not known."""

    channels: Mapping[str, list[Broadcast] | None]
    everybody: list[Broadcast] | None

    @property
    def recovered(self) -> bool:
        """Whether everything is known."""
        return self.everybody is not None and None not in self.channels.values()

    @property
    def broadcasts(self) -> Iterator[Broadcast]:
        """Return all that is known."""
        parts = (*self.channels.values(), self.everybody)
        return chain.from_iterable(part for part in parts if part)


@attrs.define(eq=False)
class Recall:
    """The memory of one worker. ``now`` is the wall clock."""

    _bus: EventBus
    settings: WsWorker
    _clock: IReactorTime
    now: Callable[[], float]
    positions: Positions = attrs.field(factory=Positions, init=False)
    history: History = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.history = History(Limits.from_settings(self.settings), self.positions)

    @property
    def enabled(self) -> bool:
        """Whether anything is kept, and anybody can resume."""
        return self.settings.resume_s > 0 and self.settings.history_size > 0

    def start(self) -> None:
        """Register at the bus, before that connects."""
        self._bus.serve(HISTORY_METHOD, self._tell_history)

    async def learn(self) -> None:
        """Find out what was said before us; once we are subscribed.

        Those that run speak for themselves. A colleague tells what was said before,
        after a moment in which what was under way when we came reaches it. Without
        an answer we just know less.
        """
        if not self.enabled:
            return
        await self._ask("http*", TELL_METHOD)
        await wait(self._clock, _UNDERWAY_S)
        told = await self._ask("ws*", HISTORY_METHOD)
        snapshots = [msgspec.msgpack.decode(each, type=Snapshot) for each in told]
        if snapshots:
            longest = max(snapshots, key=lambda each: len(each.kept))
            self.history.adopt(longest, self.now())

    async def _ask(self, target: str, method: str) -> list[Any]:
        asking: Deferred[list[Any]] = self._bus.call(
            target, method, None, timeout_s=_LEARNING_S
        )
        try:
            return await asking
        except TbtwistError as error:
            _log.debug("positions are not known: {error}", error=error)
            return []

    async def _tell_history(self, _call: IncomingCall) -> object:
        return msgspec.msgpack.encode(self.history.snapshot(_TOLD_BYTES))

    def expire(self) -> None:
        """Let go of what is old."""
        now = self.now()
        self.history.expire(now)
        self.positions.forget(now - self.settings.history_s - _SILENT_S)

    def passed(self, publication: Publication) -> int:
        """Take note of a publication's number; return how many are missing before it."""
        mark = mark_of(publication.origin)
        return self.positions.take(mark, publication.number, self.now())

    def keep(self, publication: Publication, channel: str | None) -> Broadcast:
        """Keep a broadcast that has just been received."""
        payload = publication.item.event.payload
        broadcast = Broadcast(
            mark=mark_of(publication.origin),
            number=publication.number,
            channel=channel,
            body=publication.item.body,
            binary=bool(payload.get("binary")),
            exclude=tuple(payload.get("exclude", ())),
            at=self.now(),
        )
        if self.enabled:
            self.history.keep(broadcast)
        return broadcast

    def missed(
        self, channels: Sequence[str], standing: Standing, seen: Vector
    ) -> Missed:
        """Return what was missed; as much as may be sent at once, the rest is not known."""
        if not (standing.complete and self.positions.continues(seen)):
            return Missed(dict.fromkeys(channels), None)
        room = self.settings.max_message_size

        def news(channel: str | None) -> list[Broadcast] | None:
            nonlocal room
            found = self.history.after(channel, seen, standing.issued_at)
            size = sum(len(each.body) for each in found or ())
            if size > room:
                return None
            room -= size
            return found

        return Missed({channel: news(channel) for channel in channels}, news(None))
