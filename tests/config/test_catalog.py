"""The list of keys, as read off the schema."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import (
    FIELDS,
    PATHS,
    SECRETS,
    SECTIONS,
    assemble,
    disassemble,
    find,
    suggestion,
)
from tbtwist.config.schema import ALIASES, UNUSED, HttpWorker, Settings


class CatalogTests(SynchronousTestCase):
    """Keys and sections."""

    def test_sections(self) -> None:
        """Every part of the settings that is a struct is a section."""
        self.assertEqual(
            set(SECTIONS),
            {
                *("bus", "zmq", "session", "auth", "http_worker", "ws_worker"),
                *("logging", "nginx", "manager", "toolbox", "compat"),
            },
        )
        self.assertIs(SECTIONS["http_worker"], HttpWorker)

    def test_names_that_are_mentioned_exist(self) -> None:
        """Aliases, unused keys, secrets and paths are names of real keys."""
        for key in (*ALIASES.values(), *UNUSED, *SECRETS, *PATHS):
            self.assertIn(key, FIELDS)
        for key in ALIASES:
            self.assertNotIn(key, FIELDS)

    def test_everything_secret_is_known_as_such(self) -> None:
        """A key whose name says that it is secret is treated so."""
        for key in FIELDS:
            if key.endswith(("_secret", "_password", "_token", "dashboard_key")):
                self.assertIn(key, SECRETS)

    def test_find(self) -> None:
        """A key is found by its name in its section, or by an alias."""
        workers = find("http_worker", "instances")
        assert workers is not None
        self.assertEqual(workers.key, "http_worker.workers")
        self.assertIsNotNone(find("", "debug"))
        self.assertIsNone(find("", "port"))
        self.assertIsNone(find("http_worker", "Port"))

    def test_suggestion(self) -> None:
        """A near name in the same section, else the same name elsewhere."""
        self.assertEqual(suggestion("http_worker", "prot"), "; did you mean port?")
        self.assertEqual(suggestion("", "Zmq"), "; did you mean zmq?")
        expected = "; did you mean auth.bearer_header?"
        self.assertEqual(suggestion("session", "bearer_header"), expected)
        self.assertEqual(suggestion("session", "port"), "")

    def test_settings_and_values(self) -> None:
        """Settings taken apart and put together again are the same."""
        first = Settings(http_worker=HttpWorker(port=1), debug=True)
        self.assertEqual(assemble(disassemble(first)), first)
        self.assertEqual(assemble({}), Settings())
        self.assertEqual(assemble({"http_worker.port": 1, "debug": True}), first)

    @given(section=st.sampled_from(["", *SECTIONS]), name=st.text(max_size=60))
    def test_any_name(self, section: str, name: str) -> None:
        """Any name gets a suggestion that exists, or none."""
        text = suggestion(section, name)
        if text:
            meant = text.removeprefix("; did you mean ").removesuffix("?")
            known = {field.name for field in FIELDS.values()} | set(SECTIONS)
            self.assertIn(meant.split(".")[-1], known | {"instances"})


class SecretTests(SynchronousTestCase):
    """What must not be read over a shoulder."""

    def test_no_secret_in_a_repr(self) -> None:
        """Settings in a traceback or a log line show no secret."""
        hidden = "hunter2-" * 8
        values: dict[str, object] = {
            key: hidden for key in SECRETS if FIELDS[key].type is str
        }
        values["auth.api_keys"] = {"ci": hidden}
        shown = repr(assemble(values))
        self.assertNotIn("hunter2", shown)
        self.assertIn("port=8000", shown)
        self.assertEqual(shown.count("'…'"), len(SECRETS))
