"""Printed lines are logged, by way of streams that applications can handle."""

from __future__ import annotations

import sys
from typing import Any

from twisted.logger import Logger, LoggingFile, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.observe.printing import line_stream, redirect_prints


class LineStreamTests(SynchronousTestCase):
    """A stream and what is heard of it."""

    def setUp(self) -> None:
        """Make one."""
        self.heard: list[str] = []
        self.stream = line_stream(self.heard.append, 1)
        self.addCleanup(self.stream.detach)

    def test_lines(self) -> None:
        """Each line is heard once it is complete, in whatever pieces it came."""
        print("a", end="", file=self.stream)
        self.assertEqual([], self.heard)
        print("b\nc", "\n\nd", file=self.stream)
        self.assertEqual(["ab", "c ", "", "d"], self.heard)
        self.stream.writelines(["e\n", "f\r\n"])
        self.assertEqual(["e", "f\r"], self.heard[-2:])

    def test_odd_text(self) -> None:
        """What is no text is escaped: nobody fails because of what he prints."""
        print("\udc80 ☃", file=self.stream)
        self.stream.buffer.write(b"\xe2\x98")
        self.stream.buffer.write(b"\x83 \xff\n")
        self.assertEqual(["\\udc80 ☃", "☃ \\xff"], self.heard)

    def test_what_applications_do(self) -> None:
        """It can be configured, asked, and handed to who needs a descriptor."""
        self.stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
        self.assertEqual(
            ("utf-8", "replace"), (self.stream.encoding, self.stream.errors)
        )
        self.assertTrue(self.stream.writable())
        self.assertFalse(self.stream.isatty())
        self.assertEqual(1, self.stream.fileno())


class RedirectTests(SynchronousTestCase):
    """In the place of twistd's."""

    def streams(self, **found: Any) -> None:
        """Let these be there."""
        for name, stream in found.items():
            self.patch(sys, name, stream)

    def test_redirected(self) -> None:
        """Lines are logged as twistd would log them."""
        names = ("stdout", "stderr")
        self.streams(**{name: LoggingFile(Logger(name)) for name in names})
        redirect_prints()
        with capturedLogs() as events:
            sys.stdout.write("hello {x}\n")
            sys.stderr.write("oh\n")
        self.assertEqual(["hello {x}", "oh"], [formatEvent(event) for event in events])
        levels = [(event["log_namespace"], event["log_level"]) for event in events]
        expected = [("stdout", LogLevel.info), ("stderr", LogLevel.error)]
        self.assertEqual(expected, levels)

    def test_left_alone(self) -> None:
        """A terminal stays one."""
        before = sys.stdout, sys.stderr
        redirect_prints()
        self.assertEqual(before, (sys.stdout, sys.stderr))
