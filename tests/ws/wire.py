"""A WebSocket client made of bytes, on a transport in memory."""

from __future__ import annotations

import json
import struct
from typing import Any

import txaio.tx
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Settings
from tbtwist.ws.factory import make_factory
from tbtwist.ws.protocol import WebSocketChannel
from tests.ws.fakes import FakeBus, FakeLane, FakeVerifier, make_gateway, settings

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """Return a frame as a client sends it (masked with zeros, so readable)."""
    size = len(payload)
    flag = 0x80 if mask else 0
    first = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        length = bytes([flag | size])
    elif size < 65536:
        length = bytes([flag | 126]) + struct.pack("!H", size)
    else:
        length = bytes([flag | 127]) + struct.pack("!Q", size)
    return first + length + (bytes(4) if mask else b"") + payload


def request(target: str = "/ws/Chat/room", *extra: str, method: str = "GET") -> bytes:
    """Return the bytes of an opening handshake, with ``extra`` header lines."""
    lines = (
        f"{method} {target} HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *extra,
    )
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Read the frames that a server sent."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, start = struct.unpack("!Q", data[2:10])[0], 10
        found.append((data[0] & 0x7F, data[start : start + size]))
        data = data[start + size :]
    return found


def closing(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame."""
    return struct.pack("!H", code) + reason.encode()


class WireTransport(StringTransport):
    """A transport that, as TCP's, reports the end later and never complains."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is nothing to delay."""

    def abortConnection(self) -> None:
        """Remember that it was not a polite end."""
        self.aborted = True
        super().abortConnection()

    def unregisterProducer(self) -> None:
        """Forget the producer; twice is fine, as with TCP."""
        self.producer = None


class WireCase(SynchronousTestCase):
    """A gateway behind Autobahn; clients are bytes, time is a `Clock`."""

    def settings(self) -> Settings:
        """Return the settings of this gateway."""
        return settings(max_message_size=1000, max_waiting_bytes=2600)

    def setUp(self) -> None:
        """Make the factory; afterwards no timer may be left."""
        self.clock = Clock()
        self.bus = FakeBus()
        self.patch(txaio.tx.config, "loop", self.clock)
        configured = self.settings()
        self.verifier = FakeVerifier()
        self.gateway = make_gateway(self.bus, self.clock, configured, self.verifier)
        self.factory: Any = make_factory(
            self.gateway, configured.ws_worker, self.clock, self.gateway.counts
        )
        self.addCleanup(self.no_timer_left)
        self.clients: list[Client] = []

    def no_timer_left(self) -> None:
        """Lose all clients and look whether anything still waits for them."""
        for client in self.clients:
            client.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self) -> Client:
        """Return a client that has said nothing yet."""
        client = Client(self.factory.buildProtocol(None))
        self.clients.append(client)
        return client

    def open(self, *extra: str) -> Client:
        """Return a client whose handshake is done and whose greeting is read."""
        client = self.connect()
        client.send(request("/ws/Chat/room", *extra))
        head, _, rest = client.take().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        [(opcode, greeting)] = frames(rest)
        self.assertEqual(opcode, TEXT)
        client.conn_id = json.loads(greeting)["conn_id"]
        return client

    def lane(self, client: Client) -> FakeLane:
        """Return the lane of a client."""
        return self.bus.lanes[client.conn_id]

    def bodies(self, client: Client) -> list[bytes]:
        """Return the messages of a client that were passed on."""
        items = self.lane(client).items
        return [each.body for each in items if each.event.type == "ws.message"]


class Client:
    """The other end of a `WireTransport`."""

    def __init__(self, protocol: WebSocketChannel) -> None:
        self.protocol = protocol
        self.transport = WireTransport()
        self.conn_id = ""
        self.lost = False
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.protocol.dataReceived(data)

    def take(self) -> bytes:
        """Return what the server sent since the last time."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def frames(self) -> list[tuple[int, bytes]]:
        """Return the frames that the server sent since the last time."""
        return frames(self.take())

    def lose(self) -> None:
        """Let the connection end, once."""
        if not self.lost:
            self.lost = True
            clean = not self.transport.aborted
            why = ConnectionDone() if clean else ConnectionAborted()
            self.protocol.connectionLost(Failure(why))
