"""Compression: bounded, and without memory between messages."""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Settings
from tbtwist.events import EventType
from tbtwist.ws.deflate import Deflation, deflate, readable
from tests.ws.fakes import item, settings
from tests.ws.wire import CLOSE, TEXT, Client, WireCase, closing, frames, request

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
AGREED = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def packed(payload: bytes) -> bytes:
    """Return a message as a client compresses it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    whole = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(b"\x00\x00\xff\xff")


def unpacked(payload: bytes) -> bytes:
    """Return a message that was compressed by itself."""
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")


def inflate(data: bytes, limit: int) -> bytes:
    """Decompress a message of one frame."""
    deflation = Deflation(15)
    deflation.start_decompress_message()
    found = deflation.decompress_message_data(data, max_output_len=limit)
    deflation.end_decompress_message()
    return found


class DeflationTests(SynchronousTestCase):
    """Messages, and what is none."""

    @given(payload=st.binary(min_size=64, max_size=5000), bits=st.integers(9, 15))
    def test_round_trip(self, payload: bytes, bits: int) -> None:
        """What we compress is what a client reads, whatever its window."""
        sent = deflate(payload, bits)
        assert sent is not None
        self.assertEqual(unpacked(sent), payload)

    def test_not_worth_it(self) -> None:
        """Short messages stay as they are."""
        self.assertIsNone(deflate(b"x" * 63, 15))

    @given(size=st.integers(0, 3000), limit=st.integers(0, 3000))
    def test_exact_bound(self, size: int, limit: int) -> None:
        """A message is whole, or refused; never cut off."""
        data = packed(b"x" * size)
        if size <= limit:
            self.assertEqual(inflate(data, limit), b"x" * size)
        else:
            self.assertRaises(PayloadExceededError, inflate, data, limit)

    def test_corrupt(self) -> None:
        """What is no deflate is said to be none."""
        self.assertRaises(PayloadCorruptError, inflate, b"\xff\xff\xff", 100)

    def test_offers(self) -> None:
        """Offers that cannot be read are passed over."""
        good: tuple[str, Any] = ("permessage-deflate", {})
        bad: list[tuple[str, Any]] = [
            ("permessage-deflate", {"server_max_window_bits": ["99"]}),
            ("permessage-deflate", {"surprise": [True]}),
            ("x-webkit-deflate-frame", {}),
        ]
        self.assertEqual(readable([*bad, good]), [good])


class CompressionTests(WireCase):
    """Compression on the wire."""

    def settings(self) -> Settings:
        """Allow it."""
        return settings(max_message_size=1000, compression=True)

    def agreed(self, offer: str = OFFER) -> tuple[Client, bytes]:
        """Open a connection; return it and the extensions agreed on."""
        client = self.connect()
        client.send(request("/ws/Chat/room", offer))
        head = client.take().partition(b"\r\n\r\n")[0]
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        fields = [line.partition(b": ") for line in head.split(b"\r\n")]
        client.conn_id = list(self.bus.lanes)[-1]
        found = {name: value for name, _, value in fields}
        return client, found.get(b"Sec-WebSocket-Extensions", b"")

    def compressed(self, payload: bytes) -> bytes:
        """Return a compressed text frame, as a client sends it."""
        data = packed(payload)
        return bytes((0xC1, 0x80 | len(data))) + bytes(4) + data

    def test_no_takeover(self) -> None:
        """Neither side remembers messages, whatever the client offers."""
        _, agreed = self.agreed()
        self.assertEqual(agreed, AGREED)

    def test_unreadable_offer(self) -> None:
        """A client whose offer cannot be read is served without compression."""
        _, agreed = self.agreed(
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8"
        )
        self.assertEqual(agreed, b"")

    def test_received(self) -> None:
        """A compressed message arrives as what it means."""
        client, _ = self.agreed()
        for text in (b"hello " * 100, b"again " * 100):
            client.send(self.compressed(text))
        self.assertEqual(self.bodies(client), [b"hello " * 100, b"again " * 100])
        self.assertIsNone(client.protocol._perMessageCompress._inflater)

    def test_bomb(self) -> None:
        """A message that would be too long is refused before it is."""
        client, _ = self.agreed()
        client.send(self.compressed(b"\x00" * 20_000))
        [(opcode, payload)] = client.frames()
        self.assertEqual((opcode, payload[:2]), (CLOSE, closing(1009)))
        self.assertEqual(self.bodies(client), [])
        self.assertEqual(self.gateway.counts.closes, {1009: 1})

    def test_sent(self) -> None:
        """Long messages are compressed, short ones are not."""
        client, _ = self.agreed()
        for body in (b"short", b"long " * 50):
            self.gateway.deliver(item(EventType.WS_SEND, body, conn_id=client.conn_id))
        short, long = client.frames()
        self.assertEqual(short, (TEXT, b"short"))
        self.assertEqual(long[0], 0x41)
        self.assertEqual(unpacked(long[1]), b"long " * 50)

    def test_mixed_audience(self) -> None:
        """A broadcast reaches those with and those without compression."""
        self.gateway.start()
        with_it, _ = self.agreed()
        without, _ = self.agreed("X-Nothing: 1")
        body = b"hello " * 20
        self.bus.broadcast(item(EventType.WS_BROADCAST_ALL, body))
        [(kind, data)] = with_it.frames()
        self.assertEqual((kind, unpacked(data)), (0x41, body))
        self.assertEqual(without.frames(), [(TEXT, body)])
        for client in (with_it, without):
            client.lose()
        self.successResultOf(self.gateway.drain(1.0))


class PlainTests(WireCase):
    """Compression is off unless it is wanted."""

    def test_off(self) -> None:
        """An offer is declined by default."""
        client = self.connect()
        client.send(request("/ws/Chat/room", OFFER))
        head, _, rest = client.take().partition(b"\r\n\r\n")
        self.assertNotIn(b"deflate", head)
        self.assertEqual(frames(rest)[0][0], TEXT)
