"""One process per purpose and data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import AlreadyRunning
from tbtwist.net.locking import ProcessLock


class ProcessLockTests(SynchronousTestCase):
    """A lock on a file in the data directory."""

    def setUp(self) -> None:
        """Make a folder that does not exist yet."""
        self.path = Path(self.mktemp()) / "run" / "http-1.lock"

    def test_second_is_refused_with_pid(self) -> None:
        """The second process is told who is there already, and where."""
        lock = ProcessLock.take(self.path, what="http-1", pid=4242)
        self.addCleanup(lock.release)
        error = self.assertRaises(
            AlreadyRunning, ProcessLock.take, self.path, what="http-1", pid=1
        )
        self.assertEqual(4242, error.pid)
        self.assertIn("http-1", str(error))
        self.assertIn(str(self.path.parent), str(error))

    def test_released_can_be_taken(self) -> None:
        """After a release the next one gets it, and its pid stands in the file."""
        ProcessLock.take(self.path, what="x", pid=1000000).release()
        second = ProcessLock.take(self.path, what="x", pid=7)
        self.assertEqual("7\n", self.path.read_text())
        second.release()
        second.release()

    def test_shared(self) -> None:
        """Several share it, and keep everybody out who wants it alone; and he them."""
        first = ProcessLock.take(self.path, what="x", pid=1, shared=True)
        second = ProcessLock.take(self.path, what="x", pid=2, shared=True)
        error = self.assertRaises(
            AlreadyRunning, ProcessLock.take, self.path, what="x", pid=3
        )
        self.assertEqual(2, error.pid)
        first.release()
        self.assertRaises(AlreadyRunning, ProcessLock.take, self.path, what="x", pid=3)
        second.release()
        alone = ProcessLock.take(self.path, what="x", pid=3)
        self.addCleanup(alone.release)
        with self.assertRaises(AlreadyRunning) as caught:
            ProcessLock.take(self.path, what="x", pid=4, shared=True)
        self.assertEqual(3, caught.exception.pid)

    def test_private(self) -> None:
        """Nobody else on the machine can read or take the lock."""
        lock = ProcessLock.take(self.path, what="x", pid=1)
        self.addCleanup(lock.release)
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)
        self.assertEqual(0o700, self.path.parent.stat().st_mode & 0o777)

    def test_dies_with_its_owner(self) -> None:
        """A killed owner leaves no lock behind, whatever its pid is used for."""
        code = (
            "import sys, os, pathlib; from tbtwist.net.locking import ProcessLock;"
            "ProcessLock.take(pathlib.Path(sys.argv[1]), what='x', pid=os.getpid());"
            "os.kill(os.getpid(), 9)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(self.path)], check=False, timeout=60
        )
        self.assertEqual(-9, done.returncode)
        self.assertTrue(self.path.read_text().strip().isdigit())
        ProcessLock.take(self.path, what="x", pid=os.getpid()).release()
