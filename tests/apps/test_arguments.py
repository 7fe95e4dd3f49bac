"""From what clients send to what functions ask for."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.arguments import converter, spread
from tbtwist.errors import BadArgument


@dataclass
class Point:
    """A data class."""

    x: int
    y: int = 0


class Item(msgspec.Struct):
    """A msgspec struct."""

    name: str
    tags: list[str] = []


@attrs.define
class Box:
    """An attrs class."""

    width: float


class Pair(NamedTuple):
    """A named tuple."""

    a: int
    b: int


class Options(TypedDict, total=False):
    """A typed dictionary."""

    deep: bool


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


class Opaque:
    """A class that nobody can convert to."""


def convert(annotation: Any, value: object) -> Any:
    """Convert ``value`` for a parameter called ``field``."""
    found = converter(annotation)
    assert found is not None
    return found("field", value)


class ScalarTests(SynchronousTestCase):
    """Numbers, truth and text."""

    def test_numbers(self) -> None:
        """Text becomes the number that it spells."""
        self.assertEqual(convert(int, "5"), 5)
        self.assertEqual(convert(int, "-5"), -5)
        self.assertEqual(convert(float, "2.5"), 2.5)
        self.assertEqual(convert(float, 2), 2.0)

    def test_truth(self) -> None:
        """The words of query strings and of HTML forms are understood."""
        for word in ("true", "TRUE", "1", "on", "yes", "On"):
            self.assertIs(convert(bool, word), True)
        for word in ("false", "False", "0", "off", "no"):
            self.assertIs(convert(bool, word), False)

    def test_text(self) -> None:
        """Text stays text, and a number sent as JSON for text is written out."""
        self.assertEqual(convert(str, "5"), "5")
        self.assertEqual(convert(str, 5), "5")
        self.assertEqual(convert(str, 2.5), "2.5")
        self.assertEqual(convert(str, ""), "")

    def test_unusable(self) -> None:
        """What does not fit is refused, with the field's name and the reason."""
        for annotation, value in (
            (int, "five"),
            (int, ""),
            (int, "9" * 5000),
            (int, ["1"]),
            (bool, "maybe"),
            (bool, 7),
            (str, None),
            (str, True),
            (float, "1e999"),
        ):
            with self.assertRaises(BadArgument) as caught:
                convert(annotation, value)
            self.assertEqual(caught.exception.field, "field")
            self.assertTrue(caught.exception.reason)

    def test_sentence(self) -> None:
        """The refusal reads as a sentence that names the field."""
        with self.assertRaises(BadArgument) as caught:
            convert(int, "five")
        self.assertEqual(str(caught.exception), "field: Expected `int`, got `str`.")

    def test_optional(self) -> None:
        """An empty field of a form is None where that is allowed."""
        self.assertIsNone(convert(int | None, ""))
        self.assertIsNone(convert(int | None, None))
        self.assertEqual(convert(int | None, "3"), 3)
        self.assertEqual(convert(str | None, ""), "")

    def test_literal(self) -> None:
        """Only the listed values pass."""
        self.assertEqual(convert(Literal["a", "b"], "a"), "a")
        self.assertEqual(convert(Literal[1, 2], "2"), 2)
        with self.assertRaises(BadArgument):
            convert(Literal["a", "b"], "c")

    def test_enum(self) -> None:
        """An enumeration's member is found by its value."""
        self.assertIs(convert(Color, "red"), Color.RED)

    def test_constraints(self) -> None:
        """A limit in the annotation is kept."""
        limited = Annotated[int, msgspec.Meta(ge=2)]
        self.assertEqual(convert(limited, "2"), 2)
        with self.assertRaises(BadArgument):
            convert(limited, "1")

    def test_described(self) -> None:
        """A description in the annotation changes nothing."""
        described = Annotated[int, msgspec.Meta(title="how many")]
        self.assertEqual(convert(described, "2"), 2)

    def test_either(self) -> None:
        """Where text is allowed too, text stays text."""
        self.assertEqual(convert(int | str, "5"), "5")
        self.assertEqual(convert(int | str, 5), 5)

    @given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
    def test_every_number(self, number: int) -> None:
        """Every 64 bit number survives the way through a query string."""
        self.assertEqual(convert(int, str(number)), number)

    @given(st.sampled_from([int, float, bool, list[int], Point, Pair]), st.text())
    def test_any_text(self, annotation: Any, text: str) -> None:
        """Whatever text comes, the answer is a value or a refusal."""
        try:
            convert(annotation, text)
        except BadArgument as refusal:
            self.assertEqual(refusal.field, "field")


