"""What comes to an application from the bus: events it wants, calls it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from tbtwist.apps.encoding import to_plain
from tbtwist.boundaries import CallHandler, IncomingCall
from tbtwist.events import Event, Publication
from tbtwist.services import Background
from tbtwist.tracing import awaited_within

_log = Logger()

PREFIX: Final = "app."
"""Applications' topics and methods are apart from the workers' own."""

MAX_WAITING: Final = 1000
"""How many events may wait for one handler; further ones are dropped, and counted."""

Handler = Callable[[Any], Any]
Run = Callable[[Handler, Any], Awaitable[Any]]
"""Runs a handler with one argument, wherever application code runs."""


class EventFeed:
    """Hands the events of one topic to one handler, one after another.

    Publishing promises no more than "at most once": when the handler is too slow,
    the events that do not fit into the queue are dropped.
    """

    def __init__(self, topic: str, handler: Handler, run: Run) -> None:
        self.dropped = 0
        self._topic = topic
        self._handler = handler
        self._run = run
        self._waiting: deque[Event] = deque()
        self._busy = False
        self._background = Background()

    def take(self, publication: Publication) -> None:
        """Take an event; on the reactor's thread."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(publication.item.event)
        if not self._busy:
            self._busy = True
            self._background.spawn(f"events of {self._topic}", self._drain())

    def close(self) -> None:
        """Forget what waits, and cancel what runs."""
        self._waiting.clear()
        self._background.cancel_all()

    async def _drain(self) -> None:
        try:
            while self._waiting:
                event = self._waiting.popleft()
                trace = event.continued()
                await awaited_within(trace, self._hand_over, event.payload)
        finally:
            self._busy = False

    async def _hand_over(self, payload: Mapping[str, Any]) -> None:
        try:
            await self._run(self._handler, payload)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the next event has its own chance
            _log.failure(
                "an event of {topic} was not handled: {reason}",
                topic=self._topic,
                reason=str(error),
            )


def answering(handler: Handler, run: Run) -> CallHandler:
    """Return what answers calls with the value that ``handler`` returns."""

    async def answer(call: IncomingCall) -> object:
        return to_plain(await run(handler, call.payload))

    return answer
