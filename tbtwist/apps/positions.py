"""How many broadcasts a worker has published: told now and then, and when asked.

Broadcasts are numbered. A ws worker knows that it missed none when it knows the
last number, also of a publisher that says nothing; so each http worker publishes
an empty broadcast now and then, which has a number like any other.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tbtwist.apps.items import BROADCAST_TOPIC
from tbtwist.boundaries import EventBus, IncomingCall
from tbtwist.events import Event, EventType, Item

_log = Logger()

TELL_METHOD: Final = "ws.tell_position"
EVERY_S: Final = 10.0


class PositionBeats:
    """Tells one worker's position."""

    def __init__(self, bus: EventBus, clock: IReactorTime) -> None:
        self._bus = bus
        self._beating = LoopingCall(self._tell)
        self._beating.clock = clock
        bus.serve(TELL_METHOD, self._asked)

    def start(self) -> None:
        """Begin, as soon as the bus is there."""
        beating = self._beating.start(EVERY_S)
        _ = beating.addErrback(
            lambda why: _log.failure("a position could not be told", failure=why)
        )

    def stop(self) -> None:
        """End, with a last word: afterwards nobody can tell what there was."""
        if self._beating.running:
            self._beating.stop()
            self._tell()

    async def _asked(self, _call: IncomingCall) -> object:
        self._tell()
        return True

    def _tell(self) -> None:
        event = Event(type=EventType.WS_POSITION, source=str(self._bus.identity))
        self._bus.publish(BROADCAST_TOPIC, Item(event))
