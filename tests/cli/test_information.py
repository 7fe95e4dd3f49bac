"""``status`` and ``version``."""

from __future__ import annotations

import msgspec

import tbtwist
from tbtwist.cli.rendering import plain
from tbtwist.errors import ControlFailed, NoManager
from tests.cli.worlds import FULL, NOW, CliTestCase, FakeManager


class StatusTests(CliTestCase):
    """``status``."""

    def test_pipe(self) -> None:
        """In a pipe the table is plain text."""
        self.world.manager = FakeManager(FULL)
        self.assertEqual(self.succeed("status"), plain(FULL, NOW))

    def test_terminal(self) -> None:
        """On a terminal it is drawn for its width."""
        self.world.manager = FakeManager(FULL)
        self.world.terminal = True
        said = self.succeed("workers", "status")
        self.assertIn("http-1", said)
        self.assertNotEqual(said, plain(FULL, NOW))

    def test_json(self) -> None:
        """``--json`` is JSON, also on a terminal."""
        self.world.manager = FakeManager(FULL)
        self.world.terminal = True
        found = msgspec.json.decode(self.succeed("status", "--json"))
        self.assertEqual(
            [w["id"] for w in found["workers"]], ["http-1", "ws-1", "broker"]
        )

    def test_watch(self) -> None:
        """``--watch`` looks again and again; when the manager goes, it ends."""
        gone = NoManager(data_dir="/d")
        self.world.manager = FakeManager(FULL, FULL, gone)
        result = self.run_verb("status", "--watch")
        self.assertEqual(result.exit_code, 3)
        self.assertEqual(result.stdout, 2 * plain(FULL, NOW))
        self.assertEqual(self.world.paused_s, 2.0)

    def test_data_directory(self) -> None:
        """The configuration decides which manager is asked; nothing is made."""
        self.write_config("data_dir: other", "b.yaml")
        self.world.manager = FakeManager(FULL)
        self.succeed("status", "-c", "b.yaml")
        self.assertEqual(self.world.connected, [self.world.cwd / "other"])
        self.assertFalse((self.world.cwd / "other").exists())

    def test_no_manager(self) -> None:
        """Without a manager the exit code is 3 and stdout stays empty."""
        for arguments in (["status"], ["status", "--json"]):
            said = self.fail_with(3, *arguments)
            self.assertIn("No manager is running for the data directory", said)

    def test_no_answer(self) -> None:
        """A manager that does not answer is a failure."""
        self.world.manager = FakeManager(ControlFailed(reason="no answer within 5 s"))
        said = self.fail_with(1, "status")
        self.assertEqual(said, "The manager did not do it: no answer within 5 s.\n")


class VersionTests(CliTestCase):
    """``version``."""

    def test_versions(self) -> None:
        """It names the versions of tbtwist, Python and Twisted."""
        said = self.succeed("version")
        self.assertRegex(said, r"^tbtwist \S+ \(Python 3\.\d+\.\S+, Twisted \d\S+\)\n$")
        self.assertIn(tbtwist.__version__, said)
