"""The manager's role."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Mapping
from typing import Final

from twisted.logger import Logger

from tbtwist.auth.secrets import load_secrets
from tbtwist.control import path_for
from tbtwist.control.server import ControlServer
from tbtwist.errors import TbtwistError
from tbtwist.lifetime import Life
from tbtwist.net.listening import GivenListeners
from tbtwist.observe.logs import WorkerLogs
from tbtwist.roles.console import Console
from tbtwist.roles.process import Process
from tbtwist.services import Background
from tbtwist.status import UpdateStep
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.usage import UsageMeter
from tbtwist.supervise.watching import Reloader
from tbtwist.supervise.world import Hooks, World, twistd_command

_log = Logger()
_MARGIN_S: Final = 5.0


def _silent(_step: UpdateStep) -> None:
    """Tell nobody: the console shows every change of state already."""


class ManagerRole:
    """Supervises the workers and answers on the control socket."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._given = GivenListeners(process.descriptors.values())
        self._background = Background()
        self._ended = False
        manager = process.settings.manager
        self._logs = WorkerLogs(process.data_dir / "logs")
        self._console = Console(process.console, self._logs, verbose=process.verbose)
        self._supervisor = Supervisor(
            process.settings,
            self._world(),
            Hooks(changed=self._console.changed, said=self._console.said),
        )
        self._control = ControlServer(
            process.reactor, self._supervisor, path_for(process.data_dir)
        )
        self._reloader = self._watcher() if process.reloads else None
        self._stop_timeout_s = manager.stop_timeout_s
        self.drain_timeout_s = manager.stop_timeout_s + _MARGIN_S

    def _world(self) -> World:
        process = self._process
        config = str(process.config_path) if process.config_path else None
        return World(
            reactor=process.reactor,
            environ=process.environ,
            pid=os.getpid(),
            now=process.now,
            random=random.random,
            command=twistd_command(
                sys.executable, config_path=config, log_format=process.log_format
            ),
            measure=UsageMeter(process.reactor.seconds),
            reload=process.reload,
            bind=self._given,
        )

    def _watcher(self) -> Reloader:
        process = self._process
        config = process.config_path
        folders = {process.cwd, *((config.parent,) if config else ())}
        return Reloader(
            process.reactor,
            sorted(folders),
            lambda: self._supervisor.update(_silent, ("http",)),
            self._console.say,
        )

    @property
    def place(self) -> str:
        """Return the address of the application."""
        return self._supervisor.status().manager.http_url

    def bind(self) -> None:
        """Check the secrets, then take the lock, the ports and the control socket."""
        settings = self._process.settings
        load_secrets(
            settings, data_dir=self._process.data_dir, random=self._process.random
        )
        for warning in self._process.warnings:
            self._console.say(f"warning: {warning}")
        self._supervisor.bind()
        self._control.bind()

    async def start(self, life: Life) -> None:
        """Start the workers; ready when each was ready once or was given up."""
        self._console.say(f"tbtwist, data in {self._process.data_dir}")
        self._control.startService()
        self._supervisor.startService()
        self._background.spawn("waiting for the end", self._until_ended(life))
        await self._supervisor.when_up()
        self._console.up(self._supervisor.status())
        if self._reloader is not None:
            self._reloader.start()

    async def _until_ended(self, life: Life) -> None:
        """Leave when somebody stopped everything over the control socket."""
        try:
            await self._supervisor.when_ended()
        except TbtwistError:
            return  # `start` fails with it
        self._ended = True
        life.end("everything has stopped")

    async def drain(self) -> None:
        """Stop the workers in order; hurried, `stop` kills them."""
        if not self._ended:
            self._console.say("Stopping …")
            await self._supervisor.stop(self._stop_timeout_s)

    async def stop(self) -> None:
        """Kill what is left, and close the control socket."""
        if self._reloader is not None:
            self._reloader.stop()
        await self._supervisor.stop(0)
        self._background.cancel_all()
        await self._control.stopService()
        self._console.say("Stopped.")
        self._given.close()
        self._logs.close()

    def figures(self) -> Mapping[str, int]:
        """Nothing to report about itself."""
        return {}
