"""WebSocket frames and handshake of a client that is as cheap as can be. Pure."""

from __future__ import annotations

import struct
from itertools import cycle
from typing import Final

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_MASK: Final = b"\x37\xfa\x21\x3d"
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_SHORT: Final = 126


def handshake(host: str, path: str) -> bytes:
    """Return the request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode("ascii")


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return one masked frame; always with the same mask, nobody is fooled here."""
    size = len(payload)
    if size < _SHORT:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
    masked = bytes(a ^ b for a, b in zip(payload, cycle(_MASK), strict=False))
    return head + _MASK + masked


class Reader:
    """Cuts what a server sends into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the frames that are complete now: opcode and payload."""
        if self._rest:
            data = self._rest + data
        frames = []
        start = 0
        while True:
            begin, end = _bounds(data, start)
            if end > len(data):
                break
            frames.append((data[start] & 0x0F, data[begin:end]))
            start = end
        self._rest = data[start:]
        return frames


def _bounds(data: bytes, start: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``start`` begins and ends.

    The end is beyond the data when the frame is not complete.
    """
    have = len(data) - start
    if have < 2:
        return start, len(data) + 1
    size = data[start + 1]
    if size < _SHORT:
        return start + 2, start + 2 + size
    head = 4 if size == _SHORT else 10
    if have < head:
        return start, len(data) + 1
    size = int.from_bytes(data[start + 2 : start + head], "big")
    return start + head, start + head + size
