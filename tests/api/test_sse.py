"""The text of Server-Sent Events (R1.4)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.sse import event, events
from tbtwist.errors import PoolFull
from tests.api.answering import run

START = b'event: stream_start\ndata: {"id": "0"}\n\n'
END = b'event: stream_end\ndata: {"id": "final"}\n\n'


def received(text: bytes) -> list[tuple[str, str]]:
    """Return the events (name, data) that a browser would dispatch for ``text``."""
    found, name, data = [], "message", list[str]()
    for line in re.split(r"\r\n|\r|\n", text.decode()):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line and data:
            found.append((name, "\n".join(data)))
            name, data = "message", []
    return found


class TextTests(SynchronousTestCase):
    """One item."""

    def test_table(self) -> None:
        """Each kind of item has the text that ToolBoxV2 gives it."""
        rows: list[tuple[Any, bytes]] = [
            ("hi", b"data: hi\n\n"),
            ("a\nb", b"data: a\ndata: b\n\n"),
            ("", b"\n\n"),
            (5, b"data: 5\n\n"),
            (None, b"data: null\n\n"),
            ({"a": 1}, b'data: {"a": 1}\n\n'),
            ([1, 2], b"data: [1, 2]\n\n"),
            ('{"a": 1}', b'data: {"a": 1}\n\n'),
            ("{broken", b"data: {broken\n\n"),
            (b"bytes", b"data: bytes\n\n"),
            (b"\xff\x00", b"event: binary\ndata: /wA=\n\n"),
            ({"event": "e", "data": "x"}, b"event: e\ndata: x\n\n"),
            (
                {"event": "e", "id": 7, "data": {"k": 1}},
                b'event: e\nid: 7\ndata: {"k": 1}\n\n',
            ),
            ({"event": "e", "id": "", "data": 5}, b"event: e\nid: \ndata: 5\n\n"),
            ({"event": "e"}, b'event: e\ndata: {"event": "e"}\n\n'),
            ({"event": "", "data": "x"}, b"data: x\n\n"),
            ('{"event": "e", "data": "x"}', b"event: e\ndata: x\n\n"),
            ("event: e\ndata: x\n\n", b"event: e\ndata: x\n\n"),
            ("data: x\n\n", b"data: x\n\n"),
            ("data: unfinished", b"data: data: unfinished\n\n"),
        ]
        for item, text in rows:
            self.assertEqual(event(item), text, item)

    @given(st.text())
    def test_text_arrives(self, text: str) -> None:
        """Text comes out as it went in, line by line, whatever is in it."""
        if text.lstrip().startswith(("{", "data:", "event:")):
            return
        got = received(event(text))
        lines = re.split(r"\r\n|\r|\n", text)
        if lines[-1] == "":
            lines.pop()
        self.assertEqual(got, [("message", "\n".join(lines))] if lines else [])

    @given(st.dictionaries(st.text(max_size=3), st.text(max_size=9) | st.integers()))
    def test_objects_arrive(self, value: dict[str, Any]) -> None:
        """A mapping is its JSON, in one event."""
        if "event" not in value:
            ((name, data),) = received(event(value))
            self.assertEqual((name, json.loads(data)), ("message", value))

    @given(st.text(max_size=9), st.text(max_size=9), st.text(min_size=1, max_size=9))
    def test_nothing_is_smuggled(self, name: str, number: str, data: str) -> None:
        """No name, id or data starts an event or a field of its own."""
        text = event({"event": name, "id": number, "data": data}).decode()
        fields = {line.partition(":")[0] for line in re.split(r"\r\n|\r|\n", text)}
        self.assertLessEqual(fields, {"event", "id", "data", ""})
        self.assertEqual(len(re.findall(r"(?m)^event:", text)), 1 if name else 0)

    def test_odd_values(self) -> None:
        """What JSON does not know becomes text; nothing raises."""
        self.assertEqual(event({"a": {1, 2}}), b'data: {"a": [1, 2]}\n\n')


async def of(*items: Any) -> AsyncGenerator[Any, None]:
    """Yield ``items``; raise those that are exceptions."""
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


async def text_of(items: AsyncGenerator[Any, None]) -> bytes:
    """Return the whole text."""
    return b"".join([piece async for piece in events(items)])


class StreamTests(SynchronousTestCase):
    """A whole stream."""

    def test_begin_and_end(self) -> None:
        """It begins and ends with the events that clients wait for."""
        self.assertEqual(run(text_of(of())), START + END)
        self.assertEqual(run(text_of(of("x"))), START + b"data: x\n\n" + END)

    def test_failure(self) -> None:
        """An exception becomes an event that says nothing about us, and is logged."""
        text = run(text_of(of("x", RuntimeError("hunter2"))))
        error = (
            b'event: error\ndata: {"message": "Internal error", "traceback": ""}\n\n'
        )
        self.assertEqual(text, START + b"data: x\n\n" + error + END)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_our_own_failures(self) -> None:
        """Our own errors are sentences for clients."""
        text = run(text_of(of(PoolFull())))
        self.assertIn(b"Every thread", text)
        self.flushLoggedErrors(PoolFull)
