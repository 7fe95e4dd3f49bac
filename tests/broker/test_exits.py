"""What the manager tells its broker."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.broker.exits import ExitReader
from tests.bus.test_sockets import ClockReactor


class ExitReaderTests(SynchronousTestCase):
    """Reading who has ended."""

    def setUp(self) -> None:
        """Open a pipe and read from it."""
        reading, self.writing = os.pipe()
        self.addCleanup(self.close_writing)
        os.set_blocking(reading, False)
        self.reactor = ClockReactor()
        self.ended: list[tuple[str, int]] = []
        self.reader = ExitReader(
            self.reactor,
            reading,
            lambda slot, number: self.ended.append((slot, number)),
        )
        self.addCleanup(self.reader.close)

    def close_writing(self) -> None:
        """End the manager."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def hear(self, data: bytes) -> None:
        """Let the manager write, and the reactor notice."""
        os.write(self.writing, data)
        self.reader.doRead()

    def test_lines(self) -> None:
        """Each line is a process; one that is cut off is waited for."""
        self.assertEqual(self.reactor.readers, {self.reader})
        self.hear(b"http-1.7\nws-")
        self.assertEqual(self.ended, [("http-1", 7)])
        self.hear(b"2.13\n")
        self.assertEqual(self.ended, [("http-1", 7), ("ws-2", 13)])

    def test_nonsense(self) -> None:
        """What names no process is passed over."""
        self.hear(b"hello\nhttp-1.x\n\n\xff\nhttp-1.1\n")
        self.assertEqual(self.ended, [("http-1", 1)])

    def test_the_manager_is_gone(self) -> None:
        """Then there is nothing more to read."""
        self.close_writing()
        self.reader.doRead()
        self.assertEqual(self.reactor.readers, set())
        self.reader.close()
        self.reader.close()
