"""From what a client sent to what a function's annotations ask for (contract §9).

Query strings and forms carry only text, JSON carries more; both end up as the
same Python values. What an annotation means is worked out once, when the function
is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import msgspec
from msgspec import inspect as shapes

from tbtwist.errors import BadArgument

Convert = Callable[[str, Any], Any]
"""Takes a parameter's name and what was sent for it."""

_LISTS: Final = (
    shapes.ListType,
    shapes.SetType,
    shapes.FrozenSetType,
    shapes.VarTupleType,
    shapes.TupleType,
)
_OBJECTS: Final = (
    shapes.DictType,
    shapes.StructType,
    shapes.DataclassType,
    shapes.TypedDictType,
    shapes.NamedTupleType,
)
_OPAQUE: Final = (shapes.AnyType, shapes.CustomType)
_WORDS: Final = {"on": True, "yes": True, "off": False, "no": False}


def converter(annotation: Any) -> Convert | None:
    """Return how to convert for ``annotation``; None: take it as it comes.

    Raises:
        TypeError: the annotation is of no kind that can be converted to.
    """
    kinds = _kinds(annotation)
    if any(isinstance(kind, _OPAQUE) for kind in kinds):
        return None
    return _Conversion(annotation, _Traits.of(kinds))


def _kinds(annotation: Any) -> tuple[shapes.Type, ...]:
    shape = shapes.type_info(annotation)
    while isinstance(shape, shapes.Metadata):
        shape = shape.type
    return shape.types if isinstance(shape, shapes.UnionType) else (shape,)


@attrs.frozen
class _Traits:
    """What a type accepts, as far as text must be read differently for it."""

    text: bool
    number: bool
    null: bool
    truth: bool
    many: bool
    structured: bool

    @classmethod
    def of(cls, kinds: tuple[shapes.Type, ...]) -> _Traits:
        def has(*wanted: type) -> bool:
            return any(isinstance(kind, wanted) for kind in kinds)

        return cls(
            text=has(shapes.StrType),
            number=has(shapes.IntType, shapes.FloatType),
            null=has(shapes.NoneType),
            truth=has(shapes.BoolType),
            many=has(*_LISTS),
            structured=has(*_OBJECTS),
        )


@attrs.frozen
class _Conversion:
    annotation: Any
    traits: _Traits

    def __call__(self, name: str, value: Any) -> Any:
        try:
            return msgspec.convert(
                self._prepared(value),
                self.annotation,
                strict=False,
                from_attributes=True,
            )
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadArgument(name, str(error)) from error

    def _prepared(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if self.traits.text else self._from_text(value)
        wants_text = self.traits.text and not self.traits.number
        return str(value) if wants_text and type(value) in (int, float) else value

    def _from_text(self, text: str) -> Any:
        traits = self.traits
        if traits.null and text == "":
            return None
        if traits.truth and text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if traits.structured or (traits.many and text.lstrip().startswith("[")):
            return _from_json(text)
        return [text] if traits.many else text


def _from_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except UnicodeEncodeError as error:
        msg = "it is not valid Unicode"
        raise msgspec.ValidationError(msg) from error


def spread(kwargs: Mapping[str, Any], names: Mapping[str, object]) -> dict[str, Any]:
    """Return ``kwargs`` with what a client nested in ``data`` for ``names`` (R8.3).

    ``request`` is never taken from there: it says who calls.
    """
    nested = kwargs.get("data")
    if "data" in names or not isinstance(nested, Mapping):
        return dict(kwargs)
    fitting = {
        name: nested[name] for name in nested if name in names and name != "request"
    }
    return {**fitting, **kwargs}
