"""Supervision with real processes, real sockets and real signals."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - real processes need it
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from typing_extensions import override

from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.status import WorkerStatus
from tbtwist.supervise.moments import Conditions
from tbtwist.supervise.process import Lines
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.usage import UsageMeter
from tbtwist.supervise.world import Hooks, World
from tests.integration.programs import BROKEN, MANAGER, WORKER

reactor: Any = _reactor


class ReadAll(Protocol):
    """Reads until the other side closes."""

    def __init__(self) -> None:
        self.received = b""
        self.done: Deferred[bytes] = Deferred()

    @override
    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That is all."""
        self.done.callback(self.received)


class ManagerProcess(ProcessProtocol):
    """A manager in a process of its own."""

    transport: Any

    def __init__(self) -> None:
        self.up: Deferred[tuple[int, int]] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._lines = Lines(self.said)

    def said(self, line: str) -> None:
        """It says its worker's port and pid once."""
        port, pid = line.split()
        self.up.callback((int(port), int(pid)))

    @override
    def outReceived(self, data: bytes) -> None:
        """Cut it into lines."""
        self._lines.feed(data)

    def kill(self) -> Deferred[None]:
        """Kill it, as the out-of-memory killer would."""
        if not self.ended.called:
            self.transport.signalProcess("KILL")
        return self.ended

    @override
    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        self.ended.callback(None)


