"""Pools of threads that keep no process from ending."""

from __future__ import annotations

import subprocess
import sys
import threading

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.roles.threads import Threads, ended
from tests.integration.system import reactor

STUCK = """
import time
from tbtwist.roles.threads import Threads
threads = Threads(0, 1)
threads.start()
threads.callInThread(time.sleep, 600)
print("over")
"""


class EndedTests(TestCase):
    """Waiting for threads."""

    async def test_done(self) -> None:
        """It is over when all work is."""
        threads = Threads(0, 2)
        threads.start()
        done: list[int] = []
        threads.callInThread(done.append, 1)
        await ended(reactor, [threads, Threads(0, 1)], 60)
        self.assertEqual([1], done)
        self.assertFalse(any(each.is_alive() for each in threads.threads))


class StuckTests(SynchronousTestCase):
    """Work that never ends."""

    def test_given_up(self) -> None:
        """It is waited for as long as was said."""
        clock = Clock()
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        threads = Threads(0, 1)
        threads.start()
        threads.callInThread(go_on.wait)
        waiting = Deferred.fromCoroutine(ended(clock, [threads], 2))
        clock.pump([0.5] * 3)
        self.assertNoResult(waiting)
        clock.pump([0.5] * 2)
        self.successResultOf(waiting)

    def test_the_process_ends(self) -> None:
        """Python does not wait for it at its exit."""
        done = subprocess.run(
            [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60,
            check=True,
        )  # fmt: skip
        self.assertEqual("over\n", done.stdout)
