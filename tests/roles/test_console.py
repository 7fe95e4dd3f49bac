"""What a person at the terminal sees of a manager in the foreground."""

from __future__ import annotations

import io
from pathlib import Path

from msgspec import structs
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Logging
from tbtwist.observe.files import LogFolder
from tbtwist.observe.logs import WorkerLogs
from tbtwist.roles.console import Console
from tbtwist.status import ManagerInfo, Status, WorkerState, WorkerStatus

INFO = "2026-01-01T00:00:00.000Z info [x] all is well"
WARN = "2026-01-01T00:00:00.000Z warn [x] look here"


def worker(state: WorkerState, detail: str = "") -> WorkerStatus:
    """Return an http worker in a state."""
    return WorkerStatus(
        id="http-1",
        role="http",
        state=state,
        generation=1,
        pid=42,
        port=8000,
        detail=detail,
    )


def status(*states: WorkerState) -> Status:
    """Return a system whose workers are in these states."""
    manager = ManagerInfo(
        pid=1,
        version="0",
        started_at="",
        http_url="http://127.0.0.1:8000",
        data_dir="/d",
    )
    return Status(manager=manager, workers=tuple(worker(each) for each in states))


def no_link() -> str:
    """Fail: nobody may make a link that a file would keep."""
    msg = "a link was made"
    raise AssertionError(msg)


class Terminal(io.StringIO):
    """A terminal with somebody in front of it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Gone(io.StringIO):
    """A terminal that has been closed."""

    def write(self, text: str) -> int:
        """Fail as a closed terminal does."""
        raise BrokenPipeError


class ConsoleTests(SynchronousTestCase):
    """Lines on a terminal, and in the workers' files."""

    def setUp(self) -> None:
        """Open a console on a terminal of paper."""
        self.folder = Path(self.mktemp())
        folder = LogFolder(self.folder, Logging(), lambda: 0.0, self.fail)
        self.logs = WorkerLogs(folder, "text")
        self.addCleanup(self.logs.close)
        self.terminal: io.StringIO = io.StringIO()

    def console(self, *, verbose: bool = False) -> Console:
        """Return a console on the terminal."""
        return Console(self.terminal, self.logs, verbose=verbose)

    def test_states(self) -> None:
        """Every change of a worker's state is a line with port, pid and detail."""
        self.console().changed(worker("backoff", "starts again in 1 s"))
        self.assertEqual(
            "  http-1   backoff   port 8000, pid 42, starts again in 1 s\n",
            self.terminal.getvalue(),
        )

    def test_what_matters_is_shown(self) -> None:
        """Warnings of workers are shown, the rest only goes to their files."""
        console = self.console()
        console.said("http-1", INFO)
        console.said("http-1", WARN)
        self.assertEqual(f"  http-1   | {WARN}\n", self.terminal.getvalue())
        kept = (self.folder / "http-1.log").read_text()
        self.assertEqual(f"{INFO}\n{WARN}\n", kept)

    def test_verbose(self) -> None:
        """With -v everything is shown."""
        self.console(verbose=True).said("http-1", INFO)
        self.assertIn("all is well", self.terminal.getvalue())

    def test_announcements_of_the_manager(self) -> None:
        """What the manager itself has to say is always shown."""
        self.console().said("manager", "waiting for the workers of another one")
        self.assertIn("waiting for", self.terminal.getvalue())
        self.assertFalse(self.folder.exists(), "its log has it already")

    def test_json(self) -> None:
        """Records that matter are shown as text, with their tracebacks."""
        record = '{"time":"t","level":"%s","logger":"x","message":"%s","traceback":"a"}'
        console = self.console()
        console.said("http-1", record % ("info", "fine"))
        console.said("http-1", record % ("error", "oh"))
        self.assertEqual(
            "  http-1   | t error [x] oh\n  http-1   | a\n", self.terminal.getvalue()
        )

    def test_up(self) -> None:
        """When everything runs, the address to open is shown."""
        self.console().up(status("running", "running"), no_link)
        self.assertIn("Open http://127.0.0.1:8000", self.terminal.getvalue())
        self.assertNotIn("Web UI", self.terminal.getvalue())

    def test_web_ui(self) -> None:
        """A person at a terminal gets a link into the web UI; a file gets none."""
        found = status("running")
        manager = structs.replace(found.manager, ui_url="http://127.0.0.1:9000")
        found = structs.replace(found, manager=manager)
        self.console().up(found, no_link)
        said = self.terminal.getvalue()
        self.assertIn("Web UI: http://127.0.0.1:9000 (tbtwist ui", said)
        self.terminal = Terminal()
        self.console().up(found, lambda: "http://127.0.0.1:9000/#login=once")
        said = self.terminal.getvalue()
        self.assertIn("Web UI: http://127.0.0.1:9000/#login=once (works once", said)

    def test_not_all_up(self) -> None:
        """When something does not run, it is named instead."""
        self.console().up(status("running", "failed"), no_link)
        self.assertIn("Not everything runs: http-1", self.terminal.getvalue())
        self.assertNotIn("Open", self.terminal.getvalue())

    def test_terminal_gone(self) -> None:
        """A terminal that was closed takes nothing down with it."""
        console = Console(Gone(), self.logs, verbose=True)
        console.said("http-1", INFO)
        console.changed(worker("running"))
        self.assertEqual(f"{INFO}\n", (self.folder / "http-1.log").read_text())

    def test_no_terminal(self) -> None:
        """Without a terminal lines still go to the files."""
        Console(None, self.logs, verbose=True).said("ws-1", INFO)
        self.assertEqual(f"{INFO}\n", (self.folder / "ws-1.log").read_text())

    def test_said_to_nobody(self) -> None:
        """What a terminal would show of the manager is logged instead."""
        with capturedLogs() as events:
            Console(None, self.logs, verbose=False).say("Stopping …")
        self.assertEqual([e["text"] for e in events], ["Stopping …"])
