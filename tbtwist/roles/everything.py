"""Everything in one process: broker, http and ws over the memory bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults

from tbtwist.apps.result import Result
from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.config import BusConfig
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.identity import WorkerId
from tbtwist.lifetime import Life
from tbtwist.roles.http import HttpRole
from tbtwist.roles.process import Process
from tbtwist.roles.ws import WsRole


class EverythingRole:
    """One http and one ws worker that share a reactor, for the desktop and a try."""

    def __init__(self, process: Process) -> None:
        config = BusConfig.from_settings(process.settings)
        now = process.reactor.seconds()
        router = RoutingTable(process.random(8).hex(), config, now)
        hub = MemoryHub(router, process.reactor)

        def part(slot: str) -> tuple[Process, MemoryBus]:
            identity = WorkerId.new(slot, process.identity.generation, process.random)
            mine = attrs.evolve(
                process, identity=identity, port=None, broker_inside=True
            )
            return mine, MemoryBus(hub, identity, config)

        self._http = HttpRole(*part("http-1"))
        self._ws = WsRole(*part("ws-1"))
        self.drain_timeout_s = max(self._http.drain_timeout_s, self._ws.drain_timeout_s)

    @property
    def place(self) -> str:
        """Return both addresses."""
        return " and ".join(self.urls)

    @property
    def urls(self) -> tuple[str, str]:
        """Return the address for HTTP and the one for WebSockets."""
        return self._http.place, self._ws.place

    async def call(
        self, module: str, function: str, arguments: Mapping[str, object]
    ) -> Result:
        """As `HttpRole.call`."""
        return await self._http.call(module, function, arguments)

    def bind(self) -> None:
        """Take both ports and load the application."""
        self._http.bind()
        try:
            self._ws.bind()
        except BaseException:
            self._http.unbind()
            raise

    async def start(self, life: Life) -> None:
        """Start the http worker, then the ws worker that needs it."""
        await self._http.start(life)
        await self._ws.start(life)

    async def drain(self) -> None:
        """Drain both at the same time."""
        both: list[Deferred[Any]] = [
            Deferred.fromCoroutine(self._ws.drain()),
            Deferred.fromCoroutine(self._http.drain()),
        ]
        await gatherResults(both, consumeErrors=True)

    async def stop(self) -> None:
        """Stop both."""
        await self._ws.stop()
        await self._http.stop()

    def figures(self) -> Mapping[str, int]:
        """Return the figures of both."""
        return {**self._http.figures(), **self._ws.figures()}
