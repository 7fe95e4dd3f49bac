"""Any document gives settings or a ConfigError, never another exception."""

from __future__ import annotations

import yaml
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import FIELDS, SECRETS, SECTIONS, Field, disassemble
from tbtwist.config.environment import VARIABLES
from tbtwist.config.expectations import fits
from tbtwist.config.listing import listing
from tbtwist.errors import ConfigError
from tests.config.reading_cases import reading

_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["${A}", "${A:1}", "x${B}", "~/a", "~b", "0", "yes", "\ud800", "\n"]
    ),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.binary(max_size=4),
    _TEXTS,
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_SCALARS, inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = st.one_of(
    st.sampled_from(sorted({f.name for f in FIELDS.values()} | {"instances"})),
    st.text(max_size=6),
)
_SECTIONS = st.one_of(st.sampled_from(sorted(SECTIONS)), _NAMES)
_DOCUMENTS = st.dictionaries(
    _SECTIONS,
    st.one_of(st.dictionaries(_NAMES, _VALUES, max_size=4), _VALUES),
    max_size=4,
)
_ENVIRONMENTS = st.dictionaries(
    st.sampled_from([*VARIABLES, "A", "B"]), st.text(max_size=8), max_size=4
)


class AnyDocumentTests(SynchronousTestCase):
    """Whatever somebody writes."""

    @given(document=_DOCUMENTS, environ=_ENVIRONMENTS)
    def test_settings_or_problems(
        self, document: dict[str, object], environ: dict[str, str]
    ) -> None:
        """Settings obey the schema, and problems are printable lines."""
        text = yaml.safe_dump(document, allow_unicode=False)
        try:
            found = reading(text, environ)
        except ConfigError as error:
            for line in str(error).split("\n"):
                self.assertTrue(line.isprintable(), repr(line))
            return
        for key, value in disassemble(found.settings).items():
            self.assertTrue(fits(value, FIELDS[key].type), key)

    @given(st.text(max_size=80))
    def test_any_text(self, text: str) -> None:
        """A file with anything in it is settings or a ConfigError."""
        encodable = text.encode("utf-8", "replace").decode()
        try:
            reading(encodable)
        except ConfigError as error:
            self.assertTrue(error.problems)

    @given(environ=_ENVIRONMENTS)
    def test_any_environment(self, environ: dict[str, str]) -> None:
        """Variables with anything in them are settings, or problems that name them."""
        try:
            reading(None, environ)
        except ConfigError as error:
            for problem in error.problems:
                self.assertIn(problem.where, VARIABLES)


class RoundTripTests(SynchronousTestCase):
    """What ``config show`` prints can be read again."""

    @given(st.data())
    def test_listing_is_a_configuration(self, data: st.DataObject) -> None:
        """The listing of any settings, read as a file, gives these settings."""
        chosen = data.draw(st.sampled_from(_plain_fields()))
        value = data.draw(_value_for(chosen))
        section, name = chosen.section, chosen.name
        document = {section: {name: value}} if section else {name: value}
        try:
            first = reading(yaml.safe_dump(document)).settings
        except ConfigError:
            return
        self.assertEqual(reading(listing(first)).settings, first)


def _plain_fields() -> list[Field]:
    return [
        field
        for field in FIELDS.values()
        if field.has_effect and field.key not in SECRETS
    ]


def _value_for(field: Field) -> st.SearchStrategy[object]:
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, (int, float)):
        return st.integers(-3, 70_000)
    if isinstance(field.default, tuple):
        return st.lists(st.text("a*:#-,'\" x", min_size=1, max_size=5), max_size=3)
    if isinstance(field.default, dict):
        return st.dictionaries(st.text("aB.: ", min_size=1), st.integers(-1, 2))
    return st.text("a/~*:#-{}[]'\" x", max_size=8)
