"""The ws worker's role."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from typing_extensions import override

from tbtwist.boundaries import EventBus
from tbtwist.lifetime import Life
from tbtwist.net.listening import serve
from tbtwist.observe.metrics import CONNECTIONS
from tbtwist.roles.identification import ws_identifier
from tbtwist.roles.joining import DRAIN_MARGIN_S, bus_summary, join, zeromq_bus
from tbtwist.roles.listening import ListeningRole
from tbtwist.roles.process import Process
from tbtwist.roles.sessions import Sessions
from tbtwist.services import Background
from tbtwist.ws.factory import make_factory
from tbtwist.ws.gateway import Gateway

_GATEWAY_SHARE = 0.7
"""The part of the drain's time for closing connections; the rest is for their lanes."""
_GOODBYE_S = 1.0
"""How long clients have to take our last frame."""


class WsRole(ListeningRole):
    """WebSocket connections on one side, the bus on the other."""

    kind = "ws"

    def __init__(self, process: Process, bus: EventBus) -> None:
        self._config = process.settings.ws_worker
        super().__init__(process, self._config)
        self._bus = bus
        self._background = Background()
        self._sessions = Sessions(process, bus)
        self._port: IListeningPort | None = None
        self._caught_up: Deferred[None] | None = None
        self.drain_timeout_s = self._config.drain_timeout_s + DRAIN_MARGIN_S

    @override
    def _prepare(self) -> None:
        process = self._process
        self._sessions.load()
        self._gateway = Gateway(
            self._bus,
            process.settings,
            ws_identifier(process, self._sessions, self._bus),
            process.identity,
            process.reactor,
            process.now,
            process.random,
            self._sessions.secrets,
        )

    async def start(self, life: Life) -> None:
        """Join the bus and accept connections."""
        assert self._listener is not None
        self._gateway.start()
        self._sessions.on_revoked = self._gateway.sweep
        self._sessions.start()
        await join(self._process, self._bus, self._background, life, self._joined)
        if self._caught_up is not None:
            await self._caught_up
        factory = make_factory(
            self._gateway,
            self._config,
            self._process.reactor,
            self._gateway.counts,
        )
        self._gateway.gauges = factory.gauges
        self._port = serve(
            self._process.reactor,
            self._listener,
            factory,
            backlog=self._config.backlog,
        )

    def _joined(self) -> None:
        """Learn what was said before us: ready at once without a manager, else soon."""
        self._caught_up = self._gateway.catch_up()
        self._background.own("catching up", self._caught_up)

    async def drain(self) -> None:
        """Accept nothing new, say goodbye at a pace, let the lanes empty."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        self._bus.announce(ready=False)
        clock = self._process.reactor
        ends_at = clock.seconds() + self._config.drain_timeout_s
        await self._gateway.drain(_GATEWAY_SHARE * self._config.drain_timeout_s)
        await self._bus.drain(max(0.0, ends_at - clock.seconds()))

    async def stop(self) -> None:
        """Close what is left."""
        self._background.cancel_all()
        await self._gateway.shut_down(_GOODBYE_S)
        await self._bus.close()
        self._sessions.stop()
        self.unbind()

    def figures(self) -> Mapping[str, int]:
        """Return how many connections there are, what was dropped, and how the bus is."""
        return {
            CONNECTIONS: self._gateway.connections,
            **self._gateway.counts.told(),
            **bus_summary(self._bus),
        }


def on_zeromq(process: Process) -> WsRole:
    """Return the role on a bus between processes."""
    return WsRole(process, zeromq_bus(process))
