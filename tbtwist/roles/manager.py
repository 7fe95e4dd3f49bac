"""The manager's role: the supervisor, and those who may tell it what to do."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Mapping
from typing import Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tbtwist.auth.secrets import load_secrets
from tbtwist.control import path_for
from tbtwist.control.server import ControlServer
from tbtwist.errors import TbtwistError
from tbtwist.lifetime import Life
from tbtwist.net.listening import GivenListeners
from tbtwist.observe.audit import AuditLog
from tbtwist.observe.logs import WorkerLogs
from tbtwist.observe.records import Source, readable
from tbtwist.roles.console import Console
from tbtwist.roles.localnginx import LocalNginx
from tbtwist.roles.process import Process
from tbtwist.services import Background
from tbtwist.status import Status, UpdateStep, WorkerStatus
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.usage import UsageMeter
from tbtwist.supervise.watching import Reloader
from tbtwist.supervise.world import Hooks, World, twistd_command
from tbtwist.webui.actions import Action, Actions, Actor
from tbtwist.webui.feed import Feed
from tbtwist.webui.service import Around, WebUi

_log = Logger()
_MARGIN_S: Final = 5.0
_TIDY_S: Final = 60.0


def _silent(_step: UpdateStep) -> None:
    """Tell nobody: the console shows every change of state already."""


class ManagerRole:
    """Supervises the workers; answers on the control socket, and over HTTP."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._given = GivenListeners(process.descriptors.values())
        self._background = Background()
        self._ended = False
        manager = process.settings.manager
        self._logs = WorkerLogs(process.log_folder, process.log_format)
        self._tidying = LoopingCall(self._tidy_logs)
        self._tidying.clock = process.reactor
        self._console = Console(process.console, self._logs, verbose=process.verbose)
        self._audit = AuditLog(
            process.log_folder, Source("manager", "manager", os.getpid)
        )
        self._actions = Actions(process.now)
        self._actions.listeners.append(self._acted)
        self._feed = Feed(process.reactor, process.now, self._status, self._actions)
        hooks = Hooks(
            changed=self._changed,
            said=self._said,
            counted=self._feed.counted,
            left=self._feed.left,
        )
        self._supervisor = Supervisor(process.settings, self._world(), hooks)
        self._web_ui = self._make_web_ui()
        self._control = ControlServer(
            process.reactor,
            Actor(self._supervisor, self._actions, "cli"),
            path_for(process.data_dir),
            login_link=self._web_ui.new_link,
        )
        self._reloader = self._watcher() if process.reloads else None
        self._stop_timeout_s = manager.stop_timeout_s
        self.drain_timeout_s = manager.stop_timeout_s + _MARGIN_S

    def _make_web_ui(self) -> WebUi:
        process = self._process
        around = Around(
            reactor=process.reactor,
            environ=process.environ,
            data_dir=process.data_dir,
            now=process.now,
            random=process.random,
            nginx=LocalNginx.of(
                process.reactor, process.environ, process.settings.nginx
            ),
            bind=self._given,
        )
        port, record = self._supervisor, self._audit.write
        return WebUi(process.settings, around, port, self._feed, record)

    def _status(self) -> Status:
        return self._supervisor.status()

    def _changed(self, worker: WorkerStatus) -> None:
        self._console.changed(worker)
        self._feed.changed()

    def _said(self, worker_id: str, line: str, pid: int | None) -> None:
        self._console.said(worker_id, line, pid)
        for each in readable(line).split("\n"):
            self._feed.said(worker_id, each)

    def _tidy_logs(self) -> None:
        """Do for logs what comes with time, though nobody writes."""
        with _log.failuresHandled("while looking after the logs"):
            self._logs.tidy()
            self._audit.tidy()

    def _acted(self, action: Action) -> None:
        if action.state == "running" and action.steps:
            return
        outcome = "begun" if action.state == "running" else action.state
        self._audit.write(
            who=action.who, what=action.what, outcome=outcome, reason=action.error
        )

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
        """Check the secrets, then take the lock, the ports and the control socket.

        The page comes last, since its secret is made in a data directory that is
        ours by then.
        """
        settings = self._process.settings
        load_secrets(
            settings, data_dir=self._process.data_dir, random=self._process.random
        )
        for warning in self._process.warnings:
            self._console.say(f"warning: {warning}")
        self._supervisor.bind()
        self._control.bind()
        if settings.manager.web_ui_enabled:
            self._web_ui.bind()
            self._supervisor.ui_url = self._web_ui.url

    async def start(self, life: Life) -> None:
        """Start the workers; ready when each was ready once or was given up."""
        self._console.say(f"tbtwist, data in {self._process.data_dir}")
        self._background.own("looking after the logs", self._tidying.start(_TIDY_S))
        self._control.startService()
        self._web_ui.startService()
        self._supervisor.startService()
        self._background.spawn("waiting for the end", self._until_ended(life))
        await self._supervisor.when_up()
        self._console.up(self._supervisor.status(), self._web_ui.new_link)
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
        """Kill what is left, and close the control socket and the site."""
        if self._reloader is not None:
            self._reloader.stop()
        await self._supervisor.stop(0)
        if self._tidying.running:
            self._tidying.stop()
        self._background.cancel_all()
        await self._control.stopService()
        await self._web_ui.stopService()
        self._console.say("Stopped.")
        self._given.close()
        self._logs.close()
        self._audit.close()

    def figures(self) -> Mapping[str, int]:
        """Nothing to report about itself."""
        return {}
