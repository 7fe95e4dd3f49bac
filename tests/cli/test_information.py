"""``status`` and ``version``."""

from __future__ import annotations

import msgspec

import tbtwist
from tbtwist.cli.rendering import plain
from tbtwist.errors import ControlFailed, NoManager
from tbtwist.status import LastExit
from tests.cli.worlds import FULL, NOW, CliTestCase, FakeManager, status


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

    def test_story(self) -> None:
        """``-w`` tells all about one worker, why it was restarted above all."""
        end = LastExit(
            at="2026-11-24T06:38:00Z",
            code=None,
            signal="SIGKILL",
            reason="said nothing for 20 s",
            generation=2,
            in_flight=3,
            lines=("Thread 0x1 (most recent call first):", '  File "shop.py", line 7'),
        )
        worker = msgspec.structs.replace(FULL.workers[0], exits=(end,), last_exit=end)
        self.world.manager = FakeManager(status(worker))
        self.assertEqual(
            self.succeed("status", "-w", "http-1").splitlines(),
            [
                "http-1, generation 3, port 8000: running for 2 h 5 min",
                "",
                "Generation 2 ended at 2026-11-24T06:38:00Z",
                "  SIGKILL 2 min ago: said nothing for 20 s",
                "  3 requests were in progress just before",
                "    Thread 0x1 (most recent call first):",
                '      File "shop.py", line 7',
            ],
        )
        found = msgspec.json.decode(self.succeed("status", "-w", "http-1", "--json"))
        self.assertEqual(found["exits"][0]["lines"], list(end.lines))

    def test_story_of_nobody(self) -> None:
        """A worker that is not there is named, with those that are."""
        self.world.manager = FakeManager(FULL)
        said = self.fail_with(1, "status", "-w", "http-7")
        self.assertIn("no worker http-7; there are: http-1, ws-1, broker", said)

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
