"""The way out of one connection: in order, bounded, and with a deadline.

The transport says when its buffer is full and when there is room again. Between
the two, nothing more is handed to it. A producer registered here is paused with
it; a coroutine waits in `drained`. What comes all the same (one large body in one
piece) is cut, so that a client that reads slowly, but reads, is told from one
that has stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

PIECE: Final = 64 * 1024


@implementer(IPushProducer)
class Outflow:
    """Writes to one transport. ``due`` is when a client must have read something."""

    def __init__(self, transport: Any, clock: IReactorTime, timeout_s: float) -> None:
        self._transport = transport
        self._clock = clock
        self._timeout_s = timeout_s
        self._waiting: deque[memoryview] = deque()
        self._calls: list[Callable[[], object]] = []
        self._producer: Any = None
        self._ending: Any = None
        self.due = inf
        self.full = False
        transport.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature

    # --- what the transport calls --------------------------------------------

    def pauseProducing(self) -> None:
        """Hold everything: the transport's buffer is full."""
        self.full = True
        self.due = self._clock.seconds() + self._timeout_s
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: what was in the buffer has gone."""
        self.full = False
        self.due = inf
        while self._waiting and not self.full:
            self._transport.write(bytes(self._waiting.popleft()))
        if not self.full:
            self._has_room()

    def stopProducing(self) -> None:
        """Drop what waits: the connection is lost."""
        self._waiting.clear()
        self.due = inf
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()

    def _has_room(self) -> None:
        if self._ending is not None:
            self._end()
            return
        calls, self._calls = self._calls, []
        for call in calls:
            call()
        if self._producer is not None:
            self._producer.resumeProducing()

    # --- what the answers call -----------------------------------------------

    def write(self, data: bytes) -> None:
        """Send ``data`` after everything before it."""
        if len(data) <= PIECE and not self.full:
            self._transport.write(data)
            return
        view = memoryview(data)
        self._waiting.extend(view[n : n + PIECE] for n in range(0, len(view), PIECE))
        if not self.full:
            self.resumeProducing()

    async def drained(self) -> None:
        """Come back when there is room; at once if there is."""
        if self.full:
            room: Deferred[None] = Deferred()
            self.on_room(lambda: room.callback(None))
            await room

    def on_room(self, call: Callable[[], object]) -> None:
        """Call ``call`` once, when there is room."""
        self._calls.append(call)

    def register(self, producer: Any) -> None:
        """Pause and resume ``producer`` with the transport."""
        self._producer = producer
        if self.full:
            producer.pauseProducing()

    def unregister(self) -> None:
        """Forget the producer."""
        self._producer = None

    # --- the end -------------------------------------------------------------

    def close(self) -> None:
        """Close the connection when everything has been sent."""
        self._end_with(self._transport.loseConnection)

    def close_write_side(self) -> None:
        """Let the client see the end; what it still sends can be read."""
        half = getattr(self._transport, "loseWriteConnection", None)
        if half is not None:  # TLS has no such thing
            self._end_with(half)

    def _end_with(self, end: Any) -> None:
        if self._ending is None:
            self._ending = end
            if not self.full:
                self._end()

    def _end(self) -> None:
        self._transport.unregisterProducer()
        self._ending()
