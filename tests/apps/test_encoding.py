"""JSON comes out whatever an application returns."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import math
import uuid
from collections import deque
from enum import Enum
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.encoding import MAX_DEPTH, to_json, to_plain


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: Any


@attrs.frozen
class Size:
    """An attrs class."""

    w: Any


class Tagged(msgspec.Struct, rename="camel"):
    """A struct whose field has another name outside."""

    some_thing: Any


class Colour(Enum):
    """An enum."""

    RED = "red"


class Rude:
    """An object that cannot even be shown."""

    def __str__(self) -> str:
        msg = "no"
        raise RuntimeError(msg)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
odd = st.recursive(
    st.none()
    | st.text(st.characters(exclude_categories=[]))
    | st.floats()
    | st.complex_numbers()
    | st.binary()
    | st.datetimes()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.just(Rude())
    | st.just(object),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.binary(), inner)
    ),
)


class ToJsonTests(SynchronousTestCase):
    """Every value has a form."""

    @given(json_values)
    def test_json_is_json(self, value: Any) -> None:
        """What JSON can say comes through unchanged, compactly."""
        self.assertEqual(json.loads(to_json(value)), value)

    @given(odd)
    def test_never_raises(self, value: Any) -> None:
        """Odd values become something readable; the answer is always JSON."""
        json.loads(to_json({"data": value}))

    def test_usual_forms(self) -> None:
        """Dates, decimals, UUIDs, sets, dataclasses and enums look as expected."""
        number = uuid.UUID(int=1)
        rows: list[tuple[Any, bytes]] = [
            ({"a": [1, "x"]}, b'{"a":[1,"x"]}'),
            (dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), b'"2026-01-02T03:00:00Z"'),
            (decimal.Decimal("1.50"), b'"1.50"'),
            (number, f'"{number}"'.encode()),
            ({1}, b"[1]"),
            (Point(1), b'{"x":1}'),
            (Size(2), b'{"w":2}'),
            (Colour.RED, b'"red"'),
            (1 + 2j, b'"(1+2j)"'),
            (float("nan"), b"null"),
            (Rude(), b'"<Rude>"'),
            ({None: 1, True: 2, 3: 4, 1.5: 5}, b'{"null":1,"true":2,"3":4,"1.5":5}'),
            ({(1, 2): 3}, b'{"(1, 2)":3}'),
            (MappingProxyType({"a": deque([1])}), b'{"a":[1]}'),
            (2**70, b"1180591620717411303424"),
            (b"\xff", b'"/w=="'),
            ("\ud800", b'"?"'),
        ]  # fmt: skip
        for value, expected in rows:
            self.assertEqual(to_json(value), expected, value)

    def test_odd_neighbours(self) -> None:
        """A value looks the same whatever else is there."""
        for value in (
            *(
                dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
                dt.timedelta(1),
                b"x",
                Point(1),
                Size(2),
            ),
            *(Colour.RED, {1}, decimal.Decimal("1.50"), Tagged(1), float("nan")),
            *({2: 3, None: 4}, MappingProxyType({"a": 1}), Size([Point(3)])),
        ):
            alone = json.loads(to_json(value))
            for odd in ({(1,): 2}, "\ud800", [Point(Rude())], _looped()):
                beside = json.loads(to_json({"it": value, "odd": odd}))
                self.assertEqual(beside["it"], alone, value)
                within = json.loads(to_json(Size([value, odd])))
                self.assertEqual(within["w"][0], alone, value)

    def test_a_value_that_contains_itself(self) -> None:
        """A list inside of itself ends there, at once, however often it is in it."""
        self.assertEqual(to_json(_looped()), b'["<list>","<list>"]')
        point = Point(0)
        point.x = {"me": point}
        self.assertEqual(to_json(point), b'{"x":{"me":"<Point>"}}')

    def test_depth(self) -> None:
        """What is nested without end is cut, and what is in it as far as that is not."""
        value: Any = "bottom"
        for _ in range(100_000):
            value = [value]
        text = to_json({"deep": value, "other": {1}})
        self.assertIn(b"[" * (MAX_DEPTH - 1) + b'"<list>"', text)
        self.assertIn(b'"other":[1]', text)


class ToPlainTests(SynchronousTestCase):
    """What the bus carries."""

    @given(odd)
    def test_always_travels(self, value: Any) -> None:
        """Whatever it is, it can be written and read again."""
        plain = to_plain({"data": value})
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(plain))
        self.assertEqual(to_json(again), to_json(plain))

    @given(odd)
    def test_as_in_json(self, value: Any) -> None:
        """It looks as in JSON; numbers beyond 64 bits are text."""
        plain = to_plain({"data": value})
        self.assertEqual(
            json.loads(to_json(plain)), json.loads(to_json({"data": value}))
        )

    def test_its_own(self) -> None:
        """Bytes and NaN stay what they are, numbers that are too big become text."""
        self.assertEqual(to_plain([b"\0", bytearray(b"a")]), [b"\0", b"a"])
        self.assertTrue(math.isnan(to_plain({"x": float("nan")})["x"]))
        self.assertEqual(to_plain({"x": 2**70, "y": {1}}), {"x": str(2**70), "y": [1]})
        self.assertEqual(to_plain(_looped()), ["<list>", "<list>"])


def _looped() -> list[Any]:
    loop: list[Any] = []
    loop += [loop, loop]
    return loop
