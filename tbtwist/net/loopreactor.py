"""What the bus needs of a reactor, on any asyncio loop.

For programs that are no workers: Twisted's own reactor belongs to the whole
process, of which we own one thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from zope.interface import implementer


@implementer(IDelayedCall)
class LoopCall:
    """A call that is due at a moment of its loop's clock."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, delay: float, call: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._call = call
        self._state = "waiting"
        self._at = loop.time() + delay
        self._handle = loop.call_at(self._at, self._run)

    def _run(self) -> None:
        self._state = "called"
        self._call()

    def _check(self) -> None:
        if self._state == "called":
            raise AlreadyCalled
        if self._state == "cancelled":
            raise AlreadyCancelled

    def getTime(self) -> float:  # noqa: N802 - Twisted's name
        """Return when it is due."""
        return self._at

    def cancel(self) -> None:
        """Do not call."""
        self._check()
        self._state = "cancelled"
        self._handle.cancel()

    def _move(self, at: float) -> None:
        self._check()
        self._handle.cancel()
        self._at = at
        self._handle = self._loop.call_at(at, self._run)

    def delay(self, seconds: float) -> None:
        """Call so much later than was planned."""
        self._move(self._at + seconds)

    def reset(self, seconds: float) -> None:
        """Call so long after now."""
        self._move(self._loop.time() + seconds)

    def active(self) -> bool:
        """Whether it will still be called."""
        return self._state == "waiting"


@implementer(IReactorTime, IReactorFromThreads)
class LoopReactor:
    """Time, readers, and the way in from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncioEventloop = loop  # where others look for it, as in Twisted's own
        self._readers: dict[Any, int] = {}

    def seconds(self) -> float:
        """Return the loop's time."""
        return self._asyncioEventloop.time()

    def callLater(  # noqa: N802 - Twisted's name
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 - Twisted's name
        *args: object,
        **kwargs: object,
    ) -> LoopCall:
        """Call ``callable`` after ``delay`` seconds; on the loop's thread."""
        return LoopCall(
            self._asyncioEventloop, delay, lambda: callable(*args, **kwargs)
        )

    def getDelayedCalls(self) -> tuple[IDelayedCall, ...]:  # noqa: N802 - Twisted's name
        """Return nothing: the loop does not tell."""
        return ()

    def callFromThread(
        self,
        callable: Callable[..., Any],  # noqa: A002 - Twisted's name
        *args: object,
        **kwargs: object,
    ) -> None:
        """Call ``callable`` on the loop's thread, from any thread."""
        self._asyncioEventloop.call_soon_threadsafe(lambda: callable(*args, **kwargs))

    def addReader(self, reader: Any) -> None:
        """Call ``reader.doRead`` when there is something to read."""
        descriptor = self._readers[reader] = reader.fileno()
        self._asyncioEventloop.add_reader(descriptor, reader.doRead)

    def removeReader(self, reader: Any) -> None:
        """End that; fine if it has ended."""
        descriptor = self._readers.pop(reader, None)
        if descriptor is not None:
            self._asyncioEventloop.remove_reader(descriptor)
