"""A system in a PID namespace of its own, as Docker makes one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from unittest import SkipTest

from tests.integration.system import Child, System, needs, spawn

_BECOME: Final = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
_NAMESPACE: Final = ("--pid", "--fork", "--mount-proc", "--kill-child")


def namespace() -> tuple[str, ...]:
    """Return the command that runs another one as process 1; skip where it cannot.

    With ``TB_REQUIRE_ALL`` set (CI) that is a failure.
    """
    unshare = needs("unshare")
    own_user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = (unshare, *own_user, *_NAMESPACE)
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode == 0:
        return command
    msg = f"no PID namespace can be made here: {tried.stderr.decode().strip()}"
    if os.environ.get("TB_REQUIRE_ALL"):
        raise AssertionError(msg)
    raise SkipTest(msg)


class Contained(System):
    """A system whose manager is started as process 1."""

    arguments: tuple[str, ...] = ("-m", "tbtwist", "start")

    def spawn_manager(self) -> Child:
        """Start it and do not wait."""
        program = (sys.executable, *self.arguments, f"--config={self.config}")
        return spawn(
            self.case,
            ("-c", _BECOME, *namespace(), *program),
            self.environ,
            cwd=self.root,
            given=self.given,
        )

    @property
    def first(self) -> int:
        """Return the pid of process 1, as it is seen from outside."""
        assert self.manager is not None
        [first] = children(self.manager.pid)
        return first

    def tell(self, number: int) -> None:
        """Send a signal to process 1, as a container's engine does."""
        os.kill(self.first, number)


def children(pid: int) -> set[int]:
    """Return the children of a process, also those that have ended and stay zombies."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            text = (entry / "stat").read_text() if entry.name.isdigit() else ""
        except (FileNotFoundError, ProcessLookupError):
            continue
        _, end, rest = text.rpartition(") ")
        if end and int(rest.split()[1]) == pid:
            found.add(int(entry.name))
    return found
