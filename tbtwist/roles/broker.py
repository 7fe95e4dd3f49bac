"""The broker's role."""

from __future__ import annotations

from collections.abc import Mapping

from tbtwist.broker.service import BrokerService
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.lifetime import Life
from tbtwist.net.supervised import take_exits
from tbtwist.roles.joining import DRAIN_MARGIN_S, bus_reasons
from tbtwist.roles.process import Process
from tbtwist.services import wait_until


class BrokerRole:
    """A broker in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        sections = (process.settings.http_worker, process.settings.ws_worker)
        self._patience_s = sum(each.drain_timeout_s for each in sections)
        self.drain_timeout_s = self._patience_s + DRAIN_MARGIN_S
        self._endpoints = Endpoints.for_settings(process.settings, process.random)
        self._service = BrokerService(
            reactor=process.reactor,
            endpoints=self._endpoints,
            config=BusConfig.from_settings(process.settings),
            data_dir=process.data_dir,
            random=process.random,
            exits=take_exits(process.descriptors),
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
        """Go on while there are workers, if a manager started us; by hand leave.

        A manager stops its broker last, so then there are none. When the manager
        was killed the workers drain by themselves, and need their bus for that.
        """
        if self._process.around.supervised:
            await wait_until(
                self._process.reactor,
                lambda: not self._service.table.anybody_waits,
                self._patience_s,
            )

    async def stop(self) -> None:
        """Close the sockets."""
        if self._service.running:
            self._service.stopService()

    def figures(self) -> Mapping[str, int]:
        """Return what was dropped or refused, and what passed."""
        return bus_reasons(self._service.figures())
