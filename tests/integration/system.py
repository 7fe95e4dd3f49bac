"""The whole system as a test sees it: the real manager with its real children.

Everything lives in a short temporary folder (UNIX socket names end at 107
bytes) and on ports that the kernel chose, so runs can share a machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from unittest import SkipTest

from twisted.internet import reactor as _reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from tbtwist.cli.rendering import document
from tbtwist.control.client import ControlClient
from tbtwist.errors import ControlFailed, NoManager
from tbtwist.services import wait, wait_until

reactor: Any = _reactor
PROJECT = Path(__file__).parent.parent.parent
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()")
PATIENCE_S = 60.0


def needs(program: str) -> str:
    """Return the path of ``program``; skip the test where it is missing.

    With ``TB_REQUIRE_ALL`` set (CI) a missing program is a failure.
    """
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("TB_REQUIRE_ALL"):
        msg = f"{program} is required here and not installed"
        raise AssertionError(msg)
    msg = f"{program} is not installed"
    raise SkipTest(msg)


class Child(ProcessProtocol):
    """A process that a test started; its output is kept."""

    def __init__(self) -> None:
        self.output = ""
        self.ended: Deferred[int] = Deferred()
        self.status: int | None = None

    def outReceived(self, data: bytes) -> None:
        """Keep what it says."""
        self.output += data.decode(errors="replace")

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Turn the end into an exit status; a signal N is -N."""
        ended = reason.value
        assert isinstance(ended, ProcessDone | ProcessTerminated)
        self.status = -ended.signal if ended.signal else (ended.exitCode or 0)
        self.ended.callback(self.status)

    @property
    def pid(self) -> int:
        """Return the process id while it runs."""
        assert self.transport is not None
        pid = self.transport.pid
        assert pid is not None
        return int(pid)

    def signal(self, name: str) -> None:
        """Send a signal such as ``TERM``; fine if it has ended."""
        assert self.transport is not None
        try:
            self.transport.signalProcess(getattr(signal, f"SIG{name}"))
        except ProcessExitedAlready:
            return


def spawn(
    case: TestCase,
    arguments: tuple[str, ...],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    given: tuple[int, ...] = (),
) -> Child:
    """Start ``python ARGUMENTS``; it is killed at the end of the test.

    Descriptors in ``given`` are its 3, 4, ….
    """
    child = Child()
    reactor.spawnProcess(
        child,
        sys.executable,
        (sys.executable, *arguments),
        env=dict(environ),
        path=str(cwd),
        childFDs={0: "w", 1: "r", 2: "r", **dict(enumerate(given, 3))},
    )

    async def end() -> None:
        if child.status is None:
            child.signal("KILL")
            await child.ended

    case.addCleanup(lambda: Deferred.fromCoroutine(end()))
    return child


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Return this process's environment without its own ``TB_`` settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TB_")}
    ours = {"TB_DATA_DIR": str(data_dir), "HOME": str(data_dir), "TB_UI_PORT": "0"}
    return {**kept, **ours, **more}


def folder(case: TestCase) -> Path:
    """Return a short temporary folder that is gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="tb-"))
    case.addCleanup(shutil.rmtree, path, ignore_errors=True)
    return path


def threads(case: TestCase, count: int = 4) -> Callable[..., Deferred[Any]]:
    """Return a function that runs a blocking call in a thread of the test's own."""
    pool = ThreadPool(0, count)
    pool.start()
    case.addCleanup(pool.stop)

    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, pool, function, *args, **kwargs)

    return run


