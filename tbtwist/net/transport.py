"""A connection on the loop's own transport, as Twisted protocols know them.

asyncio's callbacks (snake_case) come in, Twisted's ``ITCPTransport`` (camelCase)
is what a protocol sees. Both are one object: there is one for every connection,
and two calls to it for every request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    ILoggingContext,
    IProducer,
    IPullProducer,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from tbtwist.net.feeds import Feed, PullFeed, PushFeed
from tbtwist.net.parting import Parting
from tbtwist.net.receiving import DONE, Receiving, half_closeable
from tbtwist.net.surroundings import Surroundings
from tbtwist.net.tcp import address_of

_log = Logger()
_LOST: Final = Failure(ConnectionLost())


@implementer(ITCPTransport, IPushProducer, IConsumer, ILoggingContext, ISystemHandle)
class LoopTransport(Receiving):
    """Between one protocol and one transport of the loop."""

    __slots__ = (
        "__weakref__",
        "_around",
        "_feed",
        "_full",
        "_half_closing",
        "_parting",
        "_plain",
        "_reason",
        "_send",
        "_shut",
        "disconnected",
    )

    _send: Callable[[bytes], None]

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self._around = around
        self.disconnected = False
        self._feed: Feed | None = None
        self._full = self._plain = self._half_closing = False
        self._shut = True
        self._parting: Parting | None = None
        self._reason: Failure | None = None

    # --- called by the loop ------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        around = self._around
        around.open.add(self)
        made = self._transport = cast("asyncio.Transport", transport)
        made.set_write_buffer_limits(
            around.limits.high_water_bytes, around.limits.low_water_bytes
        )
        name = made.get_extra_info("peername")
        if name is None:  # it has left already
            made.abort()
            return
        self._peer = address_of(name)
        self._send = made.write
        self._guarded(self._begin)

    def _begin(self) -> None:
        protocol = self._around.factory.buildProtocol(self._peer)
        if protocol is None:
            self._transport.abort()
            return
        self.protocol = protocol
        self.connected = self._reading = self._plain = True
        self._shut = False
        protocol.makeConnection(self)

    @override
    def pause_writing(self) -> None:
        self._full = True
        self._settle()
        if self._feed is not None:
            self._guarded(self._feed.full)

    @override
    def resume_writing(self) -> None:
        self._full = False
        self._settle()
        self._offer_room()
        self._go_on_closing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._around.open.discard(self)
        self.connected = self._reading = False
        self.disconnected = True
        self._stop_writing()
        if self._parting is not None:
            self._parting.over()
        protocol, feed = self.protocol, self._feed
        self.protocol = self._feed = self._held = None
        if feed is not None:
            self._guarded(feed.stop)
        if protocol is not None:
            reason = self._reason or (DONE if exc is None else _LOST)
            self._guarded(protocol.connectionLost, reason)

    # --- writing -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send ``data``, at once as far as the kernel takes it."""
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        feed = self._feed
        if self._plain:
            self._send(data)
            if feed is not None and self._transport.is_closing():
                feed.full()  # as below: the loop has just found out
        elif not self._shut:
            self._send(data)
            if feed is not None and feed.wrote(full=self._full):
                self._soon(self._offer_room)
        elif feed is not None:
            # No buffer gets full any more, and a producer that writes until it is
            # paused would never let anybody else have a turn.
            feed.full()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send some pieces as one."""
        self.write(b"".join(iovec))

    def registerProducer(
        self,
        producer: IProducer,
        streaming: bool,  # noqa: FBT001 - Twisted's interface
    ) -> None:
        """Let ``producer`` write as fast as the peer reads.

        Raises:
            RuntimeError: there is another one.
        """
        if self._feed is not None:
            raise RuntimeError(f"{producer!r} came before another one had gone.")
        if self.disconnected:
            producer.stopProducing()
        elif streaming:
            self._feed = PushFeed(cast("IPushProducer", producer))
            self._settle()
        else:
            self._feed = PullFeed(cast("IPullProducer", producer))
            self._settle()
            self._feed.room()

    def unregisterProducer(self) -> None:
        """Expect nothing more from the producer."""
        self._feed = None
        self._settle()
        self._go_on_closing()

    def stopConsuming(self) -> None:
        """Lose the producer and the connection."""
        self.unregisterProducer()
        self.loseConnection()

    def _settle(self) -> None:
        """Find out whether a write is nothing but a write."""
        feed = self._feed
        plain = feed is None or (feed.streaming and not self._full)
        self._plain = plain and not self._shut

    def _stop_writing(self) -> None:
        self._shut = True
        self._plain = False

    def _offer_room(self) -> None:
        if self._feed is not None and not self._full:
            self._guarded(self._feed.room)

    # --- closing -------------------------------------------------------------------

    @override
    def loseConnection(self) -> None:
        """Read no more, send what waits, and close."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self.pauseProducing()
            self._soon(self._close)

    def loseWriteConnection(self) -> None:
        """Send what waits, and then our end of file; go on reading."""
        self._half_closing = True
        self._soon(self._half_close)

    def abortConnection(self) -> None:
        """Close at once; what waits is lost, and the peer is told so."""
        if self.connected and self._reason is None:
            self._reset_on_close()
            self._end(Failure(ConnectionAborted()))

    def _go_on_closing(self) -> None:
        if self.disconnecting:
            self._soon(self._close)
        elif self._half_closing:
            self._soon(self._half_close)

    def _close(self) -> None:
        """Close, unless a producer has more."""
        if not self.connected or self._reason is not None:
            return
        if self._parting is None:
            around = self._around
            self._parting = Parting(
                self._transport,
                around.clock,
                around.limits.close_timeout_s,
                self.abortConnection,
            )
        feed = self._feed
        if feed is not None and feed.holds_open and not self._shut:
            self._parting.wait()
        else:
            self._stop_writing()
            self._parting.finish()

    def _half_close(self) -> None:
        """Send our end of file, unless something has to be sent before."""
        if self._shut or (self._feed is not None and self._feed.holds_open):
            return
        if self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(0, 0)  # tell us when it is empty
            return
        self._stop_writing()
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        aware = half_closeable(self.protocol)
        if aware is not None:
            self._guarded(aware.writeConnectionLost)

    @override
    def _end(self, reason: Failure) -> None:
        """Have no more to do with the peer; ``reason`` is why."""
        self._reason = self._reason or reason
        self.disconnecting = True  # nothing that is asked for from now on matters
        self._reading = False
        self._stop_writing()
        self._soon(self._cut)

    def _cut(self) -> None:
        # Never from within a callback of asyncio's own transport: one that is
        # aborted in `resume_writing` reports its loss twice.
        if not self.disconnected:
            self._transport.abort()

    # --- the rest --------------------------------------------------------------------

    def logPrefix(self) -> str:
        """Return what log lines of this connection could begin with."""
        return type(self.protocol).__name__

    @override
    def _soon(self, call: Callable[[], None]) -> None:
        self._around.loop.call_soon(call)

    @override
    def _guarded(self, call: Callable[..., object], *args: Any) -> None:
        """Call the application; what it raises is logged and ends the connection."""
        try:
            call(*args)
        except Exception:  # noqa: BLE001 - whatever a protocol raises
            self._failed()

    @override
    def _failed(self) -> None:
        failure = Failure()
        _log.failure("a protocol failed; its connection is dropped", failure=failure)
        if not self.disconnected:
            self._end(failure)
