"""What a person at the terminal sees of a manager in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from twisted.logger import Logger

from tbtwist.observe.logs import Notable, WorkerLogs
from tbtwist.observe.records import readable
from tbtwist.status import Status, WorkerStatus

_log = Logger()

_MANAGER = "manager"


class Console:
    """Prints changes of state, and those lines of the workers that matter.

    Every line of every worker goes to its log file, whether it is shown or not.
    Without a terminal (``stream`` None) nothing is shown, and what is said is logged.
    """

    def __init__(
        self, stream: TextIO | None, logs: WorkerLogs, *, verbose: bool
    ) -> None:
        self._stream = stream
        self._logs = logs
        self._verbose = verbose
        self._notable = Notable()
        self._shown: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Print one line; it is logged if nobody is there to read it."""
        if self._stream is None:
            _log.info("{text}", text=text)
        self._show(text)

    def _show(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except OSError:
            self._stream = None  # the terminal is gone; nobody is left to tell

    def changed(self, worker: WorkerStatus) -> None:
        """Show a worker's state if it is another one."""
        where = f"port {worker.port}" if worker.port else ""
        who = f"pid {worker.pid}" if worker.pid else ""
        about = ", ".join(each for each in (where, who, worker.detail) if each)
        line = f"  {worker.id:<8} {worker.state:<9} {about}".rstrip()
        if self._shown.get(worker.id) != line:
            self._shown[worker.id] = line
            self._show(line)

    def said(self, worker_id: str, line: str, pid: int | None = None) -> None:
        """Take a line of a worker's output, or of the manager, who has logged it."""
        own = worker_id == _MANAGER
        if not own:
            self._logs.write(worker_id, line, pid)
        if self._notable(worker_id, line) or self._verbose or own:
            for each in readable(line).splitlines():
                self._show(f"  {worker_id:<8} | {each}")

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads this now, and no file keeps it."""
        return self._stream is not None and self._stream.isatty()

    def up(self, status: Status, login_link: Callable[[], str]) -> None:
        """Say where the application and the web UI are, or what is missing.

        The link that lets a browser in is for eyes, not for files.
        """
        missing = [w.id for w in status.workers if w.state != "running"]
        if missing:
            self.say(f"Not everything runs: {', '.join(missing)} (tbtwist status)")
        else:
            self._show("")
            self._show(f"Open {status.manager.http_url} - Ctrl-C stops everything.")
        if status.manager.ui_url and self.is_terminal:
            self._show(
                f"Web UI: {login_link()} (works once; tbtwist ui prints another)"
            )
        elif status.manager.ui_url:
            self._show(f"Web UI: {status.manager.ui_url} (tbtwist ui prints a link in)")
        self._show("")
