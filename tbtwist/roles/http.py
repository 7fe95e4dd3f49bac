"""The http worker's role."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from typing_extensions import override

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.health import Health
from tbtwist.apps.application import Application
from tbtwist.apps.hooks import run_exit, run_initial
from tbtwist.apps.loading import load_application, load_callables
from tbtwist.apps.pool import PoolService, SyncPool
from tbtwist.apps.positions import PositionBeats
from tbtwist.apps.result import Result
from tbtwist.apps.runner import ReactorRunner
from tbtwist.apps.sockets import SocketHost
from tbtwist.auth.access import AccessRules
from tbtwist.boundaries import EventBus
from tbtwist.errors import FunctionNotFound
from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import reactor_bridge
from tbtwist.http.mounts import Mounts
from tbtwist.http.site import make_site
from tbtwist.lifetime import Life
from tbtwist.net.listening import serve
from tbtwist.observe.metrics import REQUESTS
from tbtwist.roles.identification import HttpIdentification
from tbtwist.roles.joining import DRAIN_MARGIN_S, bus_summary, join, zeromq_bus
from tbtwist.roles.listening import ListeningRole
from tbtwist.roles.probing import probe
from tbtwist.roles.process import Process
from tbtwist.roles.sessions import Sessions
from tbtwist.roles.threads import Threads, ended
from tbtwist.services import Background, wait_until

_SHARE = 0.7
"""The part of the drain's time that may be spent on waiting for ws workers."""
_SLACK_S = 5.0
"""How much longer a WSGI thread waits than the core's own deadline."""
_FILE_THREADS = 4
_PATIENCE_S = 4.0
"""How long threads may still run after a drain: nobody waits for their answers."""
_HURRY_S = 0.5
"""The same after a drain that was cut short: they have had their time."""


