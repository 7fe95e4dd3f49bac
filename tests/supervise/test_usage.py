"""What a process uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.supervise.usage import Usage, UsageMeter, oom_kills


class FakePsutil:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.asked = 0
        self.gone = False

    def open(self, pid: int) -> Any:
        """Return a process."""
        self.opened.append(pid)
        if self.gone:
            raise psutil.NoSuchProcess(pid)
        return self

    def memory_info(self) -> Any:
        """Return a growing figure."""
        if self.gone:
            raise psutil.NoSuchProcess(1)
        self.asked += 1
        return type("Memory", (), {"rss": self.asked * 1000})

    def cpu_percent(self) -> float:
        """Return a fixed figure."""
        return 12.5


class UsageMeterTests(SynchronousTestCase):
    """Asking psutil, not too often."""

    def setUp(self) -> None:
        """Have a fake psutil."""
        self.clock = Clock()
        self.psutil = FakePsutil()
        self.meter = UsageMeter(self.clock.seconds, self.psutil.open)

    def test_twice_a_second_at_most(self) -> None:
        """Within half a second the answer is the same; later it is fresh."""
        first = self.meter(7)
        self.clock.advance(0.4)
        self.assertEqual(self.meter(7), first)
        self.clock.advance(0.2)
        self.assertEqual(self.meter(7), Usage(2000, 12.5))

    def test_opened_once(self) -> None:
        """A process is opened once: its CPU is measured between two looks."""
        for _ in range(3):
            self.meter(7)
            self.clock.advance(1)
        self.assertEqual(self.psutil.opened, [7])

    def test_no_such_process(self) -> None:
        """Of a process that is not there nothing is known."""
        self.psutil.gone = True
        self.assertIsNone(self.meter(7))

    def test_gone_meanwhile(self) -> None:
        """A process that ended is forgotten, so a new one with its pid starts afresh."""
        self.meter(7)
        self.clock.advance(1)
        self.psutil.gone = True
        self.assertIsNone(self.meter(7))
        self.psutil.gone = False
        self.assertIsNotNone(self.meter(7))
        self.assertEqual(self.psutil.opened, [7, 7])

    def test_forgets(self) -> None:
        """A process that nobody asked about for a minute is forgotten."""
        self.meter(7)
        self.clock.advance(61)
        self.meter(8)
        self.meter(7)
        self.assertEqual(self.psutil.opened, [7, 8, 7])

    def test_really(self) -> None:
        """This very process uses memory."""
        usage = UsageMeter(self.clock.seconds)(os.getpid())
        assert usage is not None
        self.assertGreater(usage.memory_bytes, 1_000_000)


class MemoryTests(SynchronousTestCase):
    """What the kernel says about a lack of memory."""

    def test_counter(self) -> None:
        """Its counter is found among others; without one nothing is known."""
        path = Path(self.mktemp())
        path.write_text("oom_kill_x 9\nnr_dirty 4\noom_kill 7\n")
        self.assertEqual(oom_kills(path), 7)
        path.write_text("nr_dirty 4\n")
        self.assertEqual(oom_kills(path), 0)
        self.assertEqual(oom_kills(path.with_name("gone")), 0)
