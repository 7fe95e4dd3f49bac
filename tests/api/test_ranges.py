"""Ranges select the bytes that they name, and nothing else."""

from __future__ import annotations

from hypothesis import example, given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.ranges import Span, Unsatisfiable, wanted

number = st.integers(0, 40)
spec = st.one_of(
    st.tuples(number, number).map(lambda p: (min(p), max(p))),
    st.tuples(number, st.none()),
    st.tuples(st.none(), number),
)
Spec = tuple[int | None, int | None]


def text_of(specs: list[Spec]) -> str:
    """Return a Range header."""
    parts = (f"{'' if a is None else a}-{'' if b is None else b}" for a, b in specs)
    return "bytes=" + ", ".join(parts)


def naive(content: bytes, spec: Spec) -> bytes:
    """Return what one range means, said in the simplest way."""
    first, last = spec
    if first is None:
        assert last is not None
        return content[-last:] if last else b""
    return content[first:] if last is None else content[first : last + 1]


class ArithmeticTests(SynchronousTestCase):
    """Against a naive slice."""

    @given(st.binary(min_size=1, max_size=40), spec)
    @example(b"x", (None, 0))
    @example(b"x", (0, 0))
    def test_one(self, content: bytes, one: Spec) -> None:
        """One range is the slice that it says, or there is no such byte."""
        expected = naive(content, one)
        got = wanted(text_of([one]), len(content))
        if not expected:
            self.assertEqual(got, Unsatisfiable())
            return
        assert isinstance(got, tuple)
        (span,) = got
        self.assertEqual(content[span.start : span.stop], expected)
        self.assertEqual(span.length, len(expected))

    @given(st.binary(min_size=1, max_size=40), st.lists(spec, min_size=1, max_size=16))
    def test_many(self, content: bytes, specs: list[Spec]) -> None:
        """Several ranges come in their order, those without a byte left out."""
        expected = [part for one in specs if (part := naive(content, one))]
        got = wanted(text_of(specs), len(content))
        if not expected:
            self.assertEqual(got, Unsatisfiable())
        elif sum(map(len, expected)) > len(content):
            self.assertIsNone(got)
        else:
            assert isinstance(got, tuple)
            self.assertEqual([content[s.start : s.stop] for s in got], expected)


class TextTests(SynchronousTestCase):
    """What stands in the header."""

    def test_not_understood(self) -> None:
        """Another unit, or what is malformed, means the whole."""
        rows = (
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=x-1",
            "bytes=2-1",
            "bytes=1-2,x",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=\u0661-\u0662",
            "items=0-1",
        )
        for header in rows:
            self.assertIsNone(wanted(header, 10), header)

    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """Whatever stands there, ranges stay within the content."""
        got = wanted(f"bytes={text}", 10)
        for span in got if isinstance(got, tuple) else ():
            self.assertTrue(0 <= span.start < span.stop <= 10)

    def test_many_are_an_attack(self) -> None:
        """More than 16 ranges are the whole, one time."""
        self.assertIsNone(wanted("bytes=" + ",".join(["0-0"] * 17), 100))
        self.assertIsNotNone(wanted("bytes=" + ",".join(["0-0"] * 16), 100))

    def test_nothing_to_select_from(self) -> None:
        """Of nothing there is no part; it is sent as it is."""
        self.assertIsNone(wanted("bytes=-5", 0))

    def test_huge(self) -> None:
        """Positions far behind the end do no harm."""
        self.assertEqual(wanted(f"bytes=5-{10**30}", 10), (Span(5, 10),))
        self.assertEqual(wanted(f"bytes={10**30}-", 10), Unsatisfiable())
        self.assertEqual(wanted(f"bytes=-{10**30}", 10), (Span(0, 10),))

    def test_content_range(self) -> None:
        """What is sent is named by its first and last byte, and by all there is."""
        self.assertEqual(Span(2, 5).content_range(10), "bytes 2-4/10")
