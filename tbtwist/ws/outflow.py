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

    Registered as the transport's producer: what is written between
    `pauseProducing` and `resumeProducing` waits in memory, behind one message
    that filled the transport's buffer. That one does not count, however long it
    is: a long message is not a slow client.
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

    def will_write(self, length: int) -> None:
        """Take note of ``length`` bytes that go to the transport next."""
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
