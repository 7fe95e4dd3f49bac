"""JSON comes out whatever an application returns."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import uuid
from enum import Enum
from typing import Any

import attrs
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.encoding import to_json


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int


@attrs.frozen
class Size:
    """An attrs class."""

    w: int


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
            ({None: 1}, b'{"None":1}'),
            ("\ud800", b'"?"'),
        ]  # fmt: skip
        for value, expected in rows:
            self.assertEqual(to_json(value), expected, value)

    def test_a_value_that_contains_itself(self) -> None:
        """A list inside of itself ends somewhere."""
        loop: list[Any] = []
        loop.append(loop)
        json.loads(to_json(loop))
