"""The reading half of a connection: data, end of file, and pauses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.net.tcp import TcpSocket

DONE: Final = Failure(ConnectionDone())


def half_closeable(protocol: IProtocol | None) -> IHalfCloseableProtocol | None:
    """Return what ``protocol`` wants to hear of half-closed connections."""
    return IHalfCloseableProtocol(protocol, None)


class Receiving(TcpSocket):
    """Hands what comes to the protocol, unless reading is paused."""

    __slots__ = (
        "_at_eof",
        "_held",
        "_reading",
        "connected",
        "disconnecting",
        "protocol",
    )

    def __init__(self) -> None:
        self.protocol: IProtocol | None = None
        self.connected = self.disconnecting = False
        self._reading = self._at_eof = False
        self._held: list[bytes] | None = None

    # --- called by the loop ------------------------------------------------------

    @override
    def data_received(self, data: bytes) -> None:
        if self._reading:
            try:
                self.protocol.dataReceived(data)  # type: ignore[union-attr]
            except Exception:  # noqa: BLE001 - whatever a protocol raises
                self._failed()
        elif self.connected and not self.disconnecting:
            self._hold_back(data)

    @override
    def eof_received(self) -> bool:
        if self.disconnecting or not self.connected:
            return False
        self._at_eof = True
        if self._reading:
            self._peer_finished()
        elif self._held is None:
            self._held = []
        return True

    # --- called by the protocol ----------------------------------------------------

    def pauseProducing(self) -> None:
        """Read nothing until `resumeProducing`."""
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def resumeProducing(self) -> None:
        """Read on, unless the connection is to be closed."""
        if self._reading or self.disconnecting or not self.connected:
            return
        self._reading = True
        if self._held is not None:
            self._soon(self._let_go)
        elif not self._at_eof:
            self._transport.resume_reading()

    def stopProducing(self) -> None:
        """Lose the connection."""
        self.loseConnection()

    def _hold_back(self, data: bytes) -> None:
        """Keep what came although the protocol has paused us.

        The loop starts to read after ``connection_made``, whatever was asked for
        in it; only from now on it can be paused.
        """
        self._held = [*(self._held or ()), data]
        self._transport.resume_reading()
        self._transport.pause_reading()

    def _let_go(self) -> None:
        if self._reading and self._held is not None:
            held, self._held = self._held, None
            self._read_on(b"".join(held))

    def _read_on(self, held: bytes) -> None:
        """Deliver what was held back, and go on from there."""
        if held:
            self.data_received(held)
        if not self._reading:
            self._held = [] if self._at_eof else None
        elif self._at_eof:
            self._peer_finished()
        else:
            self._transport.resume_reading()

    def _peer_finished(self) -> None:
        aware = half_closeable(self.protocol)
        if aware is None:
            self._end(DONE)
        else:
            self._guarded(aware.readConnectionLost)

    # --- to be done by the whole ------------------------------------------------------

    @abstractmethod
    def loseConnection(self) -> None:
        """Read no more, send what waits, and close."""

    @abstractmethod
    def _end(self, reason: Failure) -> None:
        """Have no more to do with the peer; ``reason`` is why."""

    @abstractmethod
    def _soon(self, call: Callable[[], None]) -> None:
        """Call in the loop's next turn."""

    @abstractmethod
    def _failed(self) -> None:
        """End the connection for the exception that is being handled."""

    @abstractmethod
    def _guarded(self, call: Callable[..., object], *args: Any) -> None:
        """Call the application."""
