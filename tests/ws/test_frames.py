"""Whole messages in one frame."""

from __future__ import annotations

import struct

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.frames import BINARY, TEXT, read_whole, server_frame, unmask

MASK = b"\x01\x80\xff\x37"
LIMIT = 100_000


def client_frame(payload: bytes, first: int = BINARY, mask: bytes = MASK) -> bytes:
    """Return a frame as a client sends it, masked byte by byte."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else b""
    if not head and size < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, size)
    elif not head:
        head = struct.pack("!BBQ", first, 0xFF, size)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + masked


class ReadTests(SynchronousTestCase):
    """What is read at once, and what is left to Autobahn."""

    @given(
        before=st.binary(max_size=10),
        payload=st.binary(max_size=3000),
        after=st.binary(max_size=10),
        mask=st.binary(min_size=4, max_size=4),
    )
    def test_round_trip(
        self, before: bytes, payload: bytes, after: bytes, mask: bytes
    ) -> None:
        """A binary message is read as it was, wherever it stands."""
        sent = client_frame(payload, mask=mask)
        whole = read_whole(before + sent + after, len(before), LIMIT)
        assert whole is not None
        self.assertEqual(
            (whole.first, whole.payload, whole.end),
            (BINARY, payload, len(before) + len(sent)),
        )

    @given(text=st.text(max_size=300))
    def test_text(self, text: str) -> None:
        """Every text is one."""
        whole = read_whole(client_frame(text.encode(), TEXT), 0, LIMIT)
        assert whole is not None
        self.assertEqual((whole.first, whole.payload.decode()), (TEXT, text))

    def test_every_beginning(self) -> None:
        """A frame that is not all there is waited for."""
        for size in (0, 5, 125, 126, 300):
            sent = client_frame(b"x" * size)
            for length in range(len(sent)):
                self.assertIsNone(read_whole(sent[:length], 0, LIMIT), (size, length))

    def test_left_to_autobahn(self) -> None:
        """Whatever is not plainly a good message is not read here."""
        good = client_frame(b"hello", TEXT)
        left = {
            "not masked": bytes((TEXT, 5)) + b"hello",
            "a fragment": b"\x01" + good[1:],
            "a continuation": b"\x80" + good[1:],
            "compressed": b"\xc1" + good[1:],
            "reserved bits": b"\x91" + good[1:],
            "a ping": b"\x89" + good[1:],
            "a close": b"\x88" + good[1:],
            "bad UTF-8": client_frame(b"\xff", TEXT),
            "a surrogate": client_frame(b"\xed\xa0\x80", TEXT),
            "half a letter": client_frame("ä".encode()[:1], TEXT),
            "long": client_frame(b"x" * 70_000),
            "too long a length": struct.pack("!BBH", BINARY, 0xFE, 5) + MASK + b"12345",
        }
        for name, sent in left.items():
            self.assertIsNone(read_whole(sent, 0, LIMIT), name)

    def test_limit(self) -> None:
        """A message beyond the limit is not read."""
        self.assertIsNotNone(read_whole(client_frame(b"x" * 10), 0, 10))
        self.assertIsNone(read_whole(client_frame(b"x" * 11), 0, 10))


class WriteTests(SynchronousTestCase):
    """Frames for clients."""

    def test_lengths(self) -> None:
        """Each length is written in the shortest of the three forms."""
        for size, head in (
            (0, b"\x81\x00"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (65535, b"\x81\x7e\xff\xff"),
            (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ):
            payload = b"x" * size
            self.assertEqual(server_frame(payload, binary=False), head + payload)

    def test_kinds(self) -> None:
        """Binary and compressed messages say so."""
        self.assertEqual(server_frame(b"", binary=True), b"\x82\x00")
        self.assertEqual(server_frame(b"", binary=False, compressed=True), b"\xc1\x00")

    @given(payload=st.binary(max_size=2000), mask=st.binary(min_size=4, max_size=4))
    def test_mask(self, payload: bytes, mask: bytes) -> None:
        """Masking twice changes nothing."""
        self.assertEqual(unmask(unmask(payload, mask), mask), payload)
