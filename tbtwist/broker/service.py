"""The broker as a service: its lock, its sockets, its clockwork."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from typing_extensions import override

from tbtwist.broker.exits import ExitReader
from tbtwist.broker.routing import RoutingTable
from tbtwist.broker.sweeping import PeerSweep
from tbtwist.bus.brokersockets import BrokerSockets
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.identity import RandomBytes
from tbtwist.net.locking import ProcessLock

_log = Logger()

LOCK_NAME: Final = "broker.lock"
TICKS_PER_HEARTBEAT: Final = 4
SWEEP_EVERY_S: Final = 60.0


class BrokerService(Service):
    """Routes the bus from `privilegedStartService` (or `startService`) on.

    ``exits`` is the descriptor on which a manager tells who has ended.

    Raises:
        AlreadyRunning: another broker has the data directory.
        CannotBind: an address is not to be had.
    """

    def __init__(
        self,
        *,
        reactor: IReactorTime,
        endpoints: Endpoints,
        config: BusConfig,
        data_dir: Path,
        random: RandomBytes,
        exits: int | None = None,
    ) -> None:
        self.setName("broker")
        self._exits_pipe = exits
        self._exits: ExitReader | None = None
        self._reactor = reactor
        self._config = config
        self._lock_path = data_dir / LOCK_NAME
        self._lock: ProcessLock | None = None
        boot = random(8).hex()
        self.table = RoutingTable(boot, config, reactor.seconds())
        self._sockets = BrokerSockets(reactor, endpoints, self.table, config)
        self._bound = False
        self._ticking = self._looping(self._tick)
        self._sweeping = self._looping(self._sweep)
        self._peers = None if endpoints.peers is None else PeerSweep(endpoints.peers)

    def _looping(self, what: Callable[[], None]) -> LoopingCall:
        loop = LoopingCall(what)
        loop.clock = self._reactor
        return loop

    @property
    def counters(self) -> Counter[str]:
        """What was dropped or refused, by reason."""
        return self.table.counters + self._sockets.counters

    def figures(self) -> dict[str, int]:
        """Return the counters, who is here, and what was published."""
        return {
            **self.counters,
            **self._sockets.figures,
            "workers": len(self.table.workers),
        }

    @override
    def privilegedStartService(self) -> None:
        """Take the lock and bind, at once, so that errors are seen at once."""
        super().privilegedStartService()
        self._bind()

    def _bind(self) -> None:
        if self._bound:
            return
        self._lock = ProcessLock.take(self._lock_path, what="broker", pid=os.getpid())
        try:
            self._sockets.bind()
        except BaseException:
            self._lock.release()
            raise
        self._bound = True

    @override
    def startService(self) -> None:
        """Start the clockwork."""
        self._bind()
        super().startService()
        _ = self._ticking.start(self._config.heartbeat_s / TICKS_PER_HEARTBEAT)
        _ = self._sweeping.start(SWEEP_EVERY_S, now=False)
        if self._exits_pipe is not None:
            self._exits = ExitReader(self._reactor, self._exits_pipe, self._ended)

    def _ended(self, slot: str, generation: int) -> None:
        now = self._reactor.seconds()
        self._sockets.send(self.table.ended(slot, generation, now))

    def _sweep(self) -> None:
        """Tidy up; the table is settled long before the first time."""
        if self._peers is not None:
            self._peers.sweep(self.table.workers)

    def _tick(self) -> None:
        try:
            self._sockets.tick()
        except Exception:  # noqa: BLE001 - the next tick counts as well
            _log.failure("a tick of the broker failed")

    @override
    def stopService(self) -> None:
        """Close the sockets and let go of the lock."""
        super().stopService()
        for loop in (self._ticking, self._sweeping):
            if loop.running:
                loop.stop()
        if self._exits is not None:
            self._exits.close()
        self._sockets.close()
        if self._lock is not None:
            self._lock.release()
        self._bound = False
