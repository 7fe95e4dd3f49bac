"""Plain values by YAML's rules, and ``${VAR}``."""

from __future__ import annotations

import yaml
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.scalars import (
    CannotType,
    placeholders,
    resolve,
    substitute,
    typed,
)

_NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)


class SubstituteTests(SynchronousTestCase):
    """``${VAR}`` in strings."""

    def test_set(self) -> None:
        """A variable that is set is replaced by its value, wherever it stands."""
        text = substitute("a ${X} b${X}", {"X": "1"})
        self.assertEqual(text, "a 1 b1")

    def test_default(self) -> None:
        """A variable that is not set has its default; that may have colons."""
        text = substitute("${URL:tcp://127.0.0.1:5555}", {})
        self.assertEqual(text, "tcp://127.0.0.1:5555")

    def test_set_goes_before_default(self) -> None:
        """A value, even an empty one, goes before the default."""
        self.assertEqual(substitute("${X:5}", {"X": "6"}), "6")
        self.assertEqual(substitute("${X:5}", {"X": ""}), "")

    def test_unset_without_default(self) -> None:
        """Without value and default it counts as empty."""
        self.assertEqual(substitute("<${X}>", {}), "<>")

    def test_not_a_placeholder(self) -> None:
        """A lone dollar or brace stays as it is."""
        for text in ("$X", "${", "${}", "{X}", "${1X}", "$${"):
            self.assertEqual(substitute(text, {"X": "no"}), text)

    def test_once(self) -> None:
        """What comes out of a variable is not looked through again."""
        self.assertEqual(substitute("${X}", {"X": "${Y}", "Y": "no"}), "${Y}")

    def test_names(self) -> None:
        """The variables that a text asks for are known by name."""
        self.assertEqual(placeholders("${A} ${B:c} $C"), ("A", "B"))

    @given(st.text())
    def test_text_without_dollar_is_unchanged(self, text: str) -> None:
        """Nothing else in a string is touched."""
        text = text.replace("$", "")
        self.assertEqual(substitute(text, {}), text)

    @given(name=_NAMES, value=st.text(), before=st.text("ab$"), after=st.text("ab}"))
    def test_every_value_arrives(
        self, name: str, value: str, before: str, after: str
    ) -> None:
        """Any value arrives unchanged between what stands around it."""
        text = substitute(f"{before}${{{name}}}{after}", {name: value})
        self.assertEqual(text, f"{before}{value}{after}")


class ResolveTests(SynchronousTestCase):
    """What an unquoted text is."""

    def test_kinds(self) -> None:
        """Numbers, booleans and nothing are recognised; the rest is text."""
        cases = {"8000": 8000, "1.5": 1.5, "yes": True, "off": False, "": None}
        texts = {"abc": "abc", "2026-11-24": "2026-11-24", "=": "=", "<<": "<<"}
        for text, value in {**cases, **texts}.items():
            self.assertEqual(resolve(text), value)

    def test_numbers_that_are_none(self) -> None:
        """What looks like a number to YAML but is none is refused, not a crash."""
        for text in ("0b_", "0x_", "9" * 5000):
            self.assertRaises(CannotType, resolve, text)

    def test_unknown_tag(self) -> None:
        """A tag that would construct something is refused."""
        error = self.assertRaises(CannotType, typed, "!!python/object:os.system", "x")
        self.assertEqual(str(error), "expected no tag here")

    def test_explicit_tag(self) -> None:
        """A plain tag decides, and must fit."""
        self.assertEqual(typed("tag:yaml.org,2002:str", "5"), "5")
        for kind in ("int", "bool", "float"):
            self.assertRaises(CannotType, typed, f"tag:yaml.org,2002:{kind}", "")

    @given(st.text())
    def test_never_another_exception(self, text: str) -> None:
        """Any text is a value or is refused."""
        try:
            value = resolve(text)
        except CannotType:
            return
        self.assertIsInstance(value, (type(None), bool, int, float, str))

    @given(st.one_of(st.integers(-(10**9), 10**9), st.booleans(), st.none()))
    def test_agrees_with_yaml(self, value: object) -> None:
        """What YAML writes for a value is read as that value."""
        written = yaml.safe_dump(value).split("\n")[0]
        self.assertEqual(resolve(written), value)
