"""What a process that has ended said of why."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.supervise.lastwords import RECENT_LINES, LastLines, LastWords

TIME = "2026-01-02T03:04:05.678Z"
ACCESS = f"{TIME} info [tbtwist.access] 127.0.0.1 GET / 200"


class LastWordsTests(SynchronousTestCase):
    """Lines, and the reason in them."""

    def setUp(self) -> None:
        """Begin to listen."""
        self.words = LastWords()

    def printed(self, *lines: str) -> str:
        """Let it print; return the reason."""
        for line in lines:
            self.words.printed(line)
        return self.words.reason

    def complained(self, *lines: str) -> str:
        """Let it complain; return the reason."""
        for line in lines:
            self.words.complained(line)
        return self.words.reason

    def test_nothing_said(self) -> None:
        """Ordinary output is no reason."""
        self.assertEqual(self.printed(ACCESS, "a print", f"{TIME} warn [x] hm"), "")
        self.assertEqual(
            self.printed('{"time":"t","level":"info","message":"fine"}', "{"), ""
        )

    def test_errors_in_the_log(self) -> None:
        """An error is, with the last line of its traceback, and what follows is not."""
        said = self.printed(f"{TIME} critical [shop] buying failed")
        self.assertEqual(said, "buying failed")
        said = self.printed(
            "Traceback (most recent call last):",
            '  File "shop.py", line 3, in buy',
            "builtins.ValueError: no money",
        )
        self.assertEqual(said, "buying failed: builtins.ValueError: no money")
        self.assertEqual(self.printed(ACCESS, "a print"), said)

    def test_errors_in_json(self) -> None:
        """The same, when the log is JSON."""
        record = '{"time":"t","level":"error","message":"no luck","traceback":"a\\\\n  b\\\\nE: c\\\\n"}'
        self.assertEqual(self.printed(record.replace("\\\\", "\\")), "no luck: E: c")
        self.assertEqual(
            self.printed('{"time":"t","level":"critical","message":"gone"}'), "gone"
        )

    def test_complaints(self) -> None:
        """What comes last on standard error is the reason, before the log's."""
        self.printed(f"{TIME} error [shop] buying failed")
        said = self.complained(
            "Traceback (most recent call last):",
            '  File "shop.py", line 3, in <module>',
            "ModuleNotFoundError: No module named 'x'",
        )
        self.assertEqual(said, "ModuleNotFoundError: No module named 'x'")
        self.assertEqual(self.words.complaint, said)

    def test_warnings(self) -> None:
        """Warnings of Python and of libraries are none."""
        said = self.complained(
            "/usr/lib/x.py:12: DeprecationWarning: x is old",
            "  x.old()",
            "sys:1: ResourceWarning: unclosed file",
            "RuntimeWarning: coroutine was never awaited",
        )
        self.assertEqual(said, "")

    def test_long_ago(self) -> None:
        """What was followed by many other lines was not the end of it."""
        self.complained("cannot find a font")
        self.printed(f"{TIME} error [shop] buying failed")
        self.assertEqual(
            self.printed(*[ACCESS] * (RECENT_LINES - 2)), "cannot find a font"
        )
        self.assertEqual(self.printed(ACCESS), "buying failed")
        self.assertEqual(self.printed(ACCESS), "")


class LastLinesTests(SynchronousTestCase):
    """What is kept to be shown."""

    def test_requests_leave_room(self) -> None:
        """However many requests there were, what else was said is kept, in order."""
        lines = LastLines()
        traced = ACCESS.replace("access]", "access trace_id=1]")
        lines.add("before")
        json = '{"time":"t","level":"info","logger":"tbtwist.access","client":"::1"}'
        for number in range(100):
            lines.add(f"{traced} {number}")
            lines.add(json)
        lines.add("behind")
        kept = lines.all()
        self.assertEqual(("before", "behind"), (kept[0], kept[-1]))
        self.assertEqual([f"{traced} 95", json, f"{traced} 96"], list(kept[1:4]))
        self.assertEqual(12, len(kept))

    def test_bounded(self) -> None:
        """The oldest have to go."""
        lines = LastLines()
        for number in range(80):
            lines.add(f"line {number}")
        self.assertEqual(tuple(f"line {n}" for n in range(30, 80)), lines.all())
