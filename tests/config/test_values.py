"""Single values: from a node or a variable's text to what the schema allows."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import FIELDS
from tbtwist.config.expectations import LARGEST, fits, in_words
from tbtwist.config.findings import Findings, Place
from tbtwist.config.values import NOT_GIVEN, Slot, Values
from tbtwist.errors import ConfigError

_HERE = Place("TB_X")


def from_text(key: str, text: str) -> object:
    """Return the value that a variable's ``text`` gives ``key``; problems raise."""
    findings = Findings()
    value = Values({}, findings).from_text(text, Slot.of(FIELDS[key]), _HERE)
    findings.check()
    return value


class TextTests(SynchronousTestCase):
    """A variable's text becomes what its key needs."""

    def test_numbers(self) -> None:
        """Numbers are numbers; space around them does not matter."""
        self.assertEqual(from_text("http_worker.port", " 80 "), 80)
        self.assertEqual(from_text("http_worker.timeout", "2"), 2.0)
        self.assertIsInstance(from_text("http_worker.timeout", "2"), float)

    def test_not_numbers(self) -> None:
        """What only looks like a number is refused with what was expected."""
        for text in ("0b_", "80.0", "8o", "1e2", "", " ", "true", "[80]"):
            error = self.assertRaises(ConfigError, from_text, "http_worker.port", text)
            self.assertIn("a whole number from 0 to 65535", str(error))

    def test_booleans(self) -> None:
        """Every spelling that people use is understood, also where null may stand."""
        for key in ("debug", "session.cookie_secure"):
            for text in ("true", "True", "YES", "on", "1"):
                self.assertIs(from_text(key, text), True)
            for text in ("false", "no", "OFF", "0"):
                self.assertIs(from_text(key, text), False)
        self.assertRaises(ConfigError, from_text, "debug", "2")

    def test_lists(self) -> None:
        """A list is separated by commas."""
        self.assertEqual(from_text("toolbox.modules", "a, b,,c "), ("a", "b", "c"))
        self.assertEqual(from_text("toolbox.modules", ","), ())

    def test_text(self) -> None:
        """Text is taken as it is, whatever it looks like."""
        for text in ("8000", "null", "yes", "a: b", "[x]"):
            self.assertEqual(from_text("nginx.server_name", text), text)

    def test_mapping(self) -> None:
        """A mapping cannot come from a variable."""
        key = "toolbox.level_requirements"
        self.assertRaises(ConfigError, from_text, key, "a: 1")

    def test_problem_leaves_the_default(self) -> None:
        """A wrong value is told and does not count."""
        findings = Findings()
        slot = Slot.of(FIELDS["http_worker.port"])
        value = Values({}, findings).from_text("x", slot, _HERE)
        self.assertIs(value, NOT_GIVEN)
        self.assertTrue(findings.concern("http_worker.port"))
        self.assertFalse(findings.concern("ws_worker.port"))

    @given(key=st.sampled_from(sorted(FIELDS)), text=st.text(max_size=20))
    def test_any_text(self, key: str, text: str) -> None:
        """Any text is a value that the schema allows, or a problem."""
        try:
            value = from_text(key, text)
        except ConfigError as error:
            self.assertEqual(error.problems[0].where, "TB_X")
            return
        self.assertTrue(fits(value, FIELDS[key].type))


class ExpectationTests(SynchronousTestCase):
    """The schema's types in words."""

    def test_words(self) -> None:
        """Each kind of type is said as a person would."""
        cases = {
            "http_worker.port": "a whole number from 0 to 65535",
            "http_worker.backlog": "a whole number from 1",
            "nginx.max_ws_workers": "a whole number",
            "http_worker.timeout": "a number greater than 0",
            "manager.restart_delay": "a number",
            "debug": "true or false",
            "session.cookie_secure": "true or false",
            "session.cookie_samesite": "one of Lax, None, Strict",
            "toolbox.api_prefix": "text",
            "nginx.server_name": "host names separated by spaces",
            "toolbox.modules": "a list",
            "toolbox.level_requirements": "a mapping",
        }
        for key, words in cases.items():
            self.assertEqual(in_words(FIELDS[key].type), words)

    def test_every_field_has_words(self) -> None:
        """No type of the schema is left without words."""
        for field in FIELDS.values():
            self.assertTrue(in_words(field.type), field.key)

    def test_defaults_fit(self) -> None:
        """Every default obeys its own constraints."""
        for field in FIELDS.values():
            self.assertTrue(fits(field.default, field.type), field.key)

    @given(st.one_of(st.integers(), st.floats()))
    def test_numbers_have_bounds(self, value: float) -> None:
        """No number that a socket or a timer cannot take gets through."""
        for key in ("http_worker.backlog", "http_worker.timeout"):
            if fits(value, FIELDS[key].type):
                self.assertTrue(0 < value <= LARGEST)
