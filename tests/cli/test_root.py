"""The command as a whole: help, errors, exit codes, and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import override

import tbtwist as package
from tbtwist.cli.options import World
from tbtwist.cli.root import tbtwist
from tests.cli.worlds import CliTestCase, FakeManager

_PROJECT = Path(package.__file__).parents[1]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in the project's folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class HelpTests(CliTestCase):
    """``--help``."""

    def test_verbs(self) -> None:
        """Every verb is listed, with exit codes and completion."""
        said = self.succeed("--help")
        lifecycle = ("start", "stop", "restart", "status")
        for word in (*lifecycle, "nginx-config", "nginx-reload", "config", "session"):
            self.assertIn(f"\n  {word} ", said)
        self.assertIn("3 no manager is running", said)
        self.assertIn("_TBTWIST_COMPLETE=bash_source", said)

    def test_workers(self) -> None:
        """``tbtwist workers`` has the same verbs."""
        workers = tbtwist.commands["workers"]
        assert isinstance(workers, click.Group)
        self.assertEqual({*workers.commands, "workers"}, set(tbtwist.commands))

    def test_every_verb_takes_a_file(self) -> None:
        """Every verb has -c and -v, and help."""
        for path in _verbs(tbtwist, ()):
            said = self.succeed(*path, "--help")
            self.assertIn("-c, --config FILE", said, path)
            self.assertIn("-v, --verbose", said, path)

    def test_wrong_usage(self) -> None:
        """An unknown verb or option is wrong usage: exit code 2."""
        self.assertIn("No such command", self.fail_with(2, "strat"))
        self.assertIn("No such option", self.fail_with(2, "start", "--now"))


def _verbs(group: click.Group, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        here = (*path, name)
        found += _verbs(command, here) if isinstance(command, click.Group) else [here]
    return found


class BrokenManager(FakeManager):
    """A manager whose client has a bug."""

    @override
    def status(self) -> object:  # type: ignore[override]
        """Fail as code with a bug does."""
        raise KeyError("surprise")


class ErrorTests(CliTestCase):
    """What a user sees of an error."""

    def test_unexpected(self) -> None:
        """A bug is one sentence that says how to learn more."""
        self.world.manager = BrokenManager()
        said = self.fail_with(1, "status")
        self.assertEqual(
            said, "Something unexpected went wrong (KeyError); -v shows where.\n"
        )

    def test_verbose(self) -> None:
        """With -v, wherever it stands, the traceback comes before the sentence."""
        self.world.manager = BrokenManager()
        for arguments in (["-v", "status"], ["workers", "status", "-v"]):
            result = CliRunner().invoke(tbtwist, arguments, obj=self.world)
            self.assertIn("KeyError: 'surprise'", result.stderr)
            self.assertTrue(result.stderr.endswith("went wrong (KeyError).\n"))

    def test_operating_system(self) -> None:
        """An error of the operating system is told in its words."""
        self.data_dir.mkdir(parents=True)
        (self.data_dir / "logs").touch()
        said = self.fail_with(1, "start", "--daemon")
        self.assertTrue(said.endswith("logs: File exists.\n"), said)


class WorldTests(SynchronousTestCase):
    """The real world's less obvious parts."""

    def test_alive(self) -> None:
        """This process lives; one that ended does not, reaped or not."""
        world = World()
        self.assertTrue(world.alive(os.getpid()))
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            self.assertFalse(world.alive(child.pid))
        self.assertFalse(world.alive(child.pid))

    def test_spawn(self) -> None:
        """A spawned process has a session of its own and writes to the log."""
        path = Path(self.mktemp())
        code = "import os; print(os.getsid(0) == os.getpid(), flush=True)"
        with path.open("wb") as log:
            child = World().spawn([sys.executable, "-c", code], log)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(child.poll(), 0)
        self.assertEqual(path.read_text(), "True\n")


class ProcessTests(SynchronousTestCase):
    """As a process of its own."""

    def test_module(self) -> None:
        """``python -m tbtwist`` is the command, with its exit codes."""
        done = run_python("-m", "tbtwist", "version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("tbtwist "))
        self.assertEqual(run_python("-m", "tbtwist", "nonsense").returncode, 2)

    def test_quick(self) -> None:
        """Help and version import none of the heavy packages, nor a reactor."""
        heavy = ["twisted", "rich", "psutil", "yaml", "msgspec", "zmq", "autobahn"]
        code = (
            "import sys, tbtwist.cli.root; "
            f"print([m for m in {heavy} if m in sys.modules])"
        )
        self.assertEqual(run_python("-c", code).stdout, "[]\n")

    def test_status_without_a_reactor(self) -> None:
        """Asking a manager imports no reactor."""
        probe = (
            "import sys, pathlib; from tbtwist.cli.options import World; "
            "World().examine('/dev/null'); World().connect(pathlib.Path('/nowhere')); "
            "print('twisted.internet.reactor' in sys.modules)"
        )
        self.assertEqual(run_python("-c", probe).stdout, "False\n")
