"""A log that is a pipe whose reader stands still, goes on, or goes away."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import takewhile
from socket import socketpair
from typing import Any, TypeVar

from twisted.internet import reactor  # noqa: TID251 - it has the threads
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from tbtwist.observe.patient import PatientStream, is_pipe

T = TypeVar("T")
PATIENCE_S = 60.0
PIPE_BYTES = 64 * 1024
LINE = f"{'x' * 99}\n"
END = "the end\n"


def in_thread(function: Callable[..., T], *args: object) -> Deferred[T]:
    """Call what blocks."""
    loop: Any = reactor
    return deferToThreadPool(loop, loop.getThreadPool(), function, *args)


class PatientStreamTests(TestCase):
    """Nobody waits for the reader."""

    def setUp(self) -> None:
        """Make a pipe that holds 64 KiB."""
        self.reading, self.writing = os.pipe()
        self.stream = PatientStream(self.writing, max_waiting_bytes=2 * PIPE_BYTES)
        self.addCleanup(self.close)
        self.count = 0

    async def close(self) -> None:
        """Go away while the stream may write; it must come to an end."""
        os.close(self.reading)
        self.assertTrue(await in_thread(self.stream.settle, PATIENCE_S))
        os.close(self.writing)

    def read(self) -> str:
        """Read up to the end."""
        with os.fdopen(os.dup(self.reading)) as file:
            lines = takewhile(lambda line: line != END, file)
            return "".join(lines)

    async def test_order(self) -> None:
        """What is written arrives, in order."""
        lines = [f"line {number} \udc80\n" for number in range(500)]
        for line in [*lines, END]:
            self.stream.write(line)
        text = "".join(lines).replace("\udc80", "\\udc80")
        self.assertEqual(text, await in_thread(self.read))

    async def test_reader_stands_still(self) -> None:
        """Writing goes on; what is too much is lost, and later that is told."""
        written = 10 * PIPE_BYTES // len(LINE)
        for _ in range(written):
            self.stream.write(LINE)
        self.assertFalse(self.stream.settle(timeout_s=0))
        reading = in_thread(self.read)
        self.assertTrue(await in_thread(self.stream.settle, PATIENCE_S))
        with capturedLogs() as events:
            self.stream.write(END)
        arrived = (await reading).count("\n")
        self.assertGreaterEqual(arrived, 2 * PIPE_BYTES // len(LINE))
        self.assertEqual([written - arrived], [event["lost"] for event in events])

    async def test_reader_gone(self) -> None:
        """Nobody is told any more, and nobody waits."""
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, self.reading)
        os.close(nowhere)
        for _ in range(10 * PIPE_BYTES // len(LINE)):
            self.stream.write(LINE)
        self.assertTrue(await in_thread(self.stream.settle, PATIENCE_S))

    def test_pipes(self) -> None:
        """Pipes and sockets have somebody at the other end; a file has nobody."""
        self.assertTrue(is_pipe(self.writing))
        ours, theirs = socketpair()
        with ours, theirs:
            self.assertTrue(is_pipe(ours.fileno()))
        with open(os.devnull) as file:  # noqa: PTH123 - its descriptor counts
            self.assertFalse(is_pipe(file.fileno()))
