"""WebSocket frames (RFC 6455, section 5.2): whole messages in, whole messages out.

Pure. Only what nearly every message is: one frame, not compressed, shorter than
64 KiB when it comes in. Everything else is left to Autobahn.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import attrs
from autobahn.websocket import xormasker

TEXT: Final = 0x81
BINARY: Final = 0x82
_masker: Any = xormasker  # typed as if it exported nothing
_MASKED: Final = 0x80
_SHORT: Final = 126
_LONG: Final = 127
_COMPRESSED: Final = 0x40
_MASKED_AT_ONCE: Final = 1024
"""Up to here one big integer is quicker than a masker made for the frame."""


@attrs.frozen
class Whole:
    """A message in one frame: its first byte, its payload, and where it ends."""

    first: int
    payload: bytes
    end: int


def read_whole(data: bytes, at: int, max_bytes: int) -> Whole | None:
    """Read the message at ``at``; None if it is not all there, or not so simple.

    A text is checked to be UTF-8.
    """
    length = len(data) - at
    if length < 6 or data[at] not in {TEXT, BINARY}:
        return None
    size, begin = data[at + 1] - _MASKED, at + 6
    if size == _SHORT:
        size, begin = int.from_bytes(data[at + 2 : at + 4]), at + 8
        if size < _SHORT:
            return None
    end = begin + size
    if not 0 <= size <= max_bytes or data[at + 1] == 0xFF or end > len(data):
        return None
    payload = unmask(data[begin:end], data[begin - 4 : begin])
    if data[at] == TEXT and not _is_utf8(payload):
        return None
    return Whole(data[at], payload, end)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return what a client has masked."""
    size = len(payload)
    if size > _MASKED_AT_ONCE:
        return bytes(_masker.create_xor_masker(mask, size).process(payload))
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def server_frame(payload: bytes, *, binary: bool, compressed: bool = False) -> bytes:
    """Return a message as one frame of a server, that is without a mask."""
    first = BINARY if binary else TEXT
    if compressed:
        first |= _COMPRESSED
    size = len(payload)
    if size < _SHORT:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, _SHORT, size) + payload
    return struct.pack("!BBQ", first, _LONG, size) + payload
