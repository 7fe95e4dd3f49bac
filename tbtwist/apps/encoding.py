"""What leaves an application, as JSON for clients and as values for the bus.

Nothing an application returns or sends makes either raise. Dates, decimals, UUIDs,
sets, dataclasses, enums and structs have their usual form, whatever else is in the
same value; what has no form becomes its text. NaN is null in JSON, and bytes are
Base64; the bus carries both as they are.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Set
from typing import Any, Final

import attrs
import msgspec

MAX_DEPTH: Final = 100
"""How deep a value is looked into that cannot be written in one go."""

_TROUBLE: Final = (
    *(TypeError, ValueError, RecursionError, OverflowError, AttributeError),
    msgspec.MsgspecError,
)
_SEVERAL: Final = list | tuple | Set | deque
_BINARY: Final = (bytes, bytearray, memoryview)
_WORDS: Final[Mapping[object, str]] = {None: "null", True: "true", False: "false"}


def to_json(value: object) -> bytes:
    """Return compact JSON."""
    try:
        return _json.encode(value)
    except _TROUBLE:
        return _json.encode(_Taker(_json_whole).take(value, MAX_DEPTH))


def to_plain(value: object) -> Any:
    """Return what the bus can carry: dicts, lists, text, bytes and numbers."""
    try:
        return _plain_whole(value)
    except _TROUBLE:
        return _Taker(_plain_whole).take(value, MAX_DEPTH)


def text_of(value: object) -> str:
    """Return the text of any object, also of one whose ``__str__`` fails."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - foreign code; its type's name still helps
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode("utf-8")


def _foreign(value: object) -> Any:
    """Return something known for an object that msgspec does not know.

    None and booleans are known, so they are keys here.
    """
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, _SEVERAL) else text_of(value)


_json: Final = msgspec.json.Encoder(enc_hook=_foreign)
_pack: Final = msgspec.msgpack.Encoder().encode


def _json_whole(value: object) -> Any:
    return msgspec.Raw(_json.encode(value))


def _plain_whole(value: object) -> Any:
    built = msgspec.to_builtins(
        value, builtin_types=_BINARY, str_keys=True, enc_hook=_foreign
    )
    _pack(built)
    return built


@attrs.define
class _Taker:
    """Takes a value apart as far as needed: ``whole`` takes what it can in one go."""

    whole: Callable[[object], Any]
    _within: set[int] = attrs.Factory(set)

    def take(self, value: object, depth: int) -> Any:
        """Return ``value`` with everything in it in a form that is known."""
        parts: object = value
        if not isinstance(value, Mapping | _SEVERAL):
            try:
                return self.whole(value)
            except _TROUBLE:
                parts = _fields(value)
        return text_of(value) if parts is None else self._inside(value, parts, depth)

    def _inside(self, value: object, parts: Any, depth: int) -> Any:
        if depth == 0 or id(value) in self._within:
            return f"<{type(value).__name__}>"
        self._within.add(id(value))
        try:
            if isinstance(parts, Mapping):
                return {_key(k): self.take(v, depth - 1) for k, v in parts.items()}
            return [self.take(part, depth - 1) for part in parts]
        finally:
            self._within.discard(id(value))


def _key(key: object) -> str:
    """Return a key as JSON has it."""
    if not isinstance(key, str):
        try:
            return str(next(iter(msgspec.json.decode(_json.encode({key: 0})))))
        except _TROUBLE:
            pass
    return text_of(key)


def _fields(value: object) -> Mapping[str, Any] | None:
    """Return the fields of a dataclass or the like; None for anything else."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        names = {field.name: field.name for field in dataclasses.fields(kind)}
    elif attrs.has(kind):
        public = (f.name for f in attrs.fields(kind) if not f.name.startswith("_"))
        names = {name: name for name in public}
    elif issubclass(kind, msgspec.Struct):
        encoded = zip(
            kind.__struct_fields__, kind.__struct_encode_fields__, strict=True
        )
        names = dict(encoded)
    else:
        return None
    return {as_: getattr(value, n) for n, as_ in names.items() if hasattr(value, n)}