class ProcessesCase(TestCase):
    """Has a data directory and programs that stand in for workers."""

    timeout = 60

    def setUp(self) -> None:
        """Write the programs."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir(mode=0o700)
        for name, text in (
            ("worker", WORKER),
            ("broken", BROKEN),
            ("manager", MANAGER),
        ):
            (self.folder / f"{name}.py").write_text(text)
        self.changes = Conditions()
        self.history: list[tuple[str, str]] = []
        self.lines: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def supervisor(self, port: int = 0, ws: int = 1, **manager: Any) -> Supervisor:
        """Return a supervisor with one http worker, which the test then stops."""
        settings = Settings(
            data_dir=str(self.data_dir),
            http_worker=HttpWorker(port=port, workers=1, drain_timeout_s=5),
            ws_worker=WsWorker(port=0, workers=ws),
            manager=Manager(web_ui_port=0, **manager),
        )
        world = World(
            reactor=reactor,
            environ=os.environ,
            pid=os.getpid(),
            now=time.time,  # noqa: TID251 - the real one
            random=random.random,
            command=lambda spec: (sys.executable, self.program(spec.id), spec.id),
            measure=UsageMeter(reactor.seconds),
            reload=lambda: settings,
        )
        hooks = Hooks(changed=self.changed, said=self.said)
        supervisor = Supervisor(settings, world, hooks)
        self.addCleanup(supervisor.stop, 10)
        return supervisor

    def program(self, worker_id: str) -> str:
        """Return the program of a worker."""
        name = "broken" if worker_id in self.broken else "worker"
        return str(self.folder / f"{name}.py")

    def changed(self, status: WorkerStatus) -> None:
        """Keep what happened."""
        self.history.append((status.id, status.state))
        self.changes.check()

    def said(self, worker_id: str, line: str, _pid: int | None) -> None:
        """Keep what was said."""
        self.lines.append((worker_id, line))
        self.changes.check()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Come back when something is true that comes with a change or a line."""
        await self.changes.until(reached)

    async def started(self, supervisor: Supervisor) -> Supervisor:
        """Start it and wait until it is up."""
        supervisor.privilegedStartService()
        supervisor.startService()
        await supervisor.when_up()
        return supervisor

    def connect(self, port: int) -> Deferred[ReadAll]:
        """Connect to a worker."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        connecting: Deferred[ReadAll] = connectProtocol(endpoint, ReadAll())
        return connecting


def http_worker(supervisor: Supervisor) -> WorkerStatus:
    """Return how http-1 is."""
    return next(w for w in supervisor.status().workers if w.id == "http-1")


class ProcessesTests(ProcessesCase):
    """What only real processes can show."""

    async def test_up_and_down(self) -> None:
        """Workers start in order, serve, have memory, and leave in order."""
        supervisor = await self.started(self.supervisor())
        status = http_worker(supervisor)
        assert status.pid is not None
        assert status.port is not None
        assert status.memory_bytes is not None
        self.assertGreater(status.memory_bytes, 1_000_000)
        answer = await (await self.connect(status.port)).done
        self.assertEqual(int(answer), status.pid)
        await supervisor.stop(10)
        self.assertEqual(self.history[0], ("broker", "starting"))
        self.assertEqual(self.history[-1], ("broker", "stopped"))
        self.assertLess(
            self.history.index(("ws-1", "stopped")),
            self.history.index(("broker", "draining")),
        )
        self.assertRaises(ProcessLookupError, os.kill, status.pid, 0)
        codes = [w.last_exit and w.last_exit.code for w in supervisor.status().workers]
        self.assertEqual(codes, [0, 0, 0])

    async def test_output_arrives(self) -> None:
        """What a worker prints arrives line by line, with its generation."""
        await self.started(self.supervisor())
        await self.until(lambda: ("ws-1", "ws-1 generation 1") in self.lines)

    async def test_kill_loses_no_connection(self) -> None:
        """Clients that come while a killed worker is replaced wait, and are served."""
        supervisor = await self.started(self.supervisor())
        before = http_worker(supervisor)
        assert before.pid is not None
        assert before.port is not None
        os.kill(before.pid, signal.SIGKILL)
        await self.until(lambda: ("http-1", "backoff") in self.history)
        clients = [await self.connect(before.port) for _ in range(20)]
        answers = {int(await client.done) for client in clients}
        after = http_worker(supervisor)
        self.assertEqual(answers, {after.pid})
        self.assertNotEqual(after.pid, before.pid)
        self.assertEqual(after.generation, before.generation + 1)
        assert after.last_exit is not None
        self.assertEqual(after.last_exit.reason, "killed by SIGKILL")

    async def test_stopped_worker_is_replaced(self) -> None:
        """A worker that hangs is noticed, killed and replaced."""
        supervisor = await self.started(self.supervisor(health_check_interval=1.5))
        hanging = http_worker(supervisor).pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        await self.until(lambda: self.history.count(("http-1", "running")) == 2)
        last_exit = http_worker(supervisor).last_exit
        assert last_exit is not None
        self.assertEqual(last_exit.reason, "said nothing for 3 s")

    async def test_broken_worker(self) -> None:
        """A worker that cannot start is given up, says why, and its port refuses."""
        self.broken.add("http-1")
        supervisor = await self.started(
            self.supervisor(backoff_initial_s=0.01, max_restart_attempts=2)
        )
        failed = http_worker(supervisor)
        self.assertEqual((failed.state, failed.restarts), ("failed", 2))
        assert failed.last_exit is not None
        assert failed.port is not None
        self.assertEqual(
            failed.last_exit.reason, "exit status 1: there is no such module"
        )
        await self.assertFailure(self.connect(failed.port), Refused)

    async def test_manager_killed(self) -> None:
        """Workers of a killed manager leave by themselves; the next one waits for them."""
        manager = ManagerProcess()
        script, worker = str(self.folder / "manager.py"), self.program("http-1")
        reactor.spawnProcess(
            manager,
            sys.executable,
            (sys.executable, script, str(self.data_dir), worker),
            env={**os.environ, "LINGER_S": "1"},
            childFDs={0: 0, 1: "r", 2: 2},
        )
        self.addCleanup(manager.kill)
        port, _ = await manager.up
        await manager.kill()
        supervisor = await self.started(self.supervisor(port=port, ws=0))
        self.assertIn("still leaving", self.lines[0][1])
        self.assertEqual([who for who, _ in self.lines].count("manager"), 1)
        status = http_worker(supervisor)
        self.assertEqual((status.port, status.generation), (port, 2))
