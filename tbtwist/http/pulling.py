"""A pull producer of Twisted, driven as long as there is room."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

_PER_TURN: Final = 8
"""How many pieces are pulled before others have a turn."""


@implementer(IPushProducer)
class Pull:
    """Asks for piece after piece until it is paused or stopped."""

    def __init__(self, producer: Any, clock: IReactorTime) -> None:
        self._producer = producer
        self._clock = clock
        self._paused = True
        self._stopped = False
        self._later: IDelayedCall | None = None

    def pauseProducing(self) -> None:
        """Pull no more for now."""
        self._paused = True
        self._forget()

    def resumeProducing(self) -> None:
        """Pull again."""
        if self._paused and not self._stopped:
            self._paused = False
            self._pull()

    def stopProducing(self) -> None:
        """Tell the producer that nobody takes anything any more."""
        self.end()
        self._producer.stopProducing()

    def end(self) -> None:
        """Pull no more: the producer has nothing left."""
        self._stopped = True
        self._forget()

    def _pull(self) -> None:
        self._later = None
        for _ in range(_PER_TURN):
            if self._paused or self._stopped:
                return
            self._producer.resumeProducing()
        if not (self._paused or self._stopped):
            self._later = self._clock.callLater(0, self._pull)

    def _forget(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
