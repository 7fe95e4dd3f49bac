"""A process that splits itself as process 1 does; the real one is an integration test."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

SPLIT: Final = """
import ctypes, os, signal, subprocess, sys, time
from tbtwist.net import firstprocess

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to us
firstprocess._FIRST = os.getpid()
given = os.dup(0)
environ = {"LISTEN_PID": str(os.getpid())}
firstprocess.leave_first_place(environ)
me = os.getpid()
assert environ == {"LISTEN_PID": str(me)}, environ
assert os.getsid(0) == me, "a session of its own"
assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), "signals are not blocked"
os.fstat(given)
"""
TELLS_AND_WAITS: Final = """
signal.signal(signal.SIGHUP, lambda *_: sys.exit(7))
while len(os.listdir(f"/proc/{os.getppid()}/fd")) > 3:
    time.sleep(0.01)
print("alone", flush=True)
signal.pause()
"""
LEAVES_SOMEBODY: Final = """
subprocess.Popen(["sh", "-c", "read line; echo orphan; exit 3"])
os.kill(me, signal.SIGKILL)
"""


class SplitTests(SynchronousTestCase):
    """The parent is an init, the child is the role."""

    def start(self, rest: str) -> subprocess.Popen[str]:
        """Start a program that splits itself and then, as the child, does ``rest``."""
        process = subprocess.Popen(
            [sys.executable, "-c", SPLIT + rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def ends(self, process: subprocess.Popen[str], told: str = "") -> tuple[int, str]:
        """Return exit status and output; ``told`` is what it can read."""
        output, _ = process.communicate(told, timeout=60)
        return process.returncode, output

    def test_exit_status(self) -> None:
        """It ends as the child does."""
        self.assertEqual((0, ""), self.ends(self.start("")))
        self.assertEqual((3, ""), self.ends(self.start("sys.exit(3)")))
        status, output = self.ends(self.start("raise ValueError('odd')"))
        self.assertEqual(1, status)
        self.assertIn("ValueError: odd", output)

    def test_signals(self) -> None:
        """They are handed on, and no descriptor stays but the three streams."""
        process = self.start(TELLS_AND_WAITS)
        assert process.stdout is not None
        self.assertEqual("alone\n", process.stdout.readline())
        process.send_signal(signal.SIGHUP)
        self.assertEqual((7, ""), self.ends(process))

    def test_killed_by_what_was_handed_on(self) -> None:
        """A signal without a handler ends the child as it would end any process."""
        process = self.start("print(1, flush=True); signal.pause()")
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        self.assertEqual((128 + signal.SIGTERM, ""), self.ends(process))

    def test_those_who_are_left(self) -> None:
        """They may finish when the child was killed."""
        status, output = self.ends(self.start(LEAVES_SOMEBODY), "go on\n")
        self.assertEqual((128 + signal.SIGKILL, "orphan\n"), (status, output))
