"""From a node of the file, or a variable's text, to a value that the schema allows."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs
import msgspec
from msgspec import inspect

from tbtwist.config.catalog import SECRETS, Field
from tbtwist.config.expectations import fits, in_words
from tbtwist.config.findings import Findings, Place, shown
from tbtwist.config.nodes import Items, Node, Scalar, Table
from tbtwist.config.scalars import (
    CannotType,
    PlainValue,
    placeholders,
    resolve,
    substitute,
)

NOT_GIVEN: Final = msgspec.UNSET
"""What an empty value is: the default stays."""


@attrs.frozen
class Slot:
    """Where a value goes: its name in messages, its type, and whether to hush it up."""

    key: str
    type: Any
    secret: bool

    @classmethod
    def of(cls, field: Field) -> Slot:
        """Return the slot of a whole field."""
        return cls(field.key, field.type, field.key in SECRETS)

    def element(self, name: str, type_: Any) -> Slot:
        """Return the slot of one element."""
        return Slot(self.key + name, type_, self.secret)


@attrs.frozen
class Values:
    """Reads values, and tells ``findings`` of those that cannot be used."""

    environ: Mapping[str, str]
    findings: Findings

    def from_node(self, node: Node, slot: Slot) -> object:
        """Return the value of ``node``, or NOT_GIVEN if it is empty or wrong."""
        match node:
            case Scalar():
                return self._from_scalar(node, slot)
            case Items():
                return self._from_items(node, slot)
            case Table():
                return self._from_table(node, slot)

    def from_text(self, text: str, slot: Slot, place: Place) -> object:
        """Return the value of a variable's ``text``, or NOT_GIVEN if it is wrong."""
        said = "" if slot.secret else f", not '{shown(text)}'"
        return self._checked(_typed_for(text, slot.type), slot, place, said)

    def _from_scalar(self, node: Scalar, slot: Slot) -> object:
        names = placeholders(node.text) if isinstance(node.value, str) else ()
        if not names:
            return self._from_literal(node, slot)
        text = substitute(node.text, self.environ)
        if text == "":
            return NOT_GIVEN
        said = f", not what ${{{names[0]}}} gives"
        return self._checked(_typed_for(text, slot.type), slot, node.place, said)

    def _from_literal(self, node: Scalar, slot: Slot) -> object:
        if node.value is None:
            return NOT_GIVEN
        said = "" if slot.secret else f", not {_described(node)}"
        if _is_text(slot.type) and not isinstance(node.value, str):
            said += "; put it in quotes"
        return self._checked(node.value, slot, node.place, said)

    def _from_items(self, node: Items, slot: Slot) -> object:
        if typing.get_origin(slot.type) is not tuple:
            return self._wrong(slot, node.place, ", not a list")
        kind = typing.get_args(slot.type)[0]
        read = [
            self.from_node(item, slot.element(f"[{index}]", kind))
            for index, item in enumerate(node.items)
        ]
        return tuple(value for value in read if value is not NOT_GIVEN)

    def _from_table(self, node: Table, slot: Slot) -> object:
        if not _is_mapping(slot.type):
            return self._wrong(slot, node.place, ", not a mapping")
        name, kind = typing.get_args(slot.type)
        read = {}
        for pair in node.pairs:
            inner = slot.element(f".{pair.key}", kind)
            if fits(pair.key, name):
                read[pair.key] = self.from_node(pair.node, inner)
            else:
                said = f", not '{shown(pair.key)}'"
                self._wrong(attrs.evolve(inner, type=name), pair.place, said)
        return {key: value for key, value in read.items() if value is not NOT_GIVEN}

    def _checked(self, value: object, slot: Slot, place: Place, said: str) -> object:
        value = _canonical(value, slot.type)
        if isinstance(value, str) and not (slot.secret or value.isprintable()):
            return self._wrong(slot, place, " in one line, without control characters")
        if not fits(value, slot.type):
            return self._wrong(slot, place, said)
        return msgspec.convert(value, slot.type)

    def _wrong(self, slot: Slot, place: Place, said: str) -> object:
        expected = f"expected {in_words(slot.type)}{said}"
        self.findings.problem(place, shown(slot.key), expected)
        return NOT_GIVEN


def _typed_for(text: str, type_: Any) -> object:
    """Return ``text`` from outside the file as what a value of ``type_`` would be.

    Text stays text, a list is separated by commas (R6.1), everything else is
    typed by YAML's rules; ``1`` and ``0`` are true and false as well.
    """
    if _is_text(type_) or typing.get_origin(type_) is Literal:
        return text
    if typing.get_origin(type_) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    value = _resolved(text.strip())
    if bool in {type_, *typing.get_args(type_)} and value in {0, 1}:
        return bool(value)
    return value


def _is_text(type_: Any) -> bool:
    """Whether ``type_`` is ``str``, with a pattern or without."""
    return isinstance(inspect.type_info(type_), inspect.StrType)


def _resolved(text: str) -> PlainValue:
    try:
        return resolve(text)
    except CannotType:
        return text


def _canonical(value: object, type_: Any) -> object:
    """Return one of several choices as the schema spells it (``info`` → ``INFO``)."""
    if typing.get_origin(type_) is not Literal or not isinstance(value, str):
        return value
    choices = {choice.lower(): choice for choice in typing.get_args(type_)}
    return choices.get(value.lower(), value)


def _is_mapping(type_: Any) -> bool:
    origin = typing.get_origin(type_)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _described(node: Scalar) -> str:
    if isinstance(node.value, str):
        return f"the text '{shown(node.text)}'"
    return shown(node.text)
