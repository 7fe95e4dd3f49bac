"""nginx as a program: found, checked, reloaded; its complaints as sentences."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import (
    NginxMissing,
    NginxNotPermitted,
    NginxNotRunning,
    NginxRefuses,
    TbtwistError,
)
from tbtwist.nginx.program import Program, Ran, find_nginx, run

_DUMP = """\
# configuration file /etc/nginx/nginx.conf:
include sites-enabled/*;
# configuration file /etc/nginx/sites-enabled/tbtwist:
server {}
"""
_REFUSED = """\
nginx: [emerg] unknown directive "foo" in /etc/nginx/nginx.conf:3
nginx: configuration file /etc/nginx/nginx.conf test failed
"""


class ProgramTestCase(SynchronousTestCase):
    """An nginx that answers from a script."""

    def program(self, *answers: Ran) -> Program:
        """Return a program with these answers."""
        self.asked: list[tuple[str, ...]] = []
        self.killed: list[tuple[int, int]] = []
        left = list(answers)

        def answer(command: tuple[str, ...]) -> Ran:
            self.asked.append(command)
            return left.pop(0)

        return Program("/sbin/nginx", answer, lambda *what: self.killed.append(what))

    def pid_file(self, text: str) -> str:
        """Write a pid file."""
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)


class CheckTests(ProgramTestCase):
    """`Program.version` and `Program.check`."""

    def test_version(self) -> None:
        """The version is read; nginx tells it on stderr."""
        program = self.program(Ran(0, "", "nginx version: nginx/1.22.1 (Debian)\n"))
        self.assertEqual((1, 22, 1), program.version)
        self.assertEqual((), self.program(Ran(0, "", "something else")).version)
        self.assertEqual((), Program(None).version)
        self.assertEqual((), Program("/no/such/nginx").version)

    def test_files(self) -> None:
        """A check tells which files belong to the configuration."""
        program = self.program(Ran(0, _DUMP, ""))
        files = {"/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/tbtwist"}
        self.assertEqual(files, program.check())
        self.assertEqual([("/sbin/nginx", "-T")], self.asked)

    def test_refused(self) -> None:
        """What nginx complains of is said, without its prefixes."""
        error = self.assertRaises(
            NginxRefuses, self.program(Ran(1, "", _REFUSED)).check
        )
        self.assertEqual(
            "nginx refuses its configuration: "
            'unknown directive "foo" in /etc/nginx/nginx.conf:3',
            str(error),
        )

    def test_silent(self) -> None:
        """A failure without a word is one too."""
        error = self.assertRaises(NginxRefuses, self.program(Ran(3, "", "")).check)
        self.assertIn("exit code 3", str(error))

    def test_rights(self) -> None:
        """Missing rights are told as such."""
        said = 'nginx: [emerg] open() "/run/nginx.pid" failed (13: Permission denied)'
        error = self.assertRaises(
            NginxNotPermitted, self.program(Ran(1, "", said)).check
        )
        self.assertIn("sudo", str(error))

    def test_missing(self) -> None:
        """Without nginx everything else fails with a sentence."""
        for program in (Program(None), Program("/no/such/nginx")):
            for verb in (program.check, program.reload):
                error = self.assertRaises(NginxMissing, verb)
                self.assertIn("NGINX_PATH", str(error))


class ReloadTests(ProgramTestCase):
    """`Program.reload`."""

    def test_by_nginx(self) -> None:
        """Without a pid file nginx finds itself."""
        self.program(Ran(0, "", "")).reload()
        self.assertEqual([("/sbin/nginx", "-s", "reload")], self.asked)

    def test_not_running(self) -> None:
        """That nobody runs is told as such."""
        for said in (
            'nginx: [error] open() "/run/nginx.pid" failed (2: No such file or directory)',
            'nginx: [error] invalid PID number "" in "/run/nginx.pid"',
            "nginx: [alert] kill(4711, 1) failed (3: No such process)",
        ):
            self.assertRaises(
                NginxNotRunning, self.program(Ran(1, "", said + "\n")).reload
            )

    def test_rights(self) -> None:
        """So is that it belongs to somebody else."""
        said = "nginx: [alert] kill(1, 1) failed (1: Operation not permitted)"
        self.assertRaises(NginxNotPermitted, self.program(Ran(1, "", said)).reload)

    def test_nobody_by_that_pid(self) -> None:
        """A pid file that is missing, empty, stale, or another program's, is no nginx."""
        program = self.program()
        files = (
            self.pid_file(""),
            self.pid_file(str(2**22 + 1)),
            self.pid_file(str(os.getpid())),
            "/no/such/file",
        )
        for file in files:
            self.assertRaises(NginxNotRunning, program.reload, file)
        self.assertEqual([], self.killed)


class SignalTests(ProgramTestCase):
    """A process that is called nginx."""

    def reload(self, kill_error: OSError | None = None) -> int:
        """Reload this very process, as if it were nginx; return its pid."""
        self.patch(psutil.Process, "name", lambda _: "nginx")
        program = self.program()

        def kill(pid: int, number: int) -> None:
            self.killed.append((pid, number))
            if kill_error is not None:
                raise kill_error

        Program(program.executable, program.run, kill).reload(
            self.pid_file(f"{os.getpid()}\n")
        )
        return os.getpid()

    def test_signal(self) -> None:
        """It gets SIGHUP."""
        self.assertEqual([(self.reload(), signal.SIGHUP)], self.killed)

    def test_errors(self) -> None:
        """What can go wrong with that has its sentence."""
        kinds: dict[OSError, type[TbtwistError]] = {
            ProcessLookupError(): NginxNotRunning,
            PermissionError(): NginxNotPermitted,
        }
        for error, kind in kinds.items():
            self.assertRaises(kind, self.reload, error)


class FindTests(SynchronousTestCase):
    """Where nginx is, and how it is run."""

    def test_named(self) -> None:
        """``NGINX_PATH`` goes first, then ``PATH``."""
        self.assertEqual("/x/nginx", find_nginx({"NGINX_PATH": "/x/nginx"}))
        folder = Path(self.mktemp())
        folder.mkdir()
        mine = folder / "nginx"
        mine.write_text("#!/bin/sh\n")
        mine.chmod(0o755)
        self.assertEqual(str(mine), find_nginx({"PATH": str(folder)}))

    def test_run(self) -> None:
        """Exit code and both outputs come back; what it says is in English."""
        script = (
            "import os, sys; print(os.environ['LC_ALL']);"
            "sys.stderr.write('e'); sys.exit(3)"
        )
        self.assertEqual(Ran(3, "C\n", "e"), run((sys.executable, "-c", script)))
