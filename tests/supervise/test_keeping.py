"""What a manager keeps in its data directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import AlreadyRunning, DataDirUnusable
from tbtwist.supervise.keeping import (
    ExitPipe,
    Generations,
    Lifeline,
    sweep_peer,
    sweep_sockets,
    take_manager_lock,
    take_workers_lock,
)


class KeepingCase(SynchronousTestCase):
    """Has a data directory."""

    def setUp(self) -> None:
        """Make it."""
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)

    def names(self) -> list[str]:
        """Return what is in it."""
        return [each.name for each in self.data_dir.iterdir()]


class GenerationsTests(KeepingCase):
    """Counting the processes of every slot."""

    def test_counts_from_one(self) -> None:
        """Every slot counts for itself, from 1."""
        generations = Generations.load(self.data_dir)
        self.assertEqual(generations.next("http-1"), 1)
        self.assertEqual(generations.next("http-1"), 2)
        self.assertEqual(generations.next("ws-1"), 1)

    def test_survives_the_manager(self) -> None:
        """The next manager goes on counting where the last one was."""
        Generations.load(self.data_dir).next("http-1")
        self.assertEqual(Generations.load(self.data_dir).next("http-1"), 2)

    def test_unreadable(self) -> None:
        """A damaged file is named; the count does not begin again by itself."""
        (self.data_dir / "generations.json").write_text("{")
        error = self.assertRaises(DataDirUnusable, Generations.load, self.data_dir)
        self.assertIn("generations.json", str(error))

    def test_cannot_be_written(self) -> None:
        """A generation that cannot be written down is not given out."""
        generations = Generations.load(self.data_dir / "gone")
        self.assertRaises(OSError, generations.next, "http-1")
        (self.data_dir / "gone").mkdir()
        self.assertEqual(generations.next("http-1"), 1)

    def test_leaves_nothing_beside(self) -> None:
        """There is one file, never a half-written one."""
        Generations.load(self.data_dir).next("http-1")
        self.assertEqual(self.names(), ["generations.json"])


class LockTests(KeepingCase):
    """One manager, and its workers."""

    def test_one_manager(self) -> None:
        """The second manager learns the pid of the first."""
        lock = take_manager_lock(self.data_dir, 4711)
        self.addCleanup(lock.release)
        error = self.assertRaises(
            AlreadyRunning, take_manager_lock, self.data_dir, 4712
        )
        self.assertEqual((error.pid, error.what), (4711, "manager"))

    def test_workers_hold_their_lock(self) -> None:
        """While a worker of a dead manager lives, the next manager can tell."""
        lock = take_workers_lock(self.data_dir, 1)
        assert lock is not None
        worker = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            pass_fds=[lock.fileno()],
        )
        lock.release()
        self.assertIsNone(take_workers_lock(self.data_dir, 2))
        worker.communicate(b"\n")
        free = take_workers_lock(self.data_dir, 2)
        assert free is not None
        free.release()

    def test_sweeps(self) -> None:
        """Sockets that a killed manager and its workers left are removed, nothing else."""
        for name in ("notify-http-1.7", "peer-http-1.7.aa", "broker.pid"):
            (self.data_dir / name).touch()
        sweep_sockets(self.data_dir)
        self.assertEqual(self.names(), ["broker.pid"])


class PeerTests(KeepingCase):
    """Sockets of workers that were killed."""

    def test_of_one_process(self) -> None:
        """Those of the process that has ended are removed, and no others."""
        for name in ("peer-http-1.7.aa", "peer-http-1.71.bb", "peer-http-11.7.cc"):
            (self.data_dir / name).touch()
        sweep_peer(self.data_dir, "http-1", 7)
        self.assertEqual(self.names(), ["peer-http-1.71.bb", "peer-http-11.7.cc"])


class ExitPipeTests(SynchronousTestCase):
    """How the broker learns who has ended."""

    def setUp(self) -> None:
        """Open a pipe."""
        self.pipe = ExitPipe.open()
        self.addCleanup(self.pipe.close)

    def test_news_wait_for_a_reader(self) -> None:
        """What nobody has read yet is there for the next broker."""
        self.pipe.tell("http-1", 7)
        self.pipe.tell("ws-2", 1)
        self.assertEqual(os.read(self.pipe.read_end, 99), b"http-1.7\nws-2.1\n")

    def test_nobody_reads(self) -> None:
        """A broker that reads nothing does not block the manager."""
        for generation in range(20_000):
            self.pipe.tell("http-1", generation)
        self.assertEqual(os.read(self.pipe.read_end, 9), b"http-1.0\n")

    def test_closed(self) -> None:
        """After the end there is nobody to tell."""
        self.pipe.close()
        self.pipe.tell("http-1", 7)
        self.assertEqual(self.pipe.read_end, -1)


class LifelineTests(SynchronousTestCase):
    """The pipe between manager and children."""

    def test_end_is_heard(self) -> None:
        """When the manager is gone, whoever holds the other end reads its end."""
        lifeline = Lifeline.open()
        childs = os.dup(lifeline.child_end)
        self.addCleanup(os.close, childs)
        os.set_blocking(childs, False)
        self.assertRaises(BlockingIOError, os.read, childs, 1)
        lifeline.cut()
        lifeline.cut()
        self.assertEqual(os.read(childs, 1), b"")
