"""How events become lines."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.logs import (
    LogFormat,
    Notable,
    WorkerLogs,
    json_line,
    observer,
    text_line,
)
from tbtwist.observe.records import MAX_RECORD_BYTES, Source
from tests.observe.logfolders import DAY, LogFolderCase

MOMENT = 1_700_000_000.25
WHO = Source("http-1", "http", lambda: 42)
SOURCE = WHO.fields()


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
        record = json.loads(json_line(event("hi {name}", name="Ada", obj={1}), SOURCE))
        self.assertEqual("hi Ada", record["message"])
        self.assertEqual("Ada", record["name"])
        self.assertEqual("{1}", record["obj"])
        self.assertEqual("info", record["level"])
        self.assertEqual("2023-11-14T22:13:20.250Z", record["time"])
        found = record["worker"], record["role"], record["pid"]
        self.assertEqual(("http-1", "http", 42), found)

    def test_json_with_a_name_that_is_taken(self) -> None:
        """An event's own field does not hide whose record it is."""
        line = json_line(event("{worker} ended", worker="ws-2"), SOURCE)
        record = json.loads(line)
        self.assertEqual(("http-1", "ws-2"), (record["worker"], record["event_worker"]))
        self.assertEqual("ws-2 ended", record["message"])

    def test_json_with_traceback(self) -> None:
        """A failure's traceback is a field of the record, on one line."""
        line = json_line(event("oh", log_failure=failed()), SOURCE)
        self.assertEqual(1, line.count("\n"))
        self.assertIn("ValueError: broken", json.loads(line)["traceback"])


class ObserverTests(SynchronousTestCase):
    """What is written at all."""

    def written(
        self, level: str, *events: dict[str, Any], log_format: LogFormat = "text"
    ) -> str:
        """Return what an observer of ``level`` writes."""
        stream = io.StringIO()
        observe = observer(stream, log_format, level, WHO)
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

    def test_print(self) -> None:
        """What an application prints is kept."""
        printed = event("hello", log_namespace="stdout")
        self.assertIn("[stdout] hello", self.written("INFO", printed))

    def test_json_lines(self) -> None:
        """Lines that are records already get the source into each of them."""
        lines = '{"path":"/}"}\n{"path":"/b"}\n'
        text = self.written("INFO", event("", log_lines=lines), log_format="json")
        records = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(
            [{"path": "/}", **SOURCE}, {"path": "/b", **SOURCE}],
            records,
        )

    def test_text_lines_in_json(self) -> None:
        """Lines that are text become records of their own."""
        lines = event("", log_lines="one\ntwo\n")
        text = self.written("INFO", lines, log_format="json")
        records = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(["one", "two"], [each["message"] for each in records])
        self.assertEqual({"http-1"}, {each["worker"] for each in records})

    def test_long_records(self) -> None:
        """A record that the manager would cut leaves out the middle of what is long."""
        long = event("{a}", a="x" * 9000, b="\x00" * 9000, c=list(range(5000)))
        text = self.written("INFO", long, log_format="json")
        self.assertLess(len(text), MAX_RECORD_BYTES)
        self.assertEqual(42, json.loads(text)["pid"])

    def test_what_json_cannot_say(self) -> None:
        """Half a character and a huge number are no reason to lose a record."""
        odd = event("odd", half="\ud800", number=2**80)
        text = self.written("INFO", odd, log_format="json")
        self.assertEqual("odd", json.loads(text)["message"])

    def test_broken_pipe(self) -> None:
        """A worker whose manager has gone goes on without a log."""

        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        observe = observer(Broken(), "text", "INFO", WHO)
        log = Logger(observer=observe)
        log.info("into the void")
        self.assertEqual([], self.flushLoggedErrors())


class WorkerLogsTests(LogFolderCase):
    """The files of the workers' output."""

    def test_one_file_a_worker(self) -> None:
        """Each worker's lines are in a file of its own that only we can read."""
        folder, logs = self.folder, WorkerLogs(self.logs(), "text")
        logs.write("http-1", "one")
        logs.write("ws-1", "two")
        logs.write("http-1", "three")
        logs.close()
        self.assertEqual("one\nthree\n", (folder / "http-1.log").read_text())
        self.assertEqual("two\n", (folder / "ws-1.log").read_text())
        self.assertEqual(0o600, (folder / "ws-1.log").stat().st_mode & 0o777)

    def test_json(self) -> None:
        """Whatever a worker writes, its file holds records, each with its source."""
        logs = WorkerLogs(self.logs(), "json")
        record = json_line(event("fine"), SOURCE).rstrip()
        for line in (record, "Fatal Python error", '{"no": "record"}', '{"cut', "{}"):
            logs.write("http-1", line, 42)
        logs.close()
        text = (self.folder / "http-1.log").read_text()
        records = [json.loads(line) for line in text.splitlines()]
        found = [each["message"] for each in records]
        expected = ["fine", "Fatal Python error", '{"no": "record"}', '{"cut', "{}"]
        self.assertEqual(expected, found)
        for each in records:
            self.assertEqual(SOURCE, {key: each[key] for key in SOURCE})

    def test_tracebacks_stay_together(self) -> None:
        """A record and its traceback are in one file."""
        logs = WorkerLogs(self.logs(max_file_bytes=4096), "text")
        for _ in range(9):
            logs.write("ws-1", text_line(event("x" * 500, LogLevel.error)).rstrip())
            for _ in range(5):
                logs.write("ws-1", "  File " + "y" * 100)
        logs.close()
        self.assertGreater(len(self.names()), 1)
        for name in self.names():
            lines = (self.folder / name).read_text().splitlines()
            self.assertEqual(len(lines) % 6, 0, name)

    def test_tidy(self) -> None:
        """What is due happens though no worker says anything."""
        logs = WorkerLogs(self.logs(), "text")
        logs.write("ws-1", "one")
        self.now += DAY
        logs.tidy()
        logs.close()
        self.assertEqual(len(self.names()), 2)


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

    def test_json(self) -> None:
        """In JSON the level counts, too; what is no JSON is worth a look."""
        notable = Notable()
        fine = json_line(event("fine"), SOURCE)
        error = json_line(event("oh", LogLevel.error), SOURCE)
        shown = [notable("http-1", line) for line in (fine, error, fine, "Fatal")]
        self.assertEqual([False, True, False, True], shown)

    def test_workers_do_not_mix(self) -> None:
        """A warning of one worker does not open the tap for another."""
        notable = Notable()
        notable("http-1", text_line(event("oh", LogLevel.warn)))
        notable("http-2", text_line(event("fine")))
        self.assertFalse(notable("http-2", "  more"))
        self.assertTrue(notable("http-1", "  more"))