class System:
    """A running system; make it with `start`."""

    def __init__(self, case: TestCase, root: Path, config: Path | None) -> None:
        self.case = case
        self.root = root
        self.config = config
        self.data_dir = root / "d"
        self.in_thread = threads(case)
        self.environ = environment(self.data_dir)
        self.manager: Child | None = None
        self.given: tuple[int, ...] = ()
        case.addCleanup(lambda: Deferred.fromCoroutine(self._end_orphans()))

    @classmethod
    async def start(
        cls,
        case: TestCase,
        config_text: str = "",
        *,
        files: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Start ``tbtwist start -c FILE`` and wait until every worker runs."""
        root = folder(case)
        for name, text in (files or {}).items():
            (root / name).write_text(text)
        config = root / "config.yaml"
        config.write_text(config_text)
        system = cls(case, root, config)
        system.environ.update(environ or {})
        await system.start_again()
        return system

    @classmethod
    async def demo(cls, case: TestCase) -> Self:
        """Start ``tbtwist start --demo``, on free ports."""
        system = cls(case, folder(case), None)
        system.environ.update(TB_HTTP_PORT="0", TB_WS_PORT="0")
        await system.start_again()
        return system

    async def start_again(self) -> None:
        """Start the manager (again), and wait until all its workers run."""
        self.manager = self.spawn_manager()
        await self.until(self.all_running)

    def spawn_manager(self) -> Child:
        """Start ``tbtwist start`` and do not wait."""
        given = ("-c", str(self.config)) if self.config else ("--demo",)
        return self.tbtwist("start", *given)

    def tbtwist(self, *arguments: str) -> Child:
        """Run the command line."""
        return spawn(
            self.case,
            ("-m", "tbtwist", *arguments),
            self.environ,
            cwd=self.root,
            given=self.given,
        )

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run the command line to its end; return exit status and output."""
        given = ("-c", str(self.config)) if self.config else ()
        child = self.tbtwist(*arguments, *given)
        status = await child.ended
        return status, child.output

    async def status(self) -> dict[str, Any]:
        """Return what ``tbtwist status --json`` says; empty without a manager."""
        client = ControlClient.for_data_dir(self.data_dir)
        try:
            status = await self.in_thread(client.status)
        except (NoManager, ControlFailed):
            return {}
        return dict(json.loads(document(status)))

    async def worker(self, worker_id: str) -> dict[str, Any]:
        """Return one worker of `status`."""
        workers = (await self.status()).get("workers", [])
        return next((dict(w) for w in workers if w["id"] == worker_id), {})

    async def all_running(self) -> bool:
        """Whether there are workers and all of them run."""
        workers = (await self.status()).get("workers", [])
        return bool(workers) and all(w["state"] == "running" for w in workers)

    async def until(self, reached: Callable[[], Any], what: str = "") -> None:
        """Ask again and again until ``reached`` (a coroutine function) is true."""
        deadline = reactor.seconds() + PATIENCE_S
        while not await reached():
            ended = self.manager is not None and self.manager.status is not None
            if ended or reactor.seconds() > deadline:
                output = self.manager.output if self.manager else ""
                self.case.fail(f"never reached {what or reached}\n{output}")
            await wait(reactor, 0.05)

    async def ports(self, role: str) -> list[int]:
        """Return the ports of all workers of a role."""
        workers = (await self.status())["workers"]
        return [w["port"] for w in workers if w["role"] == role]

    async def kill(self, worker_id: str) -> int:
        """``kill -9`` a worker; return the pid that it had."""
        pid = int((await self.worker(worker_id))["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    async def stop(self) -> int:
        """End the manager with SIGTERM and return its exit status."""
        assert self.manager is not None
        self.manager.signal("TERM")
        await self.manager.ended
        assert self.manager.status is not None
        return self.manager.status

    async def _end_orphans(self) -> None:
        """Stop the manager if it runs; fail when anything of ours is left."""
        if self.manager is not None and self.manager.status is None:
            await self.stop()
        await wait_until(reactor, lambda: not self.processes(), PATIENCE_S)
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.case.assertEqual([], left, "processes were left behind")

    def processes(self) -> list[int]:
        """Return the pids of all processes that use this data directory."""
        mark = f"TB_DATA_DIR={self.data_dir}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found
