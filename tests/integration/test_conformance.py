"""The protocol's own test suite, where it is installed."""

from __future__ import annotations

import os
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from benchmarks.conformance import SHORT, WHOLE, Verdict, find_wstest, run, summary
from tests.integration.system import threads


class ConformanceTests(TestCase):
    """Autobahn's TestSuite against the worker's protocol with an echo behind it."""

    timeout = 3600

    async def test_suite(self) -> None:
        """Every case passes; all of them with ``TB_WSTEST_ALL``, else a good part."""
        wstest = find_wstest(os.environ)
        if wstest is None:
            msg = "there is no wstest (CONTRIBUTING.md tells how to get one)"
            raise SkipTest(msg)
        parts = WHOLE if os.environ.get("TB_WSTEST_ALL") else SHORT
        verdicts = await threads(self)(run, wstest, parts)
        self.assertGreater(len(verdicts), 100)
        self.assertEqual([v for v in verdicts if not v.passed], [])


class SummaryTests(TestCase):
    """The page about the last run."""

    def test_failures(self) -> None:
        """What failed is named, and counted."""
        page = summary(
            [
                Verdict("1.1.1", "OK", "OK"),
                Verdict("1.1.2", "OK", "UNCLEAN"),
                Verdict("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ],
            "Facts.",
        )
        self.assertIn("**2 of 3 cases passed.**", page)
        self.assertIn("| 1 | Framing | 2 | 1 passed, 1 failed |", page)
        self.assertIn("- 1.1.2: OK, closing UNCLEAN", page)
