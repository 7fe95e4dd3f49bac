"""What the protocol needs of whatever stands behind it: the gateway, or an echo."""

from __future__ import annotations

from typing import Protocol

from tbtwist.ws.connection import Socket
from tbtwist.ws.handshake import Answer, Head


class Listener(Protocol):
    """One open connection, as its protocol sees it."""

    def received(self, data: bytes, *, binary: bool) -> None:
        """Take a message of the client; text is UTF-8 in ``data``."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection, for its protocol's reasons."""

    def failed(self, code: int, reason: str) -> None:
        """The client has broken the protocol, and is being told so."""

    def closed(self, code: int, reason: str) -> None:
        """The socket is gone; ``code`` and ``reason`` are the client's, if any."""


class Core(Protocol):
    """Decides about request heads, and takes the sockets that open."""

    def answer(self, head: Head, peer: str) -> Answer | None:
        """Return the plain HTTP answer to ``head``; None if a WebSocket may open.

        ``peer`` is the address at the other end of the socket.
        """

    async def accept(self, socket: Socket, head: Head) -> Listener | None:
        """Take a socket whose handshake is done; None if it was closed instead."""
