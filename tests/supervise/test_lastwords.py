"""What a process that has ended said of why."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.supervise.lastwords import RECENT_LINES, LastWords

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
        self.assertEqual(self.printed('{"level":"info","message":"fine"}', "{"), "")

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
        record = '{"level":"error","message":"no luck","traceback":"a\\\\n  b\\\\nE: c\\\\n"}'
        self.assertEqual(self.printed(record.replace("\\\\", "\\")), "no luck: E: c")
        self.assertEqual(self.printed('{"level":"critical","message":"gone"}'), "gone")

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
