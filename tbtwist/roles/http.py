"""The http worker's role."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.health import Health
from tbtwist.apps.loading import load_modules
from tbtwist.apps.pool import PoolService, SyncPool
from tbtwist.apps.registry import get_app
from tbtwist.apps.runner import ReactorRunner
from tbtwist.apps.sockets import SocketHost
from tbtwist.auth.access import AccessRules
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.secrets import load_secrets
from tbtwist.auth.signing import Signer
from tbtwist.boundaries import EventBus
from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import reactor_bridge
from tbtwist.http.site import make_site
from tbtwist.lifetime import Life
from tbtwist.net.listening import serve, url_of
from tbtwist.roles.joining import DRAIN_MARGIN_S, accepted_by_now, join, zeromq_bus
from tbtwist.roles.process import Process
from tbtwist.services import Background, wait_until

_SHARE = 0.7
"""The part of the drain's time that may be spent on waiting for ws workers."""
_SLACK_S = 5.0
"""How much longer a WSGI thread waits than the core's own deadline."""


class HttpRole:
    """The application behind HTTP, and the host of WebSocket handlers."""

    def __init__(self, process: Process, bus: EventBus) -> None:
        self._process = process
        self._config = process.settings.http_worker
        self._bus = bus
        self._background = Background()
        self._listener: socket.socket | None = None
        self._port: IListeningPort | None = None
        self._life: Life | None = None
        self._health = Health(worker_id=process.identity.slot, pid=os.getpid())
        self._health.bus_connected = False
        self._app = get_app()
        self._app.name = process.identity.slot
        self._runner = ReactorRunner(process.reactor)
        self._wsgi_threads = ThreadPool(0, self._config.wsgi_threads, name="wsgi")
        self.drain_timeout_s = self._config.drain_timeout_s + DRAIN_MARGIN_S

    @property
    def place(self) -> str:
        """Return the address of the application."""
        return url_of(self._listener, "http") if self._listener else "nothing yet"

    def bind(self) -> None:
        """Take the port and the secrets, and load the application."""
        process = self._process
        self._listener = process.listener(
            "http", self._config.host, self._config.port, self._config.backlog
        )
        self._app.pool = SyncPool(self._config.sync_threads, self._config.sync_queue)
        self._app.timeout_s = self._config.timeout
        self._pool = PoolService(self._app.pool, process.reactor, self.drain_timeout_s)
        load_modules(process.settings.toolbox.modules, self._app, cwd=process.cwd)
        rules = AccessRules.from_settings(process.settings)
        self._host = SocketHost(
            self._app, self._runner, rules, process.settings, process.now
        )
        bridge = reactor_bridge(process.reactor, self._config.timeout + _SLACK_S)
        self._site = make_site(
            process.reactor,
            WsgiApplication(self._dispatcher(rules), bridge),
            self._wsgi_threads,
            process.settings,
            self._health,
        )

    def _dispatcher(self, rules: AccessRules) -> Dispatcher:
        process = self._process
        settings = process.settings
        secrets = load_secrets(
            settings, data_dir=process.data_dir, random=process.random
        )
        cookies = SessionCookies(
            Signer(secrets), settings.session, settings.cookie_secure
        )
        return Dispatcher(
            app=self._app,
            runner=self._runner,
            cookies=cookies,
            rules=rules,
            settings=settings,
            now=process.now,
            health=self._health,
            random=process.random,
        )

    async def start(self, life: Life) -> None:
        """Join the bus and accept connections."""
        assert self._listener is not None
        self._life = life
        process = self._process
        self._pool.startService()
        self._runner.startService()
        self._wsgi_threads.start()
        self._bus.on_delivery(self._host.handle)
        self._bus.on_origin_lost(self._host.origin_lost)
        self._app.connect_bus(self._bus, process.reactor.callFromThread, self._runner)
        await join(process, self._bus, self._background, life, self._joined)
        self._port = serve(process.reactor, self._listener, self._site)

    def _joined(self) -> None:
        self._health.bus_connected = True
        self._health.ready = True

    async def drain(self) -> None:
        """Accept nothing new; finish requests, then what came over the bus.

        A manager stops ws workers first. When it has died they leave at this very
        moment, and need us for what their connections still have to say.
        """
        self._health.draining = True
        self._site.close_idle()
        if self._port is not None:
            await accepted_by_now(self._process.reactor, self._port)
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
            clock, lambda: self._health.in_flight == 0, self._config.drain_timeout_s
        )
        await self._bus.drain(max(0.0, ends_at - clock.seconds()))

    async def stop(self) -> None:
        """Close what is left; threads end off the reactor's thread."""
        self._background.cancel_all()
        self._host.close()
        self._app.close()
        await self._bus.close()
        await self._runner.stopService()
        await self._stop_threads()
        if self._listener is not None:
            self._listener.close()

    async def _stop_threads(self) -> None:
        if self._wsgi_threads.started:
            ender = ThreadPool(0, 1, name="ender")
            ender.start()
            ending: Deferred[None] = deferToThreadPool(
                self._process.reactor, ender, self._wsgi_threads.stop
            )
            await ending
            ender.stop()
        await self._pool.stopService()

    def figures(self) -> Mapping[str, int]:
        """Return how many requests were served; a good moment to look at the bus."""
        self._health.bus_connected = self._bus.connected
        return {"REQUESTS_TOTAL": self._health.requests_total}


def on_zeromq(process: Process) -> HttpRole:
    """Return the role on a bus between processes."""
    return HttpRole(process, zeromq_bus(process))
