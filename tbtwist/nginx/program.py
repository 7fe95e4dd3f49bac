"""The nginx of this machine: found, asked for its version, checked, reloaded."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs
import psutil

from tbtwist.errors import (
    NginxMissing,
    NginxNotPermitted,
    NginxNotRunning,
    NginxRefuses,
)

VARIABLE: Final = "NGINX_PATH"
_USUAL: Final = (
    "/usr/sbin/nginx",
    "/usr/local/sbin/nginx",
    "/usr/local/bin/nginx",
    "/opt/homebrew/bin/nginx",
)
_TIMEOUT_S: Final = 60.0
_VERSION: Final = re.compile(r"nginx/(\d+)\.(\d+)\.(\d+)")
_COMPLAINT: Final = re.compile(r"\[(?:emerg|alert|error)\] (?:\d+#\d+: )?(.*)")
_INCLUDED: Final = re.compile(r"(?m)^# configuration file (.*):$")
_NO_PERMISSION: Final = re.compile(r"\(13: |\(1: |Operation not permitted")
_NOT_RUNNING: Final = re.compile(r"invalid PID number|kill\(.* \(3: |open\(\).* \(2: ")


@attrs.frozen
class Ran:
    """How a run of nginx ended."""

    code: int
    output: str
    complaints: str


Run = Callable[[tuple[str, ...]], Ran]
Kill = Callable[[int, int], None]


def run(command: tuple[str, ...]) -> Ran:
    """Run a command to its end.

    Raises:
        NginxMissing: there is no such program.
        NginxRefuses: it did not end.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the program that the user has installed
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (FileNotFoundError, PermissionError) as error:
        raise NginxMissing from error
    except subprocess.TimeoutExpired as error:
        raise NginxRefuses(f"it did not end within {_TIMEOUT_S:g} s.") from error
    return Ran(done.returncode, done.stdout, done.stderr)


def find_nginx(environ: Mapping[str, str]) -> str | None:
    """Return nginx's path: ``NGINX_PATH``, the one on ``PATH``, or a usual place."""
    if environ.get(VARIABLE):
        return environ[VARIABLE]
    on_path = shutil.which("nginx", path=environ.get("PATH"))
    usual = (place for place in _USUAL if os.access(place, os.X_OK))
    return on_path or next(usual, None)


@attrs.frozen
class Program:
    """One nginx; ``executable`` is None where there is none."""

    executable: str | None
    run: Run = run
    kill: Kill = os.kill

    @property
    def version(self) -> tuple[int, ...]:
        """Return its version, or nothing where there is none to ask."""
        if self.executable is None:
            return ()
        try:
            said = self._run("-v")
        except NginxMissing:
            return ()
        found = _VERSION.search(said.complaints + said.output)
        return tuple(map(int, found.groups())) if found else ()

    def check(self) -> frozenset[str]:
        """Check the configuration as nginx would load it; return its files.

        Raises:
            NginxMissing, NginxNotPermitted, NginxRefuses: as their sentences say.
        """
        checked = self._run("-T")
        if checked.code:
            raise _complaint(checked)
        return frozenset(_INCLUDED.findall(checked.output))

    def reload(self, pid_file: str = "") -> None:
        """Let the running nginx read its configuration, which has been checked.

        Raises:
            NginxMissing, NginxNotRunning, NginxNotPermitted, NginxRefuses: as their
                sentences say.
        """
        if pid_file:
            self._signal(Path(pid_file))
            return
        asked = self._run("-s", "reload")
        if asked.code:
            if _NOT_RUNNING.search(asked.complaints):
                raise NginxNotRunning
            raise _complaint(asked)

    def _run(self, *arguments: str) -> Ran:
        if self.executable is None:
            raise NginxMissing
        return self.run((self.executable, *arguments))

    def _signal(self, pid_file: Path) -> None:
        try:
            pid = int(pid_file.read_text())
            is_nginx = "nginx" in psutil.Process(pid).name()
        except PermissionError as error:
            reason = f"{pid_file}: {error.strerror}."
            raise NginxNotPermitted(reason) from error
        except (OSError, ValueError, psutil.NoSuchProcess) as error:
            raise NginxNotRunning from error
        if not is_nginx:
            raise NginxNotRunning
        try:
            self.kill(pid, signal.SIGHUP)
        except ProcessLookupError as error:
            raise NginxNotRunning from error
        except PermissionError as error:
            reason = f"nginx (pid {pid}) belongs to somebody else."
            raise NginxNotPermitted(reason) from error


def _complaint(ran: Ran) -> NginxRefuses | NginxNotPermitted:
    """Return what nginx complains of, without its prefixes."""
    found = _COMPLAINT.findall(ran.complaints)
    reason = "; ".join(found) or ran.complaints.strip() or f"exit code {ran.code}"
    if _NO_PERMISSION.search(reason):
        return NginxNotPermitted(reason)
    return NginxRefuses(reason)
