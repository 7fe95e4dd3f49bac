"""What somebody may be called in the chat."""

from __future__ import annotations

import unicodedata

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.demo.names import MAX_NAME, guest_name, name_problem, tidy

_GOOD = (
    "Ada",
    "Grace Hopper",
    "O'Neill",
    "Jean-Luc",
    "R2-D2",
    "J. R. R.",
    "snake_case",
    "Zoë",
    "Łukasz",
    "李小龍",
    "सरस्वती",
    "محمد",
    "7",
)


class NameTests(SynchronousTestCase):
    """`name_problem` and `tidy`."""

    def test_names_of_the_world(self) -> None:
        """People can use the name that they have, in whatever script."""
        for name in _GOOD:
            self.assertEqual("", name_problem(tidy(name)), name)

    def test_no_name(self) -> None:
        """Who enters nothing, or only spaces, is asked for a name."""
        for name in ("", "   ", "\t\n"):
            self.assertEqual("Please enter a name.", name_problem(tidy(name)))

    def test_too_long(self) -> None:
        """A name that is too long is refused, and I learn by how much."""
        self.assertEqual("", name_problem("x" * MAX_NAME))
        self.assertEqual(
            "A name has at most 32 characters; this one has 33.",
            name_problem("x" * (MAX_NAME + 1)),
        )

    def test_markup_is_no_name(self) -> None:
        """Nobody can put markup into a name, and the odd character is named."""
        self.assertEqual("A name cannot contain <.", name_problem("<b>Ada</b>"))

    def test_invisible_characters(self) -> None:
        """Nobody can look like somebody else with characters that do not show."""
        self.assertEqual(
            r"A name cannot contain '\u202e'.",
            name_problem("Ada\N{RIGHT-TO-LEFT OVERRIDE}"),
        )
        self.assertEqual(
            r"A name cannot contain '\u200b'.", name_problem("A\N{ZERO WIDTH SPACE}da")
        )

    def test_only_punctuation(self) -> None:
        """A name has at least one letter or digit in it."""
        self.assertEqual("A name needs a letter or a digit.", name_problem("-.-"))

    def test_guests_are_guests(self) -> None:
        """Nobody can call themselves what people without a name are called."""
        for name in ("guest-3f9a", "Guest", "GUEST star"):
            self.assertIn("begin with guest", name_problem(name))

    def test_tidy(self) -> None:
        """Spaces around and within a name do not make another person."""
        self.assertEqual("Ada Lovelace", tidy("  Ada \t Lovelace\n"))
        self.assertEqual("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", tidy("Zoe\u0308"))

    def test_guest_name(self) -> None:
        """A guest is told from other guests by the end of the connection's id."""
        self.assertEqual(
            "guest-3f9a", guest_name("00010000-0003-8a11-9bcd-0123456f3f9a")
        )

    @given(st.text(max_size=60))
    def test_whatever_is_entered(self, entered: str) -> None:
        """Whatever I enter, I get a name without odd characters, or a reason."""
        name = tidy(entered)
        self.assertEqual(name, tidy(name))
        problem = name_problem(name)
        if problem:
            self.assertTrue(problem.endswith("."), problem)
        else:
            self.assertTrue(1 <= len(name) <= MAX_NAME)
            kinds = {unicodedata.category(char)[0] for char in name}
            self.assertTrue(kinds <= set("LMNPZ"), (name, kinds))
