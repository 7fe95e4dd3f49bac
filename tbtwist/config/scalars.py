"""YAML's rules for plain values, and ``${VAR}`` in any string (contract §6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import yaml
from typing_extensions import override

PlainValue = None | bool | int | float | str

_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")
_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = {_TAG + name for name in ("str", "value", "merge", "timestamp")}
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_CONSTRUCT: Final[Mapping[str, Callable[[yaml.ScalarNode], PlainValue]]] = {
    _TAG + "null": _CONSTRUCTOR.construct_yaml_null,
    _TAG + "bool": _CONSTRUCTOR.construct_yaml_bool,
    _TAG + "int": _CONSTRUCTOR.construct_yaml_int,
    _TAG + "float": _CONSTRUCTOR.construct_yaml_float,
}


@attrs.define(eq=False)
class CannotType(Exception):
    """YAML's rules make no value of this text."""

    expected: str

    @override
    def __str__(self) -> str:
        """Return what was expected."""
        return self.expected


def typed(tag: str, text: str) -> PlainValue:
    """Return the value of a scalar; dates stay text, nothing else is constructed.

    Raises:
        CannotType: the tag is unknown, or its kind cannot be made of ``text``.
    """
    if tag in _TEXT_TAGS:
        return text
    construct = _CONSTRUCT.get(tag)
    if construct is None:
        raise CannotType("expected no tag here")
    try:
        return construct(yaml.ScalarNode(tag, text))
    except (ValueError, LookupError, OverflowError):
        kind = tag.removeprefix(_TAG)
        raise CannotType(f"expected what YAML reads as {kind}") from None


def resolve(text: str) -> PlainValue:
    """Return what an unquoted ``text`` is by YAML's rules; CannotType as `typed`."""
    resolver = yaml.resolver.Resolver()
    return typed(resolver.resolve(yaml.ScalarNode, text, (True, False)), text)


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the variables that ``text`` asks for."""
    return tuple(found[1] for found in _PLACEHOLDER.finditer(text))


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Return ``text`` with ``${VAR}`` and ``${VAR:default}`` replaced.

    A variable that is not set has its default, or the empty string (R6.1). What
    comes out of a variable is not looked through again.
    """

    def value(found: re.Match[str]) -> str:
        return environ.get(found[1], found[2] or "")

    return _PLACEHOLDER.sub(value, text)
