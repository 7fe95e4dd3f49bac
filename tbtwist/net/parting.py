"""The end of a connection: what waits is sent, and nothing hangs for ever."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Parting:
    """Closes a transport of the loop, within limits.

    What is in the write buffer goes out first. If the peer is still sending (a
    refused upload, say), a plain close would make the kernel reset the
    connection, and the peer might never see our last words; so the peer gets
    our end of file, and what it still sends is read into the void.

    A peer that takes nothing, or goes on sending, for ``timeout_s`` is cut off.
    """

    __slots__ = ("_cut", "_finishing", "_schedule", "_timer", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        clock: IReactorTime,
        timeout_s: float,
        cut: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._cut = cut
        self._finishing = False
        self._timer: IDelayedCall | None = None
        self._schedule = lambda left: clock.callLater(timeout_s, self._look, left)

    def wait(self) -> None:
        """More is to be written; the peer has to take what there is meanwhile."""
        if self._timer is None:
            self._timer = self._schedule(self._transport.get_write_buffer_size())

    def finish(self) -> None:
        """Nothing more is to be written."""
        if self._finishing:
            return
        self._finishing = True
        transport = self._transport
        if _has_unread(transport):
            with contextlib.suppress(OSError):
                transport.write_eof()
            transport.resume_reading()
            self.wait()
        else:
            transport.close()
            if transport.get_write_buffer_size():
                self.wait()

    def over(self) -> None:
        """The connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: int) -> None:
        """See what the peer has taken since the last look."""
        self._timer = None
        left = self._transport.get_write_buffer_size()
        if left and left >= before:
            self._cut()
        elif left or not self._finishing:
            self._timer = self._schedule(left)
        else:
            self._transport.close()


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes that came and that nobody has read."""
    descriptor = transport.get_extra_info("socket").fileno()
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return bool(struct.unpack("i", answer)[0])
