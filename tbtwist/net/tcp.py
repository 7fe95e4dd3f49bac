"""What a Twisted transport says about its socket, over a transport of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def address_of(name: tuple[Any, ...]) -> Address:
    """Return a socket's name as Twisted gives it."""
    return IPv4Address("TCP", *name) if len(name) == 2 else IPv6Address("TCP", *name)


class TcpSocket(asyncio.Protocol):
    """Addresses and socket options of one connection."""

    __slots__ = ("_peer", "_transport")

    _transport: asyncio.Transport
    _peer: Address

    def getPeer(self) -> Address:
        """Return the other end's address."""
        return self._peer

    def getHost(self) -> Address:
        """Return this end's address."""
        return address_of(self._transport.get_extra_info("sockname"))

    def getHandle(self) -> Any:
        """Return the socket, for options and for looking at it."""
        return self._transport.get_extra_info("socket")

    def getTcpNoDelay(self) -> bool:
        """Whether small writes go out at once; so it is unless unset."""
        return self._option(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's
        """Send small writes at once, or collect them."""
        with contextlib.suppress(OSError):
            self.getHandle().setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, int(enabled)
            )

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel asks a silent peer if it is still there."""
        return self._option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's
        """Let the kernel ask a silent peer if it is still there."""
        self.getHandle().setsockopt(
            socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enabled)
        )

    def _option(self, level: int, name: int) -> bool:
        return bool(self.getHandle().getsockopt(level, name))

    def _reset_on_close(self) -> None:
        """Let the kernel tell the peer that this was no orderly end."""
        with contextlib.suppress(OSError):
            self.getHandle().setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