class StructureTests(SynchronousTestCase):
    """Lists and objects."""

    def test_lists(self) -> None:
        """A repeated parameter is a list, a single one a list of one."""
        self.assertEqual(convert(list[int], ["1", "2"]), [1, 2])
        self.assertEqual(convert(list[int], "1"), [1])
        self.assertEqual(convert(list, "a"), ["a"])
        self.assertEqual(convert(set[int], ["1", "1"]), {1})
        self.assertEqual(convert(tuple[int, ...], "4"), (4,))

    def test_list_as_json(self) -> None:
        """A list can be sent as JSON text."""
        self.assertEqual(convert(list[int], " [1, 2]"), [1, 2])
        with self.assertRaises(BadArgument):
            convert(list[int], "[1, 2")

    def test_objects(self) -> None:
        """Data classes of every make come from JSON text or from an object."""
        for annotation, value, wanted in (
            (Point, {"x": "3"}, Point(3)),
            (Item, {"name": "a", "tags": ["b"]}, Item("a", ["b"])),
            (Box, {"width": 2}, Box(2.0)),
            (Pair, [1, 2], Pair(1, 2)),
            (Options, {"deep": True}, {"deep": True}),
            (dict[str, int], {"a": "1"}, {"a": 1}),
        ):
            self.assertEqual(convert(annotation, value), wanted)
            text = msgspec.json.encode(value).decode()
            self.assertEqual(convert(annotation, text), wanted)

    def test_where_in_the_object(self) -> None:
        """A refusal says where inside of an object the mistake is."""
        with self.assertRaises(BadArgument) as caught:
            convert(Point, {"x": "a"})
        self.assertIn("$.x", caught.exception.reason)

    def test_bad_json(self) -> None:
        """JSON that is none is refused, however broken or deep."""
        for text in ("", "{", "nope", "\ud800", '{"x":' * 50_000):
            with self.assertRaises(BadArgument):
                convert(Point, text)

    def test_deep_json(self) -> None:
        """Nesting cannot overflow the stack."""
        with self.assertRaises(BadArgument):
            convert(list, "[" * 100_000)

    def test_ready_values(self) -> None:
        """Calls from within may pass the objects themselves."""
        self.assertEqual(convert(Point, Point(3)), Point(3))
        self.assertEqual(convert(list[Point], [Point(3)]), [Point(3)])

    def test_optional_object(self) -> None:
        """An optional object is read like any other."""
        self.assertEqual(convert(Point | None, '{"x": 1}'), Point(1))
        self.assertIsNone(convert(Point | None, ""))


class OpaqueTests(SynchronousTestCase):
    """Annotations that say nothing about a client's data."""

    def test_passed_on(self) -> None:
        """A parameter of any other class gets what was sent."""
        for annotation in (
            Any,
            object,
            Opaque,
            Opaque | None,
            Callable[[], int],
            Iterable[int],
        ):
            self.assertIsNone(converter(annotation))

    def test_impossible(self) -> None:
        """An annotation that cannot be converted to is a TypeError at registration."""
        with self.assertRaises(TypeError):
            converter(Point | dict[str, int])


class SpreadTests(SynchronousTestCase):
    """Parameters that a client put into an object called data."""

    def test_fitting_keys(self) -> None:
        """Keys of data that the function has parameters for are taken."""
        self.assertEqual(
            spread({"data": {"a": 1, "z": 2}}, {"a": ..., "b": ...}),
            {"data": {"a": 1, "z": 2}, "a": 1},
        )

    def test_outer_wins(self) -> None:
        """What was sent directly counts."""
        spreaded = spread({"a": 5, "data": {"a": 1}}, {"a": ...})
        self.assertEqual(spreaded["a"], 5)

    def test_wanted_as_it_is(self) -> None:
        """A function with a parameter called data gets it whole."""
        kwargs = {"data": {"a": 1}}
        self.assertEqual(spread(kwargs, {"a": ..., "data": ...}), kwargs)

    def test_no_request_from_outside(self) -> None:
        """Nobody can pass off an object of their own as the request."""
        kwargs = {"data": {"request": "forged"}}
        self.assertEqual(spread(kwargs, {"request": ...}), kwargs)

    def test_other_data(self) -> None:
        """Data that is no object is nothing to spread."""
        self.assertEqual(spread({"data": "x"}, {"a": ...}), {"data": "x"})
