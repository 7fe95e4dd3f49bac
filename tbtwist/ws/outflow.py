"""How much waits to be written to one client."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

TRANSPORT_BUFFER_BYTES: Final = 64 * 1024
"""What a transport takes before it asks its producer to pause."""


@implementer(IPushProducer)
class Outflow:
    """Counts the bytes written while the transport wants none.

    Registered as the transport's producer: between `pauseProducing` and
    `resumeProducing` everything written waits in memory, so those bytes (and
    at most a transport buffer before them) are what a slow client costs.
    """

    __slots__ = ("_limit", "_paused", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._paused = False
        self._waiting = 0

    @property
    def over_limit(self) -> bool:
        """Whether more waits than may."""
        return self._waiting > self._limit

    def wrote(self, length: int) -> None:
        """Take note of ``length`` bytes handed to the transport."""
        if self._paused:
            self._waiting += length

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Everything has been written."""
        self._paused = False
        self._waiting = 0

    def stopProducing(self) -> None:
        """The transport is gone."""
        self.resumeProducing()
