"""Places, problems and warnings."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.findings import DEFAULT, Findings, Place, shown
from tbtwist.errors import ConfigError


class FindingsTests(SynchronousTestCase):
    """What was found is told together."""

    def test_nothing(self) -> None:
        """Without problems a check passes; warnings are no problems."""
        findings = Findings()
        findings.warn(Place("c.yaml", 1, 2), "a.b", "is old")
        findings.check()
        self.assertEqual(findings.warnings, ("c.yaml:1:2: a.b: is old",))

    def test_order(self) -> None:
        """Problems come in the order of the file, variables last."""
        findings = Findings()
        findings.problem(Place("TB_X"), "x", "one")
        findings.problem(Place("c.yaml", 10, 1), "b", "two")
        findings.problem(Place("c.yaml", 9, 9), "a", "three")
        error = self.assertRaises(ConfigError, findings.check)
        self.assertEqual(
            str(error),
            "c.yaml:9:9: a: three\nc.yaml:10:1: b: two\nTB_X: x: one",
        )
        self.assertEqual([problem.key for problem in error.problems], ["a", "b", "x"])

    def test_stop(self) -> None:
        """Giving up tells what was found before as well."""
        findings = Findings()
        findings.problem(Place("c.yaml", 1, 1), "a", "one")
        error = self.assertRaises(
            ConfigError, findings.stop, Place("c.yaml", 2, 1), "b", "two"
        )
        self.assertEqual(len(error.problems), 2)


class PlaceTests(SynchronousTestCase):
    """Where something was written."""

    def test_text(self) -> None:
        """A position has line and column, everything else only a name."""
        self.assertEqual(str(Place("c.yaml", 3, 9)), "c.yaml:3:9")
        self.assertEqual(str(Place("TB_X")), "TB_X")
        self.assertEqual(str(DEFAULT), "default")

    @given(st.text())
    def test_shown(self, text: str) -> None:
        """Whatever is shown is printable and short."""
        self.assertTrue(shown(text).isprintable())
        self.assertLessEqual(len(shown(text)), 40)

    @given(st.text("abcXYZ019_.-/", max_size=40))
    def test_plain_text_is_shown_as_it_is(self, text: str) -> None:
        """Ordinary short text is shown unchanged."""
        self.assertEqual(shown(text), text)
