"""One child: how it is started, what it says, how it ended."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Settings
from tbtwist.supervise.lastwords import LastWords
from tbtwist.supervise.plan import desired
from tbtwist.supervise.process import (
    MAX_LINE_BYTES,
    Child,
    Exit,
    Launch,
    Lines,
    describe_exit,
)
from tbtwist.supervise.world import twistd_command
from tests.supervise.fakes import ChildLog, FakeProcess, FakeReactor, no_pidfd


def said(*, printed: str = "", complained: str = "") -> LastWords:
    """Return what a process has said."""
    words = LastWords()
    for hear, line in ((words.printed, printed), (words.complained, complained)):
        if line:
            hear(line)
    return words


class DescribeExitTests(SynchronousTestCase):
    """The end of a process, in words."""

    def test_signals(self) -> None:
        """A signal is called by its name."""
        self.assertEqual(
            describe_exit(None, signal.SIGKILL, said(printed="serving")),
            Exit(None, "SIGKILL", "killed by SIGKILL"),
        )

    def test_signal_without_a_name(self) -> None:
        """A signal without a name is called by its number."""
        self.assertEqual(describe_exit(None, 63, said()).reason, "killed by signal 63")

    def test_failure_says_why(self) -> None:
        """A process that failed is quoted."""
        self.assertEqual(
            describe_exit(1, None, said(complained="No module named shop")),
            Exit(1, None, "exit status 1: No module named shop"),
        )

    def test_silent_failure(self) -> None:
        """A process that failed without a word has just its status."""
        self.assertEqual(describe_exit(3, None, said()).reason, "exit status 3")

    def test_clean_end(self) -> None:
        """A process that ended well is not quoted."""
        self.assertEqual(
            describe_exit(0, None, said(complained="bye")).reason, "exit status 0"
        )

    def test_long_complaints_are_cut(self) -> None:
        """A reason is a sentence, not a dump."""
        self.assertLess(
            len(describe_exit(1, None, said(complained="x" * 10_000)).reason), 400
        )


class LinesTests(SynchronousTestCase):
    """Cutting output into lines."""

    def setUp(self) -> None:
        """Listen."""
        self.heard: list[str] = []
        self.lines = Lines(self.heard.append)

    def test_pieces(self) -> None:
        """Lines come whole, however their bytes arrive; the last one at the end."""
        for piece in (b"on", b"e\ntwo\r\n\nthr", b"ee"):
            self.lines.feed(piece)
        self.assertEqual(self.heard, ["one", "two"])
        self.lines.close()
        self.assertEqual(self.heard, ["one", "two", "three"])

    def test_bytes_that_are_no_text(self) -> None:
        """Output that is not UTF-8 is shown as well as can be."""
        self.lines.feed(b"caf\xe9\n")
        self.assertEqual(self.heard, ["caf\ufffd"])

    def test_endless_line(self) -> None:
        """A line without an end is cut, what follows of it is passed over."""
        for _ in range(100):
            self.lines.feed(b"x" * 1000)
        self.lines.feed(b"tail\nnext\n")
        self.assertEqual(len(self.heard), 2)
        self.assertEqual(self.heard[0], "x" * MAX_LINE_BYTES + " [cut]")
        self.assertEqual(self.heard[1], "next")

    def test_long_line_in_one_piece(self) -> None:
        """A long line that comes with its end is cut as well."""
        self.lines.feed(b"x" * 20_000 + b"\nnext\n")
        self.assertEqual([len(line) for line in self.heard], [MAX_LINE_BYTES + 6, 4])

    @given(st.text(alphabet="ab\n", max_size=60), st.data())
    def test_nothing_depends_on_the_pieces(
        self, text: str, data: st.DataObject
    ) -> None:
        """However a text is cut into pieces, its lines are the same."""
        heard: list[str] = []
        lines, rest = Lines(heard.append), text.encode()
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            lines.feed(rest[:size])
            rest = rest[size:]
        lines.close()
        self.assertEqual(heard, [line for line in text.split("\n") if line])


class LaunchTests(SynchronousTestCase):
    """What a child is started with."""

    def launch(self) -> Launch:
        """Return a launch of an http worker."""
        return Launch(
            command=("/bin/worker", "http-1"),
            environ={"HOME": "/home/ada", "LISTEN_PID": "1", "LISTEN_FDS": "9"},
            notify_path=Path("/run/tb/notify-http-1.7"),
            generation=7,
            descriptors=(("http", 55), ("lifeline", 12)),
        )

    def test_environment(self) -> None:
        """The environment is passed whole, with systemd's variables and ours."""
        self.assertEqual(
            self.launch().child_environ(),
            {
                "HOME": "/home/ada",
                "LISTEN_FDS": "2",
                "LISTEN_FDNAMES": "http:lifeline",
                "NOTIFY_SOCKET": "/run/tb/notify-http-1.7",
                "TB_GENERATION": "7",
                "PYTHONUNBUFFERED": "1",
            },
        )

    def test_descriptors(self) -> None:
        """Descriptors are given from 3 on, in the order of their names."""
        self.assertEqual(
            self.launch().child_descriptors(), {0: "w", 1: "r", 2: "r", 3: 55, 4: 12}
        )

    def test_command(self) -> None:
        """A worker is a twistd process of the same Python, with the same configuration."""
        build = twistd_command(
            "/usr/bin/py", config_path="/etc/tb.yaml", log_format="json"
        )
        self.assertEqual(
            build(desired(Settings())[2]),
            (
                "/usr/bin/py",
                "-c",
                "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "  # noqa: ISC004
                "from twisted.scripts.twistd import run; run()",
                "-n",
                "--pidfile=",
                "tbworkers",
                "--role=http",
                "--worker-id=http-2",
                "--config",
                "/etc/tb.yaml",
                "--log-format=json",
            ),
        )

    def test_command_without_a_file(self) -> None:
        """Without a configuration file none is named."""
        build = twistd_command("/usr/bin/py", config_path=None, log_format="text")
        self.assertNotIn("--config", build(desired(Settings())[0]))


