"""Every error is a sentence with its facts in it."""

from __future__ import annotations

import inspect
from string import Formatter
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tbtwist import errors
from tbtwist.errors import (
    ConfigError,
    ConfigProblem,
    DeadlinePassed,
    NotStarted,
    TbtwistError,
)

SAMPLES: dict[str, object] = {
    "str": "some {text}",
    "int": 4711,
    "float": 2.5,
    "tuple[ConfigProblem, ...]": (ConfigProblem("a.yaml:1:2", "port", "a number"),),
}


def all_errors() -> list[type[TbtwistError]]:
    """Return every error class that we have."""
    return [
        each
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, TbtwistError)
    ]


def sample(cls: type[TbtwistError]) -> TbtwistError:
    """Return an error with a fact of the right type in every attribute."""
    facts: Any = vars(cls).get("__attrs_attrs__", ())
    return cls(*(SAMPLES.get(str(fact.type), ()) for fact in facts))


def sentence_of(cls: type[TbtwistError]) -> str:
    """Return the first paragraph of an error's docstring in one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


class SentenceTests(SynchronousTestCase):
    """What a user reads."""

    def test_all(self) -> None:
        """Each has its own sentence, in which every named fact has been filled in."""
        for cls in all_errors():
            error, template = sample(cls), sentence_of(cls)
            shown = str(error)
            self.assertNotIn("Traceback", shown)
            for literal, name, spec, _ in Formatter().parse(template):
                if cls is not ConfigError:
                    self.assertIn(literal, shown, cls)
                if name:
                    fact = getattr(error, name)
                    self.assertIn(format(fact, spec or ""), shown, cls)

    def test_no_two_alike(self) -> None:
        """No two errors read the same."""
        sentences = [sentence_of(cls) for cls in all_errors()]
        self.assertEqual(len(set(sentences)), len(sentences))
        self.assertNotIn("", sentences)

    def test_form(self) -> None:
        """A sentence ends as one, or is worded by somebody else, wholly or at its end."""
        for cls in set(all_errors()) - {NotStarted}:
            self.assertTrue(sentence_of(cls).endswith((".", "}")), cls)

    def test_facts_are_attributes(self) -> None:
        """Code that catches an error finds its facts without parsing the text."""
        self.assertEqual(DeadlinePassed(timeout_s=2.5).timeout_s, 2.5)
        self.assertEqual(
            str(DeadlinePassed(timeout_s=30.0)), "The call did not finish within 30 s."
        )

    def test_braces_in_facts(self) -> None:
        """A fact may hold braces without being taken for a place to fill."""
        shown = str(errors.BadFrame(reason="{reason} {x}"))
        self.assertEqual(shown, "A message on the bus cannot be read: {reason} {x}.")

    def test_identity(self) -> None:
        """Two errors with the same facts are two errors."""
        self.assertNotEqual(errors.BadFrame(reason="a"), errors.BadFrame(reason="a"))


class ConfigErrorTests(SynchronousTestCase):
    """All problems of a configuration at once."""

    def test_one_line_each(self) -> None:
        """Each problem is a line that an editor can jump to."""
        error = ConfigError(
            (
                ConfigProblem("a.yaml:1:2", "http_worker.port", "expected a number"),
                ConfigProblem("a.yaml:9:1", "prot", "unknown key; did you mean port?"),
            )
        )
        self.assertEqual(
            str(error).splitlines(),
            [
                "a.yaml:1:2: http_worker.port: expected a number",
                "a.yaml:9:1: prot: unknown key; did you mean port?",
            ],
        )
        self.assertEqual(
            error.summary,
            "a.yaml:1:2: http_worker.port: expected a number; "
            "a.yaml:9:1: prot: unknown key; did you mean port?",
        )
