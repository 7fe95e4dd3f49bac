"""W3C Trace Context as values, and the trace that code works under."""

from __future__ import annotations

import re
from contextvars import copy_context
from typing import Any

from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import tbtwist
from tbtwist.events import Event, Item
from tbtwist.tracing import (
    CURRENT,
    MAX_STATE,
    Trace,
    awaited_within,
    continued,
    current_trace,
    use_trace,
    within,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
MEMBER = re.compile(r"[a-z]{1,60}=[a-z]{1,60}", re.ASCII)
TRACE = Trace(TRACE_ID, SPAN_ID, sampled=True)


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    """Return numbers of so many digits, without zero."""
    return st.integers(1, 16**digits - 1).map(lambda n: f"{n:0{digits}x}")


class ParseTests(SynchronousTestCase):
    """The two headers, read as the W3C says."""

    def test_example(self) -> None:
        """The recommendation's own example."""
        self.assertEqual(Trace.parse(PARENT), TRACE)
        self.assertEqual(
            Trace.parse(PARENT[:-2] + "00"), Trace(TRACE_ID, SPAN_ID, sampled=False)
        )

    @given(hexadecimal(32), hexadecimal(16), st.booleans())
    def test_there_and_back(self, trace_id: str, span_id: str, sampled: bool) -> None:
        """What is written is read again as it was."""
        trace = Trace(trace_id, span_id, sampled)
        self.assertEqual(Trace.parse(trace.traceparent), trace)

    @given(st.one_of(st.text(max_size=80), st.from_regex(r"[0-9a-f-]{50,60}")))
    def test_anything(self, text: str) -> None:
        """No text breaks it, and what it takes can be passed on."""
        trace = Trace.parse(text)
        if trace is not None:
            self.assertEqual(trace.traceparent[3:52], text[3:52])
            self.assertEqual(Trace.parse(trace.traceparent), trace)

    @given(st.integers(0, len(PARENT) - 1), st.characters(codec="utf-8"))
    def test_one_wrong_character(self, index: int, character: str) -> None:
        """Upper case, other digits, other separators: nothing is guessed."""
        text = PARENT[:index] + character + PARENT[index + 1 :]
        good = re.fullmatch(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", text)
        self.assertEqual(
            Trace.parse(text) is not None,
            bool(good and good.group().isascii() and not text.startswith("ff")),
        )

    def test_no_good(self) -> None:
        """Ids of zeros, version ff, and anything too short or too long for 00."""
        for text in (
            "",
            PARENT.upper(),
            f" {PARENT}",
            f"{PARENT}\n",
            PARENT[:-1],
            f"{PARENT}-",
            f"{PARENT}-what-else",
            f"{PARENT}0",
            f"{PARENT}, {PARENT}",
            f"ff{PARENT[2:]}",
            f"00-{'0' * 32}-{SPAN_ID}-01",
            f"00-{TRACE_ID}-{'0' * 16}-01",
        ):
            self.assertIsNone(Trace.parse(text), text)
            self.assertIsNone(continued(text))

    def test_later_versions(self) -> None:
        """What a later version adds behind a dash is not for us to judge."""
        for text in (f"01{PARENT[2:]}", f"cc{PARENT[2:]}-", f"01{PARENT[2:]}-x-\n"):
            self.assertEqual(Trace.parse(text), TRACE, text)
        self.assertIsNone(Trace.parse(f"01{PARENT[2:]}x"))

    def test_flags(self) -> None:
        """Of the flags only "sampled" is known, and no other is passed on."""
        for flags, passed_on in (("ff", "01"), ("fe", "00"), ("09", "01")):
            trace = Trace.parse(PARENT[:-2] + flags)
            assert trace is not None
            self.assertEqual(trace.traceparent[-2:], passed_on)

    def test_state(self) -> None:
        """What other systems want carried is carried as it is."""
        for state in ("", "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "a=1,\tb=2"):
            trace = Trace.parse(PARENT, state)
            assert trace is not None
            self.assertEqual(trace.state, state)

    @given(st.lists(st.from_regex(MEMBER, fullmatch=True), max_size=40))
    def test_long_state(self, members: list[str]) -> None:
        """Too long a state loses its last members, whole."""
        trace = Trace.parse(PARENT, ",".join(members))
        assert trace is not None
        kept = trace.state.split(",") if trace.state else []
        self.assertLessEqual(len(trace.state), MAX_STATE)
        self.assertEqual(kept, members[: len(kept)])
        if len(kept) < len(members):
            more = ",".join(members[: len(kept) + 1])
            self.assertGreater(len(more), MAX_STATE)

    def test_unusable_state(self) -> None:
        """A state that no header can carry, or one endless member, is left out."""
        for state in ("a=ä", "a=\x00", "a=1\r\nb=2", "a=" + "x" * MAX_STATE):
            trace = Trace.parse(PARENT, state)
            assert trace is not None
            self.assertEqual(trace.state, "")


class ChildTests(SynchronousTestCase):
    """Spans of our own."""

    def test_child(self) -> None:
        """A child has a span of its own, and all else of its parent."""
        parent = Trace(TRACE_ID, SPAN_ID, sampled=True, state="a=1")
        child = parent.child(lambda size: b"\xab" * size)
        self.assertEqual(child, Trace(TRACE_ID, "ab" * 8, True, "a=1", SPAN_ID))
        self.assertEqual(child.parent, parent)
        self.assertIsNone(parent.parent)
        self.assertEqual(continued(PARENT, "a=1", lambda size: b"\xab" * size), child)

    def test_never_zero(self) -> None:
        """A span's id is not zero, whatever chance says."""
        chance = [b"\0" * 8, b"\0" * 8, b"\1" * 8]
        self.assertEqual(TRACE.child(lambda _: chance.pop(0)).span_id, "01" * 8)

    def test_different(self) -> None:
        """Children differ."""
        self.assertEqual(len({TRACE.child().span_id for _ in range(100)}), 100)


class ContextTests(SynchronousTestCase):
    """The trace that code works under."""

    def test_public(self) -> None:
        """Applications find it under the package's own names."""
        with tbtwist.use_trace(tbtwist.Trace.parse(PARENT)):
            self.assertEqual(tbtwist.current_trace(), TRACE)
        self.assertIsNone(tbtwist.current_trace())

    def test_block(self) -> None:
        """A block ends, also by an exception, and blocks nest."""

        def fail() -> None:
            with use_trace(TRACE):
                with use_trace(None):
                    self.assertIsNone(current_trace())
                self.assertIs(current_trace(), TRACE)
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, fail)
        self.assertIsNone(current_trace())

    def test_within(self) -> None:
        """A function is called under a trace, and its caller is not."""
        self.assertIs(within(TRACE, current_trace), TRACE)
        self.assertIsNone(current_trace())
        with use_trace(TRACE):
            self.assertIsNone(within(None, current_trace))

    def test_no_trace_costs_nothing(self) -> None:
        """Where nothing changes, no context is made."""
        contexts: list[Any] = []
        before = copy_context()
        within(None, lambda: contexts.append(copy_context()))
        self.assertEqual(dict(contexts[0]), dict(before))

        async def handler() -> None:
            """Do nothing."""

        plain = awaited_within(None, handler)
        self.assertNotIsInstance(plain, Deferred)
        self.successResultOf(Deferred.fromCoroutine(_awaited(plain)))

    def test_coroutine(self) -> None:
        """A coroutine is under its trace from its start to its end."""
        waiting: Deferred[None] = Deferred()
        seen = []

        async def handler() -> str:
            seen.append(current_trace())
            await waiting
            seen.append(current_trace())
            return "done"

        running = Deferred.fromCoroutine(_awaited(awaited_within(TRACE, handler)))
        self.assertIsNone(current_trace())
        other = Trace(TRACE_ID, "1" * 16)
        within(other, waiting.callback, None)
        self.assertEqual(self.successResultOf(running), "done")
        self.assertEqual(seen, [TRACE, TRACE])
        self.assertIsNone(CURRENT.get())


async def _awaited(something: Any) -> Any:
    return await something


class EventTests(SynchronousTestCase):
    """Events on the bus."""

    def test_none(self) -> None:
        """Without a trace an event stays what it is."""
        item = Item(Event(type="custom"), b"x")
        self.assertIs(item.traced(None), item)
        self.assertIs(item.event.traced(None), item.event)
        self.assertIsNone(item.event.continued())

    def test_carried(self) -> None:
        """Whoever handles an event has a span of their own in the same trace."""
        trace = Trace(TRACE_ID, SPAN_ID, sampled=True, state="a=1")
        item = Item(Event(type="custom", payload={"a": 1}), b"x").traced(trace)
        self.assertEqual((item.event.payload, item.body), ({"a": 1}, b"x"))
        handled = item.event.continued()
        assert handled is not None
        self.assertEqual(
            handled, Trace(TRACE_ID, handled.span_id, True, "a=1", SPAN_ID)
        )
        self.assertNotEqual(handled.span_id, SPAN_ID)

    def test_nonsense(self) -> None:
        """What is no trace is none."""
        self.assertIsNone(Event(type="x", traceparent="nonsense").continued())
