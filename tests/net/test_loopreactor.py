"""A reactor as far as the bus needs one."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.net.loopreactor import LoopReactor


class LoopReactorTests(SynchronousTestCase):
    """Time, readers and threads on an asyncio loop."""

    def setUp(self) -> None:
        """Make a loop."""
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.reactor = LoopReactor(self.loop)
        self.seen: list[object] = []

    def run_until(self, done: Any) -> None:
        """Run the loop until ``done`` says so."""

        async def look() -> None:
            while not done():
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(look())

    def test_calls_in_order(self) -> None:
        """Calls come in the order in which they are due, with their arguments."""
        due = {
            self.reactor.callLater(delay, self.seen.append, delay).getTime(): delay
            for delay in (0.02, 0.01, 0)
        }
        self.run_until(lambda: len(self.seen) == 3)
        self.assertEqual(self.seen, [due[moment] for moment in sorted(due)])
        self.assertEqual(self.reactor.getDelayedCalls(), ())

    def test_a_call_that_was_made(self) -> None:
        """It is over, and cannot be cancelled any more."""
        call = self.reactor.callLater(0, self.seen.append, 1)
        self.assertTrue(call.active())
        self.run_until(lambda: self.seen)
        self.assertFalse(call.active())
        self.assertRaises(AlreadyCalled, call.cancel)

    def test_a_call_that_was_cancelled(self) -> None:
        """It does not come, and cannot be moved any more."""
        call = self.reactor.callLater(0, self.seen.append, "never")
        call.cancel()
        self.assertFalse(call.active())
        self.assertRaises(AlreadyCancelled, call.reset, 1)
        self.reactor.callLater(0, self.seen.append, "end")
        self.run_until(lambda: self.seen)
        self.assertEqual(self.seen, ["end"])

    def test_a_call_that_is_moved(self) -> None:
        """It comes at its new time, and only then."""
        call = self.reactor.callLater(3600, self.seen.append, "moved")
        due = call.getTime()
        call.delay(60)
        self.assertAlmostEqual(call.getTime() - due, 60)
        call.reset(0)
        self.assertLessEqual(call.getTime(), self.reactor.seconds())
        self.run_until(lambda: self.seen)

    def test_from_a_thread(self) -> None:
        """What another thread asks for is done on the loop's."""
        thread = threading.Thread(
            target=self.reactor.callFromThread,
            args=(lambda: self.seen.append(threading.get_ident()),),
        )
        thread.start()
        self.run_until(lambda: self.seen)
        thread.join()
        self.assertEqual(self.seen, [threading.get_ident()])

    def test_readers(self) -> None:
        """Somebody who reads is called until it is removed; twice is fine."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)

        class Reader:
            def fileno(self) -> int:
                return reading

            def doRead(this) -> None:  # noqa: N802, N805 - Twisted's name
                self.seen.append(os.read(reading, 9))

        reader = Reader()
        self.reactor.addReader(reader)
        os.write(writing, b"x")
        self.run_until(lambda: self.seen)
        self.reactor.removeReader(reader)
        self.reactor.removeReader(reader)
        os.write(writing, b"y")
        self.reactor.callLater(0, self.seen.append, "end")
        self.run_until(lambda: len(self.seen) > 1)
        self.assertEqual(self.seen, [b"x", "end"])
