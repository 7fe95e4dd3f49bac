"""Processes of the tests: settings and a reactor, and a bus in memory between them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any

import msgspec
from twisted.internet import reactor as _reactor  # noqa: TID251 - threads
from twisted.trial.unittest import TestCase

from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.config import BusConfig
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.config.schema import Logging, Settings
from tbtwist.identity import WorkerId
from tbtwist.lifetime import Surroundings
from tbtwist.net.supervised import Notifier
from tbtwist.observe.files import LogFolder
from tbtwist.roles.process import Process

reactor: Any = _reactor
START = 1_700_000_000.0


class ProcessCase(TestCase):
    """Workers in one process, as far apart as on different ends of a bus."""

    timeout = 30

    def setUp(self) -> None:
        """Make the data directory, the bus, and a clock that stands still."""
        self.data_dir = Path(tempfile.mkdtemp(prefix="tb-"))
        self.addCleanup(rmtree, self.data_dir)
        self.now = START
        self.told: list[str] = []
        config = BusConfig()
        router = RoutingTable("boot", config, reactor.seconds())
        self.hub = MemoryHub(router, reactor)

    def process(self, slot: str, settings: Settings | None = None) -> Process:
        """Return one process."""
        chosen = settings or Settings()
        return Process(
            around=Surroundings(
                reactor=reactor,
                notifier=Notifier.from_environ({}),
                lifeline=None,
                on_failed_start=lambda: None,
            ),
            settings=msgspec.structs.replace(chosen, data_dir=str(self.data_dir)),
            warnings=(),
            config_path=None,
            identity=WorkerId.new(slot, 1, os.urandom),
            index=0,
            descriptors={},
            host=None,
            port=0,
            now=lambda: self.now,
            random=os.urandom,
            environ={},
            cwd=Path.cwd(),
            console=None,
            verbose=False,
            log_format="text",
            log_folder=LogFolder(
                self.data_dir / "logs", Logging(), lambda: self.now, self.told.append
            ),
            reload=Settings,
        )

    def bus(self, process: Process) -> MemoryBus:
        """Return a process's end of the bus; closed after the test."""
        bus = MemoryBus(self.hub, process.identity)
        self.addCleanup(bus.close)
        return bus
