"""A client that can be resumed, in memory: it reads stamps as the protocol says."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import attrs
import msgspec

from tbtwist.events import EventType
from tbtwist.ws.gateway import Gateway
from tests.ws.cases import accepted
from tests.ws.fakes import FakeBus, FakeSocket, head, item

RS = b"\x1e"


@attrs.define(eq=False)
class Reader:
    """What a client of the protocol knows and heard.

    ``heard`` has ``(channel, message)`` of broadcasts, ``other`` all other messages,
    ``said`` what the worker itself said.
    """

    token: str = ""
    seen: dict[str, int] = attrs.Factory(dict)
    heard: list[tuple[str | None, bytes]] = attrs.Factory(list)
    other: list[bytes] = attrs.Factory(list)
    said: list[dict[str, Any]] = attrs.Factory(list)

    @property
    def query(self) -> str:
        """Return what it asks for when it connects."""
        seen = ",".join(f"{mark}.{number}" for mark, number in self.seen.items())
        return f"resume={self.token or 1}" + (f"&seen={seen}" if seen else "")

    @property
    def resumed(self) -> dict[str, Any]:
        """Return what it was told about its last resumption."""
        return [each for each in self.said if each["type"] == "resumed"][-1]

    def take(self, data: bytes) -> None:
        """Read one message."""
        if not data.startswith(RS):
            return self._take_other(data)
        _, place, rest = data.split(RS, 2)
        if place == b"!":
            self._take_ours(msgspec.json.decode(rest))
        elif place:
            self._take_broadcast(place.decode(), rest)
        else:
            self._take_other(rest)
        return None

    def _take_other(self, data: bytes) -> None:
        if not data.startswith(b'{"type":"connected"'):
            self.other.append(data)
            return
        greeting = msgspec.json.decode(data)
        self.token = greeting.get("resume", self.token)
        self.said.append(greeting)

    def _take_ours(self, value: dict[str, Any]) -> None:
        self.token = value.get("resume", self.token)
        self.said.append(value)

    def _take_broadcast(self, place: str, rest: bytes) -> None:
        position, space, channel = place.partition(" ")
        mark, number = position.split(".")
        if int(number) > self.seen.get(mark, 0):
            self.seen[mark] = int(number)
            self.heard.append((unquote(channel) if space else None, rest))


@attrs.define(eq=False)
class Client(Reader):
    """A `Reader` with a connection to a gateway in memory."""

    path: str = "/ws/Chat/room"
    headers: dict[str, str] = attrs.Factory(dict)
    conn_id: str = ""
    _gateway: Gateway | None = None
    _socket: FakeSocket = attrs.Factory(FakeSocket)

    def connect(self, gateway: Gateway) -> None:
        """Open a connection, and read what comes at once."""
        self._gateway, self._socket = gateway, FakeSocket()
        asked = head(f"{self.path}?{self.query}", **self.headers)
        connection = accepted(gateway, self._socket, asked)
        assert connection is not None
        self.conn_id = connection.conn_id
        self.read()

    def lose(self) -> None:
        """Let the connection break; what is on the way is still read."""
        self.read()
        assert self._gateway is not None
        connection = self._gateway._registry.get(self.conn_id)
        assert connection is not None
        connection.closed(1006, "")
        self._gateway = None

    def read(self) -> None:
        """Read all that has been sent."""
        log, self._socket.log = self._socket.log, []
        for entry in log:
            if entry[0] == "send":
                self.take(entry[1])


def join(bus: FakeBus, client: Client, channel: str, **more: object) -> None:
    """Put a client into a channel, as the application does."""
    payload: dict[str, Any] = {"conn_id": client.conn_id, "channel": channel, **more}
    assert bus.bring(item(EventType.WS_JOIN_CHANNEL, **payload)) is None


def leave(bus: FakeBus, client: Client, channel: str) -> None:
    """Take a client out of a channel, as the application does."""
    asked = item(EventType.WS_LEAVE_CHANNEL, conn_id=client.conn_id, channel=channel)
    assert bus.bring(asked) is None