class ChildTests(SynchronousTestCase):
    """A child from start to reaping."""

    def setUp(self) -> None:
        """Have somebody to listen."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.notify_path = Path(directory) / "notify-http-1.7"
        self.reactor = FakeReactor()
        self.log = ChildLog()
        self.child = Child(
            self.reactor,
            Launch(("/bin/worker", "http-1"), {}, self.notify_path, 7, (("http", 55),)),
            self.log,
            no_pidfd,
        )

    def started(self) -> FakeProcess:
        """Start it."""
        self.child.start()
        return self.reactor.latest("http-1")

    def test_starts(self) -> None:
        """The process gets its descriptors, its notify socket, and no input."""
        process = self.started()
        self.assertEqual(process.descriptors[3], 55)
        self.assertEqual(process.env["NOTIFY_SOCKET"], str(self.notify_path))
        self.assertEqual(list(self.reactor.notify), [str(self.notify_path)])
        self.assertFalse(process.stdin_open)
        self.assertEqual(self.child.pid, process.pid)

    def test_says(self) -> None:
        """What it notifies and what it writes arrives."""
        process = self.started()
        process.tell(READY=1, STATUS="serving")
        process.writes(b"hello\n")
        process.writes(b"oh\n", descriptor=2)
        self.assertEqual(self.log.facts, [{"READY": "1", "STATUS": "serving"}])
        self.assertEqual(self.log.lines, ["hello", "oh"])

    def test_last_lines(self) -> None:
        """The last 50 lines are kept, also when the process is gone."""
        process = self.started()
        process.writes(b"".join(b"line %d\n" % number for number in range(80)))
        process.exits(0)
        self.assertEqual(len(self.child.last_lines), 50)
        self.assertEqual(self.child.last_lines[-1], "line 79")

    def test_failure_quotes_its_complaint(self) -> None:
        """A failure quotes the last line of stderr rather than of the log."""
        process = self.started()
        process.writes(b"Cannot listen on 127.0.0.1:8000", descriptor=2)
        process.writes(b"\n", descriptor=2)
        process.writes(b"Server Shut Down.\n")
        process.exits(1)
        self.assertEqual(
            self.log.ends,
            [Exit(1, None, "exit status 1: Cannot listen on 127.0.0.1:8000")],
        )

    def test_failure_quotes_the_log(self) -> None:
        """Without a complaint the log's last error is quoted, even cut off."""
        process = self.started()
        process.writes(b"2026-01-02T03:04:05.678Z error [shop] out of luck")
        process.exits(1)
        self.assertEqual(self.log.ends[0].reason, "exit status 1: out of luck")

    def test_failure_quotes_nothing_else(self) -> None:
        """A line of the access log is no reason."""
        process = self.started()
        process.writes(b"2026-01-02T03:04:05.678Z info [tbtwist.access] GET / 200\n")
        process.exits(7)
        self.assertEqual(self.log.ends[0].reason, "exit status 7")

    def test_after_the_end(self) -> None:
        """Afterwards it has no pid, its notify socket is gone, signals go nowhere."""
        process = self.started()
        self.notify_path.touch()
        process.killed()
        self.child.signal("KILL")
        self.assertIsNone(self.child.pid)
        self.assertEqual((process.signals, self.reactor.notify), ([], {}))
        self.assertFalse(self.notify_path.exists())
        self.assertEqual(self.log.ends[0].signal, "SIGKILL")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_last_words(self) -> None:
        """What it told right before its end is read before its socket is closed."""
        process = self.started()
        self.reactor.unread.append(b"X_REQUESTS_TOTAL=9")
        process.exits(0)
        self.assertEqual(self.log.facts, [{"X_REQUESTS_TOTAL": "9"}])

    def test_signals(self) -> None:
        """It gets the signals that it is sent."""
        process = self.started()
        self.child.signal("TERM")
        self.child.signal("KILL")
        self.assertEqual(process.signals, ["TERM", "KILL"])

    def test_signal_to_the_reaped(self) -> None:
        """A process that has been reaped gets no signal: its pid may be another's."""
        process = self.started()
        process.reaped(0)
        self.assertEqual((self.log.exits, self.log.ends), (1, []))
        self.child.signal("KILL")
        self.assertEqual(process.signals, [])
        self.reactor.advance(1)

    def test_grandchild_holds_the_output(self) -> None:
        """A grandchild that keeps the output open does not keep the worker from being replaced."""
        process = self.started()
        process.reaped(None, signal.SIGKILL)
        self.reactor.advance(0.4)
        self.assertTrue(process.output_open)
        self.reactor.advance(0.2)
        self.assertFalse(process.output_open)

    def test_cannot_be_started(self) -> None:
        """That there is no such program is reported as the end of the process."""
        self.reactor.cannot_spawn = FileNotFoundError(2, "No such file", "/bin/worker")
        self.child.start()
        self.assertEqual(len(self.log.ends), 1)
        self.assertIn("cannot be started", self.log.ends[0].reason)
        self.assertEqual(self.reactor.notify, {})

    def test_no_notify_socket(self) -> None:
        """That it would not be heard is reported too, and nothing is started."""
        self.reactor.cannot_notify = True
        self.child.start()
        self.assertIn("cannot be started", self.log.ends[0].reason)
        self.assertEqual(self.reactor.processes, [])
        self.assertIsNone(self.child.pid)

    def test_signal_before_the_start(self) -> None:
        """A child that never started gets no signal."""
        self.child.signal("TERM")
        self.assertEqual(self.reactor.processes, [])
