"""WebSocket frames (RFC 6455, section 5.2), read and written as wholes. Pure.

Only frames that have come completely and are shorter than 64 KiB, as nearly all
are, and in which nothing is wrong. Everything else is left to Autobahn.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from autobahn.websocket import xormasker

TEXT: Final = 0x81
BINARY: Final = 0x82
COMPRESSED: Final = 0x40
_FINAL: Final = 0x80
_masker: Any = xormasker  # typed as if it exported nothing
_MASKED: Final = 0x80
_SHORT: Final = 126
_LONG: Final = 127
_MASKED_AT_ONCE: Final = 1024
"""Up to here one big integer is quicker than a masker made for the frame."""

_CLOSE, _PING, _PONG = (_FINAL | opcode for opcode in (8, 9, 10))
_CONTROL: Final = frozenset({_CLOSE, _PING, _PONG})
_MESSAGES: Final = frozenset({TEXT, BINARY, TEXT ^ _FINAL, BINARY ^ _FINAL})
OUTSIDE: Final = _CONTROL | _MESSAGES
"""First bytes of good frames while no message is under way."""
OUTSIDE_DEFLATED: Final = OUTSIDE | {first | COMPRESSED for first in _MESSAGES}
"""The same where compression was agreed on."""
INSIDE: Final = _CONTROL | {_FINAL, 0}
"""First bytes of good frames inside a message of several."""


class Whole(NamedTuple):
    """A whole frame: its first byte, its payload, and where it ends."""

    first: int
    payload: bytes
    end: int


def read_whole(data: bytes, at: int, firsts: frozenset[int]) -> Whole | None:
    """Read the frame at ``at``, which begins with one of ``firsts``.

    Returns:
        The frame, or None if it is not all there or not so simple.
    """
    length = len(data) - at
    if length < 6 or data[at] not in firsts:
        return None
    size, begin = data[at + 1] - _MASKED, at + 6
    if size == _SHORT:
        size, begin = int.from_bytes(data[at + 2 : at + 4]), at + 8
        if size < _SHORT or data[at] in _CONTROL:
            return None
    end = begin + size
    if size < 0 or data[at + 1] == 0xFF or end > len(data):
        return None
    if size == 1 and data[at] == _CLOSE:
        return None  # half a close code
    return Whole(data[at], unmask(data[begin:end], data[begin - 4 : begin]), end)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return what a client has masked."""
    size = len(payload)
    if size > _MASKED_AT_ONCE:
        return bytes(_masker.create_xor_masker(mask, size).process(payload))
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)


def is_utf8(payload: bytes) -> bool:
    """Whether a text is one."""
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
        first |= COMPRESSED
    size = len(payload)
    if size < _SHORT:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, _SHORT, size) + payload
    return struct.pack("!BBQ", first, _LONG, size) + payload
