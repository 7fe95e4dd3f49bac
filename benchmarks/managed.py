"""Our whole system in a benchmark: the manager and its workers, as they are."""

from __future__ import annotations

import subprocess
import sys
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

import psutil

from benchmarks.felt import NOTED
from benchmarks.programs import BenchmarkFailed, Program, Stage, until
from benchmarks.system import SECRET
from tbtwist.control.client import ControlClient
from tbtwist.errors import ControlFailed, NoManager
from tbtwist.status import Status

_SETTINGS: Final = """\
toolbox: {{modules: [benchmarks.application, benchmarks.update_app]}}
http_worker: {{port: 0, workers: 2, access_log: false}}
ws_worker: {{port: 0, workers: 2}}
manager: {{web_ui_enabled: false}}
data_dir: {data_dir}
"""
_UPDATE_TIMEOUT_S: Final = 120
_SAMPLE_S: Final = 0.5
_MIB: Final = 2**20


class Memory:
    """The most that a program and all that it started had; while in the context."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._over = Event()
        self._thread = Thread(target=self._watch)
        self.most_mib = 0.0

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        over = False
        while not over:
            self.most_mib = max(self.most_mib, self._now() / _MIB)
            over = self._over.wait(_SAMPLE_S)

    def _now(self) -> int:
        found = 0
        for process in self._program.family():
            try:
                found += process.memory_full_info().pss
            except psutil.Error:
                continue  # it has just ended
        return found


class Managed:
    """Our system, as ``tbtwist start`` runs it."""

    def __init__(self, stage: Stage) -> None:
        data_dir = stage.directory / "d"
        self._noted = stage.directory / "handled"
        self._config = stage.directory / "config.yaml"
        self._config.write_text(_SETTINGS.format(data_dir=data_dir))
        self._environ = {
            "TB_DATA_DIR": str(data_dir),
            "TB_COOKIE_SECRET": SECRET,
            NOTED: str(self._noted),
        }
        self._stage = stage
        self._client = ControlClient.for_data_dir(data_dir)
        self.program = stage.start(
            "tbtwist", self._command("start"), core=None, environ=self._environ
        )
        until(self._runs, self.program)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tbtwist", *words, "-c", str(self._config)]

    def _status(self) -> Status | None:
        try:
            return self._client.status()
        except (NoManager, ControlFailed):
            return None

    def _runs(self) -> bool:
        status = self._status()
        return status is not None and all(w.state == "running" for w in status.workers)

    def ports(self, role: str) -> list[int]:
        """Return where the workers of a role are."""
        status = self._status()
        workers = status.workers if status is not None else ()
        return [w.port for w in workers if w.role == role and w.port is not None]

    def update(self, *options: str) -> None:
        """Update, as an operator would; `BenchmarkFailed` if that fails."""
        done = subprocess.run(
            self._command("update", *options),
            env=self._stage.environment(self._environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=_UPDATE_TIMEOUT_S,
        )
        if done.returncode:
            raise BenchmarkFailed(f"tbtwist update: {done.stdout}{done.stderr}")

    def handled(self) -> list[str]:
        """Return what handlers have noted since the last look."""
        noted = self._noted.read_text().splitlines()
        self._noted.write_text("")
        return noted
