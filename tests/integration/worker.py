"""One http worker as a process of its own: what it serves, and what it costs."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.sample import TIMEOUT_S, get
from tests.integration.system import (
    PATIENCE_S,
    TWISTD,
    Child,
    environment,
    folder,
    reactor,
    spawn,
    threads,
)

MIB = 2**20
SAMPLE_S = 0.05
_LISTENS = "0A"
_NOBODYS = "0"
_ADDRESS = re.compile(r"serving .*?http://127\.0\.0\.1:(\d+)")


class Vitals:
    """The most that was seen of something while a test went on, beyond its start."""

    def __init__(self, measure: Callable[[], int]) -> None:
        self._measure = measure
        self._before = measure()
        self.most = 0

    def look(self) -> None:
        """Measure."""
        self.most = max(self.most, self._measure() - self._before)


class Worker:
    """An http worker without a broker; make it with `start`."""

    def __init__(self, case: TestCase, root: Path) -> None:
        self.case = case
        self.root = root
        self.data_dir = root / "d"
        self.temporary = root / "t"
        self.temporary.mkdir()
        self.in_thread: Callable[..., Deferred[Any]] = threads(case, 8)
        environ = environment(self.data_dir, TMPDIR=str(self.temporary))
        arguments = (*TWISTD, "-n", "tbworkers", "--role=http")
        self.child: Child = spawn(case, arguments, environ, cwd=root)
        self.port = 0

    @classmethod
    async def start(cls, case: TestCase, module: str, **http: object) -> Worker:
        """Start one that serves ``module`` as Probe, with these settings."""
        root = folder(case)
        (root / "probe.py").write_text(module)
        settings = {"port": 0, "workers": 1, "drain_timeout_s": 2, **http}
        lines = "".join(f"  {name}: {value}\n" for name, value in settings.items())
        config = f"toolbox:\n  modules: [probe]\nhttp_worker:\n{lines}"
        (root / "config.yaml").write_text(config)
        worker = cls(case, root)
        await worker.until(lambda: _ADDRESS.search(worker.child.output))
        found = _ADDRESS.search(worker.child.output)
        assert found is not None
        worker.port = int(found[1])
        for _ in range(20):  # what is imported late is not the attack's
            await worker.in_thread(worker.is_served)
        return worker

    async def until(self, reached: Callable[[], Any]) -> None:
        """Wait for something that has to happen while the worker runs."""
        happened = await wait_until(
            reactor,
            lambda: bool(reached()) or self.child.status is not None,
            PATIENCE_S,
        )
        alive = self.child.status is None
        self.case.assertTrue(happened and alive, self.child.output)

    async def ends(self) -> None:
        """It ends as it should, and has nothing to complain about."""
        self.child.signal("TERM")
        self.case.assertEqual(0, await self.child.ended, self.child.output)
        self.case.assertNotIn("Traceback", self.child.output)

    # --- what it serves ----------------------------------------------------------

    def connect(self, *, receive_bytes: int = 0) -> socket.socket:
        """Return a connection; small ``receive_bytes`` make a slow reader."""
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(TIMEOUT_S)
        client.connect(("127.0.0.1", self.port))
        return client

    def is_served(self) -> None:
        """Ask for something on a connection of its own, and be answered; blocks."""
        status, _, body = get(f"http://127.0.0.1:{self.port}/api/Probe/who")
        assert status == 200, body

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Others are served all the time."""
        asked = LoopingCall(lambda: self.in_thread(self.is_served))
        ended = asked.start(SAMPLE_S)
        failures: list[object] = []
        _ = ended.addErrback(failures.append)
        try:
            yield
        finally:
            if asked.running:
                asked.stop()
            self.case.assertEqual(failures, [])

    # --- what it costs -----------------------------------------------------------

    @property
    def _proc(self) -> Path:
        return Path(f"/proc/{self.child.pid}")

    def memory_bytes(self) -> int:
        """Return how much memory it has."""
        pages = int((self._proc / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def connections(self) -> int:
        """Return how many clients it has a socket for, whatever they do."""
        found = 0
        for line in (self._proc / "net" / "tcp").read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            ours = int(local.rpartition(":")[2], 16) == self.port
            found += ours and state != _LISTENS and inode != _NOBODYS
        return found

    def disk_bytes(self) -> int:
        """Return how much it has in open files, also in those without a name."""
        found = 0
        for descriptor in (self._proc / "fd").iterdir():
            with suppress(FileNotFoundError):
                ours = str(descriptor.readlink()).startswith(str(self.root))
                found += descriptor.stat().st_size if ours else 0
        return found

    def uploads(self) -> list[Path]:
        """Return the files of uploads."""
        return [*self.data_dir.rglob("*.upload"), *self.temporary.iterdir()]

    @contextmanager
    def costing(self, measure: Callable[[], int]) -> Iterator[Vitals]:
        """Measure all the time."""
        vitals = Vitals(measure)
        looking = LoopingCall(vitals.look)
        failures: list[object] = []
        _ = looking.start(SAMPLE_S).addErrback(failures.append)
        try:
            yield vitals
        finally:
            vitals.look()
            if looking.running:
                looking.stop()
            self.case.assertEqual(failures, [])
