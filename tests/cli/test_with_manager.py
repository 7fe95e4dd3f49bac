"""Verbs that talk to a real control socket, in the real world."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result
from twisted.internet import reactor  # noqa: TID251 - the one that runs the test
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from tbtwist.cli.options import World
from tbtwist.cli.root import tbtwist
from tbtwist.control import path_for
from tbtwist.control.server import ControlServer
from tbtwist.errors import WorkerNotReady
from tbtwist.status import Status, UpdateStep
from tests.cli.worlds import FULL
from tests.control.fakes import FakeManager


class ScriptedManager(FakeManager):
    """Answers what a supervisor would; stopping closes the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: list[float] = []
        self.on_stopped: Callable[[], object] = lambda: None

    def status(self) -> Status:
        """Return the status of a manager whose process is gone."""
        manager = msgspec.structs.replace(FULL.manager, pid=2**22 + 1)
        return msgspec.structs.replace(FULL, manager=manager)

    def stop(self, timeout_s: float) -> Deferred[None]:
        """Remember the request."""
        self.stopped.append(timeout_s)
        self.on_stopped()
        return succeed(None)


class ManagedTests(TestCase):
    """A control server here, the command line in a thread."""

    def setUp(self) -> None:
        """Start the control server of a data directory."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = os.devnull
        self.manager = ScriptedManager()
        self.link = "http://127.0.0.1:9000/#login=once"
        self.server = ControlServer(
            reactor,
            self.manager,
            path_for(self.folder),
            login_link=lambda: self.link,
        )
        self.server.privilegedStartService()
        self.server.startService()
        self.addCleanup(self.server.stopService)
        self.pool = ThreadPool(0, 1, "cli")
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.reactor: Any = reactor

    def verb(self, *arguments: str) -> Deferred[Result]:
        """Run ``tbtwist`` in a thread."""
        world = World()
        world.environ = {"TB_DATA_DIR": str(self.folder), "TB_CONFIG": self.config}
        world.terminal = False
        run = CliRunner().invoke
        return deferToThreadPool(
            self.reactor, self.pool, run, tbtwist, arguments, obj=world
        )

    async def test_status(self) -> None:
        """``status`` shows what the manager says."""
        result = await self.verb("status")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("\nhttp-1  http    running", result.stdout)

    async def test_json(self) -> None:
        """``status --json`` is the contract's document."""
        result = await self.verb("status", "--json")
        found = msgspec.json.decode(result.stdout)
        self.assertEqual(found["manager"]["pid"], 2**22 + 1)
        self.assertNotIn("detail", found["workers"][0])

    async def test_start_when_it_runs(self) -> None:
        """``start`` leaves a running manager alone."""
        result = await self.verb("start")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("Already running: manager pid", result.stdout)

    async def test_stop(self) -> None:
        """``stop`` waits until the manager has gone."""
        self.manager.on_stopped = lambda: self.reactor.callLater(
            0, self.server.stopService
        )
        result = await self.verb("stop", "--timeout", "3")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("Stopped: http-1, ws-1, broker, manager", result.stdout)
        self.assertEqual(self.manager.stopped, [3.0])

    async def test_broken_file(self) -> None:
        """A file that was broken meanwhile keeps nobody from asking or stopping."""
        config = self.folder / "config.yaml"
        config.write_text("http_worker: {prot: 1}")
        self.config = str(config)
        result = await self.verb("status")
        self.assertEqual(result.exit_code, 0, result.stderr)
        self.assertIn("\nhttp-1  http    running", result.stdout)
        self.assertIn("did you mean", result.stderr)
        self.assertIn(f"looking for a manager of {self.folder}", result.stderr)
        self.assertNotEqual((await self.verb("start")).exit_code, 0)

    async def test_update(self) -> None:
        """``update`` shows each step as it comes, and who was replaced."""
        self.manager.steps = (
            UpdateStep("http-1", "starting", 4),
            UpdateStep("http-1", "ready", 4),
            UpdateStep("http-1", "draining", 3),
            UpdateStep("http-1", "gone", 3, "replaced by generation 4"),
        )
        result = await self.verb("update", "--role", "http")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "http-1: generation 4 starts",
                "http-1: generation 4 serves",
                "http-1: generation 3 finishes what it has begun",
                "http-1: generation 3 has left: replaced by generation 4",
                "Updated: http-1.",
            ],
        )
        self.assertEqual(self.manager.orders, [("update", "http")])

    async def test_update_as_json(self) -> None:
        """Scripts get an object a step."""
        self.manager.steps = (UpdateStep("ws-1", "starting", 2),)
        result = await self.verb("update", "--json")
        self.assertEqual(
            msgspec.json.decode(result.stdout),
            {"worker": "ws-1", "step": "starting", "generation": 2, "detail": ""},
        )
        self.assertEqual(self.manager.orders, [("update", "http", "ws")])

    async def test_failed_update(self) -> None:
        """Exit code 1 and the reason, after the steps that were taken."""
        self.manager.steps = (UpdateStep("http-1", "failed", 4, "no"),)
        self.manager.outcome = fail(WorkerNotReady(worker="http-1", reason="no"))
        result = await self.verb("update")
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stdout, "http-1: generation 4 is sent away\n")
        self.assertIn("http-1 did not get ready: no.", result.stderr)

    async def test_plan(self) -> None:
        """``update --dry-run`` changes nothing."""
        result = await self.verb("update", "--dry-run")
        self.assertEqual(result.stdout, "replace http-1\nreplace ws-1\n")
        self.assertEqual(self.manager.orders, [])

    async def test_ui(self) -> None:
        """``ui`` prints a link that lets a browser in, or says that there is no page."""
        result = await self.verb("ui")
        self.assertEqual((0, f"{self.link}\n"), (result.exit_code, result.stdout))
        self.link = ""
        result = await self.verb("ui")
        self.assertEqual(1, result.exit_code)
        self.assertIn("it has no web UI", result.stderr)

    async def test_counts(self) -> None:
        """One more, one less, or so many."""
        started = await self.verb("worker-start", "-t", "http")
        stopped = await self.verb("worker-stop", "-w", "ws-1")
        scaled = await self.verb("scale", "-t", "ws", "1")
        self.assertEqual(
            [each.stdout for each in (started, stopped, scaled)],
            ["http-3\n", "Stopped: ws-1\n", "ws: 1 worker\n"],
        )
        self.assertEqual(
            self.manager.orders,
            [("start", "http"), ("stop", "ws-1"), ("scale", "ws", 1)],
        )

    async def test_none(self) -> None:
        """When it has gone, the exit code says so."""
        await self.server.stopService()
        result = await self.verb("status")
        self.assertEqual((result.exit_code, result.stdout), (3, ""))
        self.assertIn(str(self.folder), result.stderr)
