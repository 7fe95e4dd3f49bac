"""What stands before a message on connections that can be resumed.

A client that asked for it (``?resume=``) gets every broadcast behind a stamp
that says where it stands, and so always knows what it has seen::

    RS mark.number RS message             to everybody
    RS mark.number SP channel RS message  to the members of a channel

RS is the ASCII record separator (0x1E); the channel is percent-encoded. What this
worker itself says to such a client is JSON behind ``RS ! RS``. All else comes as
it is, or behind ``RS RS`` if it begins with RS itself. Other clients get no stamps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import attrs
import msgspec

from tbtwist.ws.connection import Message, Socket
from tbtwist.ws.history import Broadcast

RS: Final = b"\x1e"
_OURS: Final = RS + b"!" + RS
_SAFE: Final = "/:@,;+$&="


@attrs.frozen
class Stamped(Message):
    """A message that has its stamp."""


def stamped(broadcast: Broadcast) -> Stamped:
    """Return a broadcast as resumable clients get it."""
    place = f"{broadcast.mark}.{broadcast.number}"
    if broadcast.channel is not None:
        place += " " + quote(broadcast.channel, safe=_SAFE)
    head = RS + place.encode("ascii") + RS
    channel = broadcast.channel or ""
    return Stamped(head + broadcast.body, broadcast.binary, channel=channel)


def escaped(message: Message) -> Message:
    """Return any other message as resumable clients get it."""
    if not message.data.startswith(RS):
        return message
    return attrs.evolve(message, data=RS + RS + message.data)


def ours(value: Mapping[str, object]) -> Stamped:
    """Return what this worker itself says to a resumable client."""
    return Stamped(_OURS + msgspec.json.encode(value), binary=False)


@attrs.frozen
class StampedSocket:
    """The socket of a resumable client: what has no stamp cannot be mistaken."""

    _socket: Socket

    def send(self, message: Message) -> None:
        """As `Socket.send`."""
        self._socket.send(message if isinstance(message, Stamped) else escaped(message))

    def close(self, code: int, reason: str) -> None:
        """As `Socket.close`."""
        self._socket.close(code, reason)

    def abort(self) -> None:
        """As `Socket.abort`."""
        self._socket.abort()

    def pause(self) -> None:
        """As `Socket.pause`."""
        self._socket.pause()

    def resume(self) -> None:
        """As `Socket.resume`."""
        self._socket.resume()
