"""A supervisor in a world where nothing is real."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Settings
from tbtwist.status import WorkerStatus
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.world import Hooks
from tests.supervise.fakes import (
    Console,
    FakeNetwork,
    FakeProcess,
    FakeReactor,
    fake_world,
)

EVERYBODY = ["broker", "http-1", "http-2", "ws-1"]


class SupervisorCase(SynchronousTestCase):
    """Has a supervisor of one broker, two http workers and one ws worker."""

    def setUp(self) -> None:
        """Make it, in a data directory of its own."""
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.reactor = FakeReactor()
        self.network = FakeNetwork()
        self.console = Console()
        self.oom_kills = 0
        self.supervisor = self.another()

    def another(self, hooks: Hooks | None = None, **sections: Any) -> Supervisor:
        """Return a supervisor for the same data directory."""
        settings = Settings(data_dir=str(self.data_dir), **sections)
        self.settings = settings
        world = attrs.evolve(
            fake_world(self.reactor, self.network, lambda: self.settings),
            oom_kills=lambda: self.oom_kills,
        )
        return Supervisor(settings, world, hooks or self.console.hooks())

    def latest(self, worker_id: str) -> FakeProcess:
        """Return the newest process of a worker."""
        return self.reactor.latest(worker_id)

    def start(self) -> None:
        """Bind and start."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        self.addCleanup(self.end)

    def start_all(self) -> None:
        """Start, and let every worker come up."""
        self.start()
        for worker_id in EVERYBODY:
            self.latest(worker_id).ready()

    def end(self) -> None:
        """Stop whatever runs."""
        stopping = self.supervisor.stop(0)
        self.kill_alive()
        self.successResultOf(stopping)

    def kill_alive(self) -> None:
        """Let every process end, in the order of their start reversed."""
        while self.reactor.alive():
            for process in reversed(self.reactor.processes):
                if process.pid is not None:
                    process.killed()

    def live(self, seconds: int) -> None:
        """Let time pass while everybody gives signs of life."""
        for _ in range(seconds):
            self.reactor.advance(1)
            for process in self.reactor.processes:
                if process.pid is not None:
                    process.tell(WATCHDOG=1)

    def worker(self, worker_id: str) -> WorkerStatus:
        """Return the status of one worker."""
        workers = self.supervisor.status().workers
        return next(each for each in workers if each.id == worker_id)

    def states(self) -> list[str]:
        """Return the state of every worker."""
        return [each.state for each in self.supervisor.status().workers]
