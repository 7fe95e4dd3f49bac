"""What waits to be written to one client, in order and within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from tbtwist.ws.slowness import Backlog, Policy

_OVERHEAD_BYTES: Final = 200
"""What keeping a frame costs beside its bytes."""


@attrs.frozen(eq=False)
class Frame:
    """Bytes that are written as a whole; ``channel`` is empty without one."""

    data: bytes
    policy: Policy = Policy.CLOSE
    channel: str = ""


@implementer(IPushProducer)
class Outflow:
    """Writes frames while the transport takes them, and keeps what it does not.

    Registered as the transport's producer. The message that filled the
    transport's buffer does not count, however long it is: a long message is not
    a slow client.

    Invariant: while frames are kept, the transport is full, and every frame that
    comes is kept behind them. While it is not `paused`, whoever is in a hurry may
    write to the transport.
    """

    __slots__ = ("_backlog", "_dropped", "_kept", "_transport", "paused")

    def __init__(
        self, transport: Any, backlog: Backlog, dropped: Callable[[Policy], None]
    ) -> None:
        self._transport = transport
        self._backlog = backlog
        self._dropped = dropped
        self.paused = False
        self._kept: Kept | None = None

    @property
    def waiting_bytes(self) -> int:
        """How much is kept."""
        return 0 if self._kept is None else self._kept.bytes

    def write(self, frame: Frame) -> bool:
        """Write or keep a frame; False if the client is too slow for it."""
        if not self.paused:
            self._transport.write(frame.data)
            return True
        if self._kept is None:
            self._kept = Kept(self._backlog)
        return self._kept.add(frame, self._dropped)

    def hurry(self) -> None:
        """Give the transport everything: the connection is about to end."""
        self.paused = False
        self._release(lambda: True)

    def forget(self) -> int:
        """Throw away what is kept, for its client is too slow, or gone: how many."""
        if self._kept is None:
            return 0
        forgotten = len(self._kept)
        self._kept.clear()
        self._kept = None
        return forgotten

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Everything has been written."""
        self.paused = False
        self._release(lambda: not self.paused)

    def stopProducing(self) -> None:
        """The transport is gone."""
        self.forget()

    def _release(self, go_on: Callable[[], bool]) -> None:
        while self._kept is not None and go_on():
            frame = self._kept.take()
            if frame is None:
                self._kept = None
            else:
                self._transport.write(frame.data)


class Kept:
    """The frames that wait for one client, and how much they are."""

    __slots__ = ("_backlog", "_droppable", "_frames", "_newest", "_next", "bytes")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._droppable: OrderedDict[int, None] = OrderedDict()
        self._newest: dict[str, int] = {}
        self._next = 0
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._frames)

    def add(self, frame: Frame, dropped: Callable[[Policy], None]) -> bool:
        """Keep a frame, and drop others if need be; False if it has no place."""
        if frame.policy is Policy.CONFLATE and frame.channel in self._newest:
            self._replace(self._newest[frame.channel], frame)
            dropped(Policy.CONFLATE)
        else:
            self._append(frame)
        while self._backlog.is_too_much(self.bytes):
            if not self._droppable:
                return False
            dropped(self._drop_oldest())
        return True

    def _append(self, frame: Frame) -> None:
        place = self._next
        self._next += 1
        self._frames[place] = frame
        if frame.policy is not Policy.CLOSE:
            self._droppable[place] = None
        if frame.policy is Policy.CONFLATE:
            self._newest[frame.channel] = place
        self._count(_cost(frame))

    def _replace(self, place: int, frame: Frame) -> None:
        """Put a frame where an older one of its channel waits.

        At the end of the queue a busy channel might never get its turn.
        """
        self._count(_cost(frame) - _cost(self._frames[place]))
        self._frames[place] = frame

    def _drop_oldest(self) -> Policy:
        place, _ = self._droppable.popitem(last=False)
        return self._gone(place, self._frames.pop(place)).policy

    def take(self) -> Frame | None:
        """Return the frame that is next, and keep it no longer."""
        if not self._frames:
            return None
        place, frame = self._frames.popitem(last=False)
        self._droppable.pop(place, None)
        return self._gone(place, frame)

    def _gone(self, place: int, frame: Frame) -> Frame:
        if self._newest.get(frame.channel) == place:
            del self._newest[frame.channel]
        self._count(-_cost(frame))
        return frame

    def clear(self) -> None:
        """Keep nothing more."""
        self._count(-self.bytes)
        self._frames.clear()
        self._droppable.clear()
        self._newest.clear()

    def _count(self, more_bytes: int) -> None:
        self.bytes += more_bytes
        self._backlog.total_bytes += more_bytes


def _cost(frame: Frame) -> int:
    return len(frame.data) + _OVERHEAD_BYTES
