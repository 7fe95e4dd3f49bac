"""How events become lines."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.logs import (
    Notable,
    WorkerLogs,
    json_line,
    observer,
    text_line,
)
from tbtwist.tracing import Trace, within

MOMENT = 1_700_000_000.25


def event(text: str, level: Any = LogLevel.info, **fields: object) -> dict[str, Any]:
    """Return an event as twisted.logger makes it."""
    return {
        "log_format": text,
        "log_level": level,
        "log_namespace": "tbtwist.test",
        "log_time": MOMENT,
        **fields,
    }


def failed() -> Failure:
    """Return a failure with a traceback."""
    try:
        raise ValueError("broken")  # noqa: TRY301
    except ValueError:
        return Failure()


class FormatTests(SynchronousTestCase):
    """One record an event."""

    def test_text(self) -> None:
        """A line has time, level, place and message."""
        line = text_line(event("hello {name}", name="Ada"))
        self.assertEqual(
            "2023-11-14T22:13:20.250Z info [tbtwist.test] hello Ada\n", line
        )

    def test_text_with_traceback(self) -> None:
        """A failure's traceback follows its message."""
        line = text_line(event("oh", LogLevel.critical, log_failure=failed()))
        self.assertIn("critical [tbtwist.test] oh\n", line)
        self.assertIn("ValueError: broken", line)

    def test_json(self) -> None:
        """A JSON record has the message and the event's own fields."""
        record = json.loads(json_line(event("hi {name}", name="Ada", obj={1})))
        self.assertEqual("hi Ada", record["message"])
        self.assertEqual("Ada", record["name"])
        self.assertEqual("{1}", record["obj"])
        self.assertEqual("info", record["level"])
        self.assertEqual("2023-11-14T22:13:20.250Z", record["time"])

    def test_text_under_a_trace(self) -> None:
        """A trace's id stands where it disturbs neither message nor traceback."""
        trace = Trace("ab" * 16, "cd" * 8)
        line = within(trace, text_line, event("hello\nyou"))
        self.assertEqual(
            "2023-11-14T22:13:20.250Z info "
            f"[tbtwist.test trace_id={'ab' * 16}] hello\nyou\n",
            line,
        )

    def test_json_under_a_trace(self) -> None:
        """What is logged under a trace names it, and its own fields stay beside."""
        trace = Trace("ab" * 16, "cd" * 8)
        record = json.loads(within(trace, json_line, event("hi", span_id="x", a=1)))
        self.assertEqual(
            (record["trace_id"], record["span_id"], record["a"]),
            ("ab" * 16, "cd" * 8, 1),
        )
        self.assertNotIn("trace_id", json.loads(json_line(event("hi"))))

    def test_json_with_traceback(self) -> None:
        """A failure's traceback is a field of the record, on one line."""
        line = json_line(event("oh", log_failure=failed()))
        self.assertEqual(1, line.count("\n"))
        self.assertIn("ValueError: broken", json.loads(line)["traceback"])


class ObserverTests(SynchronousTestCase):
    """What is written at all."""

    def written(self, level: str, *events: dict[str, Any]) -> str:
        """Return what an observer of ``level`` writes."""
        stream = io.StringIO()
        observe = observer(stream, "text", level)
        for one in events:
            observe(one)
        return stream.getvalue()

    def test_level(self) -> None:
        """Events below the level are left out."""
        text = self.written(
            "WARNING",
            event("low"),
            event("high", LogLevel.warn),
            event("e", LogLevel.error),
        )
        self.assertNotIn("low", text)
        self.assertIn("high", text)

    def test_twisteds_own_chatter_is_left_out(self) -> None:
        """Twisted's notes to itself are no news for an operator."""
        noise = event("Log opened.", log_namespace="log_legacy")
        self.assertEqual("", self.written("INFO", noise))
        self.assertIn(
            "Bad", self.written("INFO", {**noise, "log_format": "Bad", "isError": 1})
        )

    def test_broken_pipe(self) -> None:
        """A worker whose manager has gone goes on without a log."""

        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        observe = observer(Broken(), "text", "INFO")
        log = Logger(observer=observe)
        log.info("into the void")
        self.assertEqual([], self.flushLoggedErrors())


class WorkerLogsTests(SynchronousTestCase):
    """The files of the workers' output."""

    def test_one_file_a_worker(self) -> None:
        """Each worker's lines are in a file of its own that only we can read."""
        folder = Path(self.mktemp())
        logs = WorkerLogs(folder)
        logs.write("http-1", "one")
        logs.write("ws-1", "two")
        logs.write("http-1", "three")
        logs.close()
        self.assertEqual("one\nthree\n", (folder / "http-1.log").read_text())
        self.assertEqual("two\n", (folder / "ws-1.log").read_text())
        self.assertEqual(0o600, (folder / "ws-1.log").stat().st_mode & 0o777)


class NotableTests(SynchronousTestCase):
    """Which lines a person at the terminal sees."""

    def test_warnings_with_what_follows(self) -> None:
        """Warnings, errors and their tracebacks are shown, the rest is not."""
        notable = Notable()
        info = text_line(event("fine")).rstrip()
        warn = text_line(event("oh", LogLevel.warn)).rstrip()
        lines = [info, "  more", warn, "Traceback", info]
        shown = [notable("http-1", line) for line in lines]
        self.assertEqual([False, False, True, True, False], shown)

    def test_before_the_first_record(self) -> None:
        """What is no record at all (a crash of the interpreter) is shown."""
        self.assertTrue(Notable()("ws-1", "Fatal Python error"))

    def test_workers_do_not_mix(self) -> None:
        """A warning of one worker does not open the tap for another."""
        notable = Notable()
        notable("http-1", text_line(event("oh", LogLevel.warn)))
        notable("http-2", text_line(event("fine")))
        self.assertFalse(notable("http-2", "  more"))
        self.assertTrue(notable("http-1", "  more"))
