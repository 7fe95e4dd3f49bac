"""Noticing that a child has ended."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.supervise.reaping import ExitWatch
from tests.supervise.fakes import no_pidfd


class Readers(Clock):
    """A reactor that only remembers who wants to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        """Remember it."""
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        """Forget it."""
        self.readers.remove(reader)


class ExitWatchTests(SynchronousTestCase):
    """Watching one process."""

    def setUp(self) -> None:
        """Have a process that ends when it is told to."""
        self.reactor = Readers()
        self.process = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
        )
        self.addCleanup(self.end)

    def end(self) -> None:
        """Let it end."""
        if self.process.returncode is None:
            self.process.communicate(b"\n")

    def test_readable_at_its_end(self) -> None:
        """What is watched becomes readable when the process ends, then no longer."""
        watch = ExitWatch.begin(self.reactor, self.process.pid, os.pidfd_open)
        assert watch is not None
        self.assertEqual(self.reactor.readers, [watch])
        self.end()
        watch.doRead()
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(watch.fileno(), -1)

    def test_close_twice(self) -> None:
        """The watch can be ended early, and more than once."""
        watch = ExitWatch.begin(self.reactor, self.process.pid, os.pidfd_open)
        assert watch is not None
        descriptor = watch.fileno()
        watch.close()
        watch.close()
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertEqual(self.reactor.readers, [])

    def test_old_kernel(self) -> None:
        """Where there is no pidfd, nothing is watched and nothing breaks."""
        self.assertIsNone(ExitWatch.begin(self.reactor, self.process.pid, no_pidfd))
