"""What a person at the terminal sees of a manager in the foreground."""

from __future__ import annotations

from typing import TextIO

from tbtwist.observe.logs import Notable, WorkerLogs
from tbtwist.status import Status, WorkerStatus

_MANAGER = "manager"


class Console:
    """Prints changes of state, and those lines of the workers that matter.

    Every line of every worker goes to its log file, whether it is shown or not.
    Without a terminal (``stream`` None) nothing is shown.
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
        """Print one line."""
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
            self.say(line)

    def said(self, worker_id: str, line: str) -> None:
        """Take a line of a worker's output."""
        self._logs.write(worker_id, line)
        shown = self._verbose or worker_id == _MANAGER
        if self._notable(worker_id, line) or shown:
            self.say(f"  {worker_id:<8} | {line}")

    def up(self, status: Status) -> None:
        """Say where the application is, or what is missing."""
        missing = [w.id for w in status.workers if w.state != "running"]
        if missing:
            self.say(f"Not everything runs: {', '.join(missing)} (tbtwist status)")
            return
        self.say("")
        self.say(f"Open {status.manager.http_url} - Ctrl-C stops everything.")
        self.say("")
