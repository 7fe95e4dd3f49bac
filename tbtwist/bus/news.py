"""Publications as bytes: the items of one topic and turn in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tbtwist.bus.codec import encode, read
from tbtwist.events import Item

_decode_items: Final = msgspec.msgpack.Decoder(list[Item]).decode
_LONG_LIST: Final = 0xDC
"""How a msgpack list begins whose length is in the next two bytes."""


def encode_item(item: Item) -> bytes:
    """Return an item to be published; `BadFrame` if msgpack cannot carry it."""
    return encode(item)


def encode_items(encoded: Sequence[bytes]) -> bytes:
    """Return several items of `encode_item` as one frame; at most 65,535."""
    head = bytes((_LONG_LIST, *divmod(len(encoded), 256)))
    return head + b"".join(encoded)


def decode_items(frame: bytes) -> list[Item]:
    """Read what `encode_items` made."""
    return read(_decode_items, frame)