class HttpRole(ListeningRole):
    """The application behind HTTP, and the host of WebSocket handlers."""

    kind = "http"

    def __init__(self, process: Process, bus: EventBus) -> None:
        self._config = process.settings.http_worker
        super().__init__(process, self._config)
        self._bus = bus
        self._background = Background()
        self._port: IListeningPort | None = None
        self._life: Life | None = None
        self._begun = False
        self._health = Health(worker_id=process.identity.slot, pid=os.getpid())
        self._health.bus_connected = False
        self._app: Application
        self._runner = ReactorRunner(process.reactor)
        self._sessions = Sessions(process, bus)
        self._positions = PositionBeats(bus, process.reactor)
        self._wsgi_threads = Threads(0, self._config.wsgi_threads, name="wsgi")
        self._file_threads = Threads(0, _FILE_THREADS, name="files")
        self._drained = False
        self.drain_timeout_s = self._config.drain_timeout_s + DRAIN_MARGIN_S

    @override
    def _prepare(self) -> None:
        process = self._process
        self._app = load_application(
            process.settings, process.identity.slot, os.environ, cwd=process.cwd
        )
        self._app.pool = SyncPool(self._config.sync_threads, self._config.sync_queue)
        self._app.timeout_s = self._config.timeout
        self._pool = PoolService(self._app.pool, process.reactor, _PATIENCE_S)
        rules = AccessRules.from_settings(process.settings)
        self._host = SocketHost(
            self._app, self._runner, rules, process.settings, process.now
        )
        bridge = reactor_bridge(process.reactor, self._config.timeout + _SLACK_S)
        self._core = dispatcher = self._dispatcher(rules)
        dispatcher.uploads.sweep()
        self._site = make_site(
            process.reactor,
            WsgiApplication(dispatcher, bridge),
            self._wsgi_threads,
            process.settings,
            self._health,
            files=self._file_threads,
            log_format=process.log_format,
            mounts=self._mounts(dispatcher),
        )

    def _mounts(self, dispatcher: Dispatcher) -> Mounts:
        places = self._process.settings.toolbox.wsgi_mounts
        found = load_callables(places, cwd=self._process.cwd)
        return Mounts.of(found, dispatcher.owns)

    def _dispatcher(self, rules: AccessRules) -> Dispatcher:
        process = self._process
        settings = process.settings
        self._sessions.load()
        self._identification = HttpIdentification(
            process, self._sessions, self._app, self._runner
        )
        return Dispatcher(
            app=self._app,
            runner=self._runner,
            cookies=self._sessions.cookies,
            identifier=self._identification.identifier,
            rules=rules,
            settings=settings,
            now=process.now,
            health=self._health,
            random=process.random,
            bus_figures=self._bus.figures,
            ws_messages=lambda: self._host.messages,
        )

    async def start(self, life: Life) -> None:
        """Join the bus and accept connections."""
        assert self._listener is not None
        self._life = life
        process = self._process
        self._pool.startService()
        self._runner.startService()
        self._wsgi_threads.start()
        self._file_threads.start()
        self._bus.on_delivery(self._host.handle)
        self._bus.on_origin_lost(self._host.origin_lost)
        self._sessions.start()
        self._identification.serve(self._bus)
        self._app.connect_bus(self._bus, process.reactor.callFromThread, self._runner)
        await self._begin()
        await join(process, self._bus, self._background, life, self._joined)
        if process.probing:
            path = process.settings.manager.probe_path
            await probe(process.reactor, self._site, path)
        self._port = serve(
            process.reactor, self._listener, self._site, backlog=self._config.backlog
        )

    async def _begin(self) -> None:
        """Run what the application wants to run before it is used."""
        timeout_s = self._process.settings.manager.start_timeout_s
        await run_initial(
            self._app, self._runner, timeout_s=timeout_s, cwd=self._process.cwd
        )
        self._begun = True

    def _joined(self) -> None:
        self._health.bus_connected = True
        self._health.ready = True
        self._positions.start()

    async def drain(self) -> None:
        """Accept nothing new; finish requests, then what came over the bus.

        A manager stops ws workers first. When it has died they leave at this very
        moment, and need us for what their connections still have to say.
        """
        self._health.draining = True
        self._site.close_idle()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        clock = self._process.reactor
        ends_at = clock.seconds() + self._config.drain_timeout_s
        if self._life is not None and self._life.abandoned:
            await wait_until(
                clock,
                lambda: not self._bus.colleagues("ws"),
                _SHARE * self._config.drain_timeout_s,
            )
        self._bus.announce(ready=False)
        await wait_until(
            clock,
            lambda: self._health.in_flight == 0 and self._site.connections == 0,
            self._config.drain_timeout_s,
        )
        await self._bus.drain(max(0.0, ends_at - clock.seconds()))
        self._drained = True

    async def stop(self) -> None:
        """Close what is left; threads end off the reactor's thread."""
        self._background.cancel_all()
        self._positions.stop()
        if self._begun:
            await run_exit(self._app, self._runner)
        self._host.close()
        self._identification.close()
        await self._core.close()
        self._app.close()
        await self._bus.close()
        await self._runner.stopService()
        self._sessions.stop()
        await self._stop_threads()
        self.unbind()

    async def _stop_threads(self) -> None:
        """Wait for threads, but not for those that have outlived the drain."""
        patience_s = _PATIENCE_S if self._drained else _HURRY_S
        if self._wsgi_threads.started:
            pools = (self._wsgi_threads, self._file_threads)
            await ended(self._process.reactor, pools, patience_s)
        self._pool.stop_timeout_s = patience_s
        await self._pool.stopService()

    async def call(
        self, module: str, function: str, arguments: Mapping[str, object]
    ) -> Result:
        """Call a function of the application as its owner: no rules of access.

        Raises:
            FunctionNotFound: there is none of that name.
            DeadlinePassed: it takes longer than a request may.
        """
        target = self._app.find(module, function)
        if target is None:
            raise FunctionNotFound(module, function)
        return await self._runner.run(
            partial(self._app.call, target, arguments), timeout_s=self._config.timeout
        )

    def figures(self) -> Mapping[str, int]:
        """Return what was counted; a good moment to look at the bus."""
        self._health.bus_connected = self._bus.connected
        return {
            REQUESTS: self._health.requests_total,
            "IN_FLIGHT": self._health.in_flight,
            "HTTP_CONNECTIONS": self._site.connections,
            "HTTP_WAITING": self._site.house.admission.waiting,
            **self._core.figures(),
            **bus_summary(self._bus),
        }


def on_zeromq(process: Process) -> HttpRole:
    """Return the role on a bus between processes."""
    return HttpRole(process, zeromq_bus(process))
