"""Producers, as a transport drives them: one that pushes, one that is pulled."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IPullProducer, IPushProducer


class Feed(Protocol):
    """A producer, and what it does with the room in a transport's buffer."""

    @property
    def streaming(self) -> bool:
        """Whether it writes when it likes: then only a full buffer concerns it."""

    @property
    def holds_open(self) -> bool:
        """Whether a transport that is to close has to wait for more from it."""

    def room(self) -> None:
        """The buffer has been sent."""

    def full(self) -> None:
        """The buffer holds more than it should."""

    def wrote(self, *, full: bool) -> bool:
        """Take note of a write; return whether to offer room in the next turn."""

    def stop(self) -> None:
        """The transport is gone."""


class PushFeed:
    """A producer that writes when it likes, and pauses when it is asked to.

    As with Twisted's own transports, a connection that is to be closed waits
    for a paused one (it has more) and not for one that runs (it may never end).
    """

    __slots__ = ("_producer", "holds_open")

    streaming = True

    def __init__(self, producer: IPushProducer) -> None:
        self._producer = producer
        self.holds_open = False

    def room(self) -> None:
        """Let it run again, if it was paused."""
        if self.holds_open:
            self.holds_open = False
            self._producer.resumeProducing()

    def full(self) -> None:
        """Pause it."""
        self.holds_open = True
        self._producer.pauseProducing()

    def wrote(self, *, full: bool) -> bool:
        """Ask one that writes although it was paused once more."""
        if full:
            self.full()
        return False

    def stop(self) -> None:
        """End it."""
        self._producer.stopProducing()


class PullFeed:
    """A producer that writes when it is asked: again whenever that is sent."""

    __slots__ = ("_asked", "_producer")

    streaming = False
    holds_open = True

    def __init__(self, producer: IPullProducer) -> None:
        self._producer = producer
        self._asked = False

    def room(self) -> None:
        """Ask for more."""
        self._asked = False
        self._producer.resumeProducing()

    def full(self) -> None:
        """Need nothing: it writes only when asked."""

    def wrote(self, *, full: bool) -> bool:
        """Want to be asked once for all writes of this turn."""
        first = not self._asked and not full
        self._asked = self._asked or first
        return first

    def stop(self) -> None:
        """End it."""
        self._producer.stopProducing()
