"""The schema's types in words: ``a whole number from 0 to 65535``."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import inspect

from tbtwist.config.patterns import IN_WORDS

LARGEST: Final = 2**31 - 1
"""No number in a configuration is meant to be larger than this."""


def in_words(type_: Any) -> str:
    """Return what a value of ``type_`` is, as it follows the word *expected*."""
    return _words(inspect.type_info(type_))


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.IntType(ge=low, le=high):
            return f"a whole number{_range(low, high)}"
        case inspect.FloatType(gt=low):
            return "a number" if low is None else f"a number greater than {low:g}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case _:
            return _structure(info)


def _structure(info: inspect.Type) -> str:
    match info:
        case inspect.VarTupleType():
            return "a list"
        case inspect.DictType():
            return "a mapping"
        case inspect.UnionType(types=types):
            given = [t for t in types if not isinstance(t, inspect.NoneType)]
            return " or ".join(_words(t) for t in given)
        case _:
            return (
                "true or false" if isinstance(info, inspect.BoolType) else _text(info)
            )


def _text(info: inspect.Type) -> str:
    pattern = info.pattern if isinstance(info, inspect.StrType) else None
    return IN_WORDS.get(pattern or "", "text")


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" from {low}" if high is None else f" from {low} to {high}"


def fits(value: object, type_: Any) -> bool:
    """Whether ``value`` is of ``type_``, constraints included, without conversion."""
    if isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        return False
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return False
    return True
