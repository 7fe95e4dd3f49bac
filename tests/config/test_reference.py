"""The generated template and reference page, and the listing of settings."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import FIELDS, disassemble
from tbtwist.config.descriptions import DESCRIPTIONS
from tbtwist.config.environment import MODES, VARIABLES
from tbtwist.config.listing import listing
from tbtwist.config.reference import as_yaml, markdown, template
from tbtwist.config.schema import UNUSED, Session, Settings
from tests.config.reading_cases import HOME, reading

_PROJECT = Path(__file__).parents[2]
_EFFECTIVE = {key for key, field in FIELDS.items() if field.has_effect}


def uncommented() -> str:
    """Return the template with every key set to what it shows."""
    return re.sub(r"(?m)^( *)# (\w+: )", r"\1\2", template())


class TemplateTests(SynchronousTestCase):
    """``etc/config.yaml``."""

    def test_up_to_date(self) -> None:
        """The shipped file is the generated one.

        If not: ``tbtwist config generate --force -o etc/config.yaml``.
        """
        self.assertEqual((_PROJECT / "etc/config.yaml").read_text(), template())

    def test_sets_nothing(self) -> None:
        """As it is, it changes nothing."""
        self.assertEqual(reading(template()), reading(""))

    def test_has_every_key(self) -> None:
        """Every key that has an effect stands in it, and no other."""
        document = yaml.safe_load(uncommented())
        keys = {
            f"{section}.{name}" if isinstance(inner, dict) else section
            for section, inner in document.items()
            for name in (inner if isinstance(inner, dict) else [None])
        }
        self.assertEqual(keys, _EFFECTIVE)

    def test_shows_the_defaults(self) -> None:
        """With every comment sign gone it is still valid and means the defaults."""
        found = disassemble(reading(uncommented()).settings)
        defaults = disassemble(Settings(data_dir=str(HOME / ".tbtwist")))
        defaults["session.cookie_secure"] = False  # null: as the mode wants it
        self.assertEqual(found, defaults)


class DescriptionTests(SynchronousTestCase):
    """Every key is explained."""

    def test_complete(self) -> None:
        """There is a sentence for every key with an effect, and for no other."""
        self.assertEqual(set(DESCRIPTIONS), _EFFECTIVE)

    def test_sentences(self) -> None:
        """Each is one sentence."""
        for key, text in DESCRIPTIONS.items():
            self.assertRegex(text, r"^\S.{8,}\.$", key)


class PageTests(SynchronousTestCase):
    """``docs/configuration.md``."""

    def test_up_to_date(self) -> None:
        """The shipped page is the generated one.

        If not: ``tbtwist config generate --as markdown --force -o docs/configuration.md``.
        """
        self.assertEqual((_PROJECT / "docs/configuration.md").read_text(), markdown())

    def test_names_everything(self) -> None:
        """Every key, variable and mode is named."""
        page = markdown()
        for key in _EFFECTIVE:
            self.assertIn(f"`{FIELDS[key].name}`", page)
        for name in (*VARIABLES, *UNUSED, *MODES):
            self.assertIn(name, page)


class ListingTests(SynchronousTestCase):
    """``config show``."""

    def test_secrets_are_masked(self) -> None:
        """A secret is masked; one that is not set can be told."""
        secret = Settings(session=Session(cookie_secret="hunter2"))
        self.assertNotIn("hunter2", listing(secret))
        self.assertIn('cookie_secret: "********"\n', listing(secret))
        self.assertIn('cookie_secret: ""\n', listing(Settings()))

    def test_origins(self) -> None:
        """With origins each line says where its value comes from."""
        found = reading("http_worker: {port: 1234}", {"TB_DEBUG": "no"})
        text = listing(found.settings, found.origins)
        self.assertIn("  port: 1234  # c.yaml:1:21\n", text)
        self.assertIn("debug: false  # TB_DEBUG\n", text)
        self.assertIn('  host: "127.0.0.1"  # default\n', text)

    def test_values(self) -> None:
        """Values are written as YAML in one line."""
        cases = {"[a, b]": ("a", "b"), "{a: 1}": {"a": 1}, "null": None, "1.5": 1.5}
        for text, value in cases.items():
            self.assertEqual(as_yaml(value).replace('"', ""), text)
