"""What a line of a log says."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.records import (
    MAX_RECORD_BYTES,
    as_json,
    encoded,
    parsed,
    readable,
    starts_record,
    with_source,
    wrapped,
)

SOURCE = {"worker": "ws-1", "role": "ws", "pid": 7}
_TEXTS = st.text(st.characters(), max_size=50)


class ReadingTests(SynchronousTestCase):
    """Lines of both kinds, for people and for programs."""

    def test_records(self) -> None:
        """A traceback's lines begin no record, nor does what only looks like JSON."""
        lines = ("2026-11-24T08:00:00.000Z info [x] a", '{"a":1}', "{ no", "  File")
        found = [starts_record(line) for line in lines]
        self.assertEqual(found, [True, True, False, False])

    def test_requests(self) -> None:
        """A request's record has no message; its fields are shown."""
        line = (
            '{"time":"T","level":"info","logger":"tbtwist.access","method":"GET",'
            '"path":"/a","status":200,"worker":"http-1","role":"http","pid":1}'
        )
        text = "T info [tbtwist.access] method=GET path=/a status=200"
        self.assertEqual(readable(line), text)

    def test_traces(self) -> None:
        """A record's trace is where it is, in both formats; there and back."""
        trace_id = "ab" * 16
        text = f"2026-11-24T08:00:00.000Z info [shop trace_id={trace_id}] sold [tea]"
        self.assertTrue(starts_record(text))
        (line,) = as_json([("http-1", text)])
        record = json.loads(line)
        self.assertEqual(
            (record["logger"], record["trace_id"], record["message"]),
            ("shop", trace_id, "sold [tea]"),
        )
        self.assertEqual(readable(line), text)

    def test_a_long_record_keeps_its_trace(self) -> None:
        """What is too long is cut, but can still be found."""
        many = {f"field-{n}": "x" * 100 for n in range(200)}
        record = json.loads(encoded({"time": "T", **many, "trace_id": "ab" * 16}))
        self.assertEqual(record, {"time": "T", "trace_id": "ab" * 16})

    def test_others(self) -> None:
        """Any other line is shown as it is."""
        for line in ("plain", '{"a": 1}', "{", '{"time":1,"level":2}', "{\udc80"):
            self.assertEqual(readable(line), line)

    def test_text_as_json(self) -> None:
        """Each worker's traceback stays with its record."""
        one = "2026-11-24T08:00:00.000Z error [a.b] oh"
        lines = [("a", "cut"), ("a", one), ("a", " x"), ("b", " y"), ("b", '{"z":1}')]
        lines += [("b", one.replace("oh", "bad:")), ("b", "{"), ("b", " 1}")]
        found = [json.loads(record) for record in as_json(lines)]
        about = {"time": one[:24], "level": "error", "logger": "a.b", "worker": "a"}
        self.assertEqual(
            found,
            [
                {"worker": "a", "message": "cut"},
                {**about, "message": "oh\n x"},
                {"worker": "b", "message": " y"},
                {"z": 1},
                {**about, "worker": "b", "message": "bad:\n{\n 1}"},
            ],
        )


class WritingTests(SynchronousTestCase):
    """Records are one line, whatever is in them."""

    @given(st.dictionaries(_TEXTS, _TEXTS | st.integers() | st.floats(), max_size=5))
    def test_encoded(self, fields: dict[str, object]) -> None:
        """They can always be written, and read again."""
        line = encoded({"time": "t", "level": "info", **fields})
        self.assertNotIn("\n", line)
        self.assertIsInstance(json.loads(line), dict)
        both = json.loads(with_source(line + "\n", SOURCE))
        self.assertEqual(both["worker"], "ws-1")

    @given(_TEXTS)
    def test_wrapped(self, line: str) -> None:
        """So can anything that a worker writes."""
        record = wrapped(line, 0, SOURCE)
        self.assertEqual(7, json.loads(record)["pid"])
        found = parsed(record)
        assert found is not None
        self.assertEqual((found.worker, found.level), ("ws-1", "warn"))

    @given(st.integers(0, 100_000), st.integers(0, 300))
    def test_bounded(self, size: int, fields: int) -> None:
        """None is so long that it would be cut on its way."""
        many = {f"field {number}": "x" * 200 for number in range(fields)}
        first = {"time": "t", "level": "error", "worker": "ws-1", "message": "m" * size}
        line = encoded({**first, **many, "traceback": "\0☃" * size})
        self.assertLessEqual(len(line.encode()), MAX_RECORD_BYTES)
        found = parsed(line)
        assert found is not None
        self.assertEqual(found.worker, "ws-1")
