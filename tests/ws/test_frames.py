"""Whole messages in one frame."""

from __future__ import annotations

import struct

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.frames import (
    BINARY,
    INSIDE,
    OUTSIDE,
    OUTSIDE_DEFLATED,
    TEXT,
    is_utf8,
    read_whole,
    server_frame,
    unmask,
)

MASK = b"\x01\x80\xff\x37"


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
        whole = read_whole(before + sent + after, len(before), OUTSIDE)
        assert whole is not None
        self.assertEqual(
            (whole.first, whole.payload, whole.end),
            (BINARY, payload, len(before) + len(sent)),
        )

    @given(text=st.text(max_size=300))
    def test_text(self, text: str) -> None:
        """Every text is one."""
        whole = read_whole(client_frame(text.encode(), TEXT), 0, OUTSIDE)
        assert whole is not None
        self.assertEqual((whole.first, whole.payload.decode()), (TEXT, text))

    def test_every_beginning(self) -> None:
        """A frame that is not all there is waited for."""
        for size in (0, 5, 125, 126, 300):
            sent = client_frame(b"x" * size)
            for length in range(len(sent)):
                self.assertIsNone(read_whole(sent[:length], 0, OUTSIDE), (size, length))

    def test_left_to_autobahn(self) -> None:
        """Whatever is not plainly a good frame is not read here."""
        good = client_frame(b"hello", TEXT)
        left = {
            "not masked": bytes((TEXT, 5)) + b"hello",
            "a continuation of nothing": b"\x80" + good[1:],
            "compressed": b"\xc1" + good[1:],
            "reserved bits": b"\x91" + good[1:],
            "reserved opcode": b"\x83" + good[1:],
            "a ping in pieces": b"\x09" + good[1:],
            "a long ping": client_frame(b"x" * 126, 0x89),
            "half a close code": client_frame(b"x", 0x88),
            "long": client_frame(b"x" * 70_000),
            "too long a length": struct.pack("!BBH", BINARY, 0xFE, 5) + MASK + b"12345",
        }
        for name, sent in left.items():
            self.assertIsNone(read_whole(sent, 0, OUTSIDE), name)

    def test_inside_a_message(self) -> None:
        """There the next piece, or a control frame, is what may come."""
        payload = b"hello"
        for first in (0x00, 0x80, 0x88, 0x89, 0x8A):
            found = read_whole(client_frame(payload, first), 0, INSIDE)
            self.assertEqual(found and found.first, first)
        for first in (TEXT, BINARY, 0x01, 0x40):
            self.assertIsNone(read_whole(client_frame(payload, first), 0, INSIDE))

    def test_compressed(self) -> None:
        """Compressed messages are read where that was agreed on."""
        sent = client_frame(b"hello", 0xC1)
        self.assertIsNotNone(read_whole(sent, 0, OUTSIDE_DEFLATED))

    def test_utf8(self) -> None:
        """A text is UTF-8 without surrogates, and all there."""
        for text in (b"", b"a", "ä€😀".encode()):
            self.assertTrue(is_utf8(text), text)
        for text in (b"\xff", b"\xed\xa0\x80", "ä".encode()[:1], b"\xc0\xaf"):
            self.assertFalse(is_utf8(text), text)


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
