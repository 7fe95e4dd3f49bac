"""Who does not want to wait asks again: the second signal hurries."""

from __future__ import annotations

import contextlib
import os
import signal
from http.client import HTTPException
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.sample import FILES, config, get
from tests.integration.system import PATIENCE_S, Child, System, reactor, threads
from tests.integration.worker import Worker

SLEEPER = """
import asyncio

def noted(what):
    with open("asleep.txt", "a") as asleep:
        asleep.write(what)

@export(mod_name="Probe", name="thread", level=0)
def thread():
    noted("t")
    time.sleep(600)

@export(mod_name="Probe", name="task", level=0)
async def task():
    noted("a")
    await asyncio.sleep(600)
"""
MODULE = FILES["probe.py"] + SLEEPER
PATIENT = "drain_timeout_s: 600"


def _settled(asking: Deferred[Any]) -> Deferred[Any]:
    """Wait for the end of a question."""
    return asking


class HurryTests(TestCase):
    """Handlers that take ten minutes, and may: nobody is held by them twice asked."""

    timeout = 240

    async def start(self) -> System:
        """Start a system that would wait, with somebody who lets it."""
        text = config(1, 1).replace("drain_timeout_s: 3", PATIENT)
        text += "  stop_timeout_s: 600\n"
        system = await System.start(self, text, files={"probe.py": MODULE})
        [port] = await system.ports("http")
        self.root = system.root
        self.hang(port)
        await self.all_asleep()
        return system

    def hang(self, port: int) -> None:
        """Ask for what takes long, and do not insist on an answer."""
        in_thread = threads(self, 2)
        for name in ("thread", "task"):
            url = f"http://127.0.0.1:{port}/api/Probe/{name}"
            asking: Deferred[Any] = in_thread(get, url)
            _ = asking.addErrback(lambda why: why.trap(OSError, HTTPException))
            self.addCleanup(_settled, asking)

    async def all_asleep(self) -> None:
        """Wait until both handlers are at it."""
        asleep = self.root / "asleep.txt"

        def both() -> bool:
            return asleep.exists() and sorted(asleep.read_text()) == ["a", "t"]

        self.assertTrue(await wait_until(reactor, both, PATIENCE_S))

    async def ends(self, child: Child) -> None:
        """It has ended soon, and in order."""
        ended = await wait_until(reactor, lambda: child.status is not None, PATIENCE_S)
        self.assertTrue(ended, child.output)
        self.assertEqual(0, child.status, child.output)
        self.assertNotIn("Traceback", child.output)

    async def says(self, child: Child, words: str) -> None:
        """Wait until it has said something, and is still there."""
        said = await wait_until(reactor, lambda: words in child.output, PATIENCE_S)
        self.assertTrue(said, child.output)
        self.assertIsNone(child.status, child.output)

    async def test_sigterm(self) -> None:
        """One SIGTERM waits for handlers, the second one does not."""
        system = await self.start()
        assert system.manager is not None
        system.manager.signal("TERM")
        await self.says(system.manager, "Stopping")
        await self.says(system.manager, "http-1   draining")
        system.manager.signal("TERM")
        await self.ends(system.manager)
        self.assertEqual([], system.processes())

    async def test_ctrl_c(self) -> None:
        """Ctrl-C twice does the same; the terminal sends it to everybody."""
        system = await self.start()
        assert system.manager is not None
        for words in ("http-1   draining", ""):
            for pid in system.processes():
                with contextlib.suppress(ProcessLookupError):  # the first one ends some
                    os.kill(pid, signal.SIGINT)
            if words:
                await self.says(system.manager, words)
        await self.ends(system.manager)
        self.assertEqual([], system.processes())

    async def test_worker_by_hand(self) -> None:
        """A worker without a manager hurries as well, whatever its lane."""
        for lane in ("auto", "wsgi"):
            await self.worker_hurries(lane)

    async def worker_hurries(self, lane: str) -> None:
        """Ask a worker to end twice."""
        worker = await Worker.start(self, MODULE, drain_timeout_s=600, lane=lane)
        self.root = worker.root
        self.hang(worker.port)
        await self.all_asleep()
        worker.child.signal("TERM")
        await self.says(worker.child, "draining")
        worker.child.signal("TERM")
        await self.ends(worker.child)
