"""The broker's role."""

from __future__ import annotations

from collections.abc import Mapping

from tbtwist.broker.service import BrokerService
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.lifetime import Life
from tbtwist.roles.process import Process


class BrokerRole:
    """A broker in a process of its own; it has nothing to drain."""

    drain_timeout_s = 1.0

    def __init__(self, process: Process) -> None:
        self._endpoints = Endpoints.for_settings(process.settings)
        self._service = BrokerService(
            reactor=process.reactor,
            endpoints=self._endpoints,
            config=BusConfig.from_settings(process.settings),
            data_dir=process.data_dir,
            random=process.random,
        )

    @property
    def place(self) -> str:
        """Return the address that workers connect to."""
        return f"the bus at {self._endpoints.broker}"

    def bind(self) -> None:
        """Take the lock and the endpoints."""
        self._service.privilegedStartService()

    async def start(self, life: Life) -> None:  # noqa: ARG002
        """Route from now on."""
        self._service.startService()

    async def drain(self) -> None:
        """The broker keeps nothing, so nothing can be left in it."""

    async def stop(self) -> None:
        """Close the sockets."""
        if self._service.running:
            self._service.stopService()

    def figures(self) -> Mapping[str, int]:
        """Nothing that the manager shows."""
        return {}
