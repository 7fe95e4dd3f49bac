"""permessage-deflate (RFC 7692) without memory between messages, and with a bound.

Every message is compressed by itself, in both directions: a connection costs no
window while it is silent, and one message's frame serves all who listen.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress import (
    PERMESSAGE_COMPRESSION_EXTENSION,
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)

NAME: Final = "permessage-deflate"
_OFFERS: Final[Any] = PERMESSAGE_COMPRESSION_EXTENSION
_MEMORY_LEVEL: Final = 4
_TRAILER: Final = b"\x00\x00\xff\xff"
_WORTH_IT_BYTES: Final = 64
"""What is shorter is sent as it is."""


def readable(extensions: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return those offers that can be read; the others are declined, not an error."""
    return [each for each in extensions if _is_readable(*each)]


def _is_readable(name: str, parameters: Any) -> bool:
    if name not in _OFFERS:
        return False
    try:
        _OFFERS[name]["Offer"].parse(parameters)
    except Exception:  # noqa: BLE001 - Autobahn raises nothing narrower
        return False
    return True


def decline(_offers: object) -> None:
    """Accept no compression."""


def accept(offers: Sequence[object]) -> PerMessageDeflateOfferAccept | None:
    """Accept the first offer of deflate, without context takeover.

    A server may do without and forbid it to a client that did not ask for that
    (RFC 7692, section 7.1.1); Autobahn wants to see it in the offer.
    """
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            offer.accept_no_context_takeover = True
            offer.request_no_context_takeover = True
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=True,
                no_context_takeover=True,
                mem_level=_MEMORY_LEVEL,
            )
    return None


def deflate(payload: bytes, window_bits: int) -> bytes | None:
    """Return a message compressed; None if that is not worth it."""
    if len(payload) < _WORTH_IT_BYTES:
        return None
    compressor = zlib.compressobj(
        zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -window_bits, _MEMORY_LEVEL
    )
    whole = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(_TRAILER)


class Deflation:
    """What Autobahn asks to decompress a connection's messages.

    In place of Autobahn's own, which keeps the last message's window, and cuts a
    message off that is up to 258 bytes too long instead of refusing it.
    """

    EXTENSION_NAME: Final = NAME
    __slots__ = ("_inflater", "window_bits")

    def __init__(self, window_bits: int) -> None:
        self.window_bits = window_bits
        self._inflater: Any = None

    def start_decompress_message(self) -> None:
        """Begin with a message."""
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def decompress_message_data(self, data: bytes, max_output_len: int) -> bytes:
        """Return what ``data`` means, which may be ``max_output_len`` bytes.

        One byte more is asked for, since what fits exactly looks like what does not.
        """
        try:
            found: bytes = self._inflater.decompress(data, max(0, max_output_len) + 1)
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error
        if len(found) > max_output_len:
            raise PayloadExceededError("too long when it is decompressed")
        return found

    def end_decompress_message(self) -> None:
        """Check that the message is complete, and forget its window."""
        inflater, self._inflater = self._inflater, None
        try:
            inflater.decompress(_TRAILER, 1)
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error
