"""JSON out, whatever an application returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_MAX_DEPTH: Final = 50


def to_json(value: object) -> bytes:
    """Return compact JSON; what JSON has no form for becomes its text.

    Dates, decimals, UUIDs, sets, dataclasses, enums and structs have their
    usual form. Nothing an application returns makes this raise.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return _encoder.encode(_plain(value, _MAX_DEPTH))


def _text(value: object) -> str:
    """Return the text of any object, also of one whose ``__str__`` fails."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - foreign code; its type's name still helps
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: object, depth: int) -> Any:
    """Return ``value`` as nothing but dicts, lists, strings and numbers."""
    if depth == 0:
        return _text(type(value).__name__)
    if isinstance(value, Mapping):
        return {_text(k): _plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(value)


_encoder: Final = msgspec.json.Encoder(enc_hook=_text)
