"""The broker as a service: its lock, its sockets, its clockwork."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from typing_extensions import override

from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.zeromq import BrokerSockets
from tbtwist.errors import AlreadyRunning
from tbtwist.identity import RandomBytes

_log = Logger()

LOCK_NAME: Final = "broker.lock"
TICKS_PER_HEARTBEAT: Final = 4


class LockFile:
    """One holder at a time, as long as its process lives.

    A second bind of a UNIX socket would steal it from the first broker without
    a word; this is what prevents it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; `AlreadyRunning` names the process that holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).strip()
            os.close(descriptor)
            raise AlreadyRunning(
                what="broker",
                data_dir=str(self._path.parent),
                pid=int(holder) if holder.isdigit() else 0,
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; calling this twice is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class BrokerService(Service):
    """Routes the bus from `privilegedStartService` (or `startService`) on.

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
    ) -> None:
        self.setName("broker")
        self._reactor = reactor
        self._config = config
        self._lock = LockFile(data_dir / LOCK_NAME)
        boot = random(8).hex()
        self.table = RoutingTable(boot, config, reactor.seconds())
        self._sockets = BrokerSockets(reactor, endpoints, self.table, config)
        self._bound = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor

    @override
    def privilegedStartService(self) -> None:
        """Take the lock and bind, at once, so that errors are seen at once."""
        super().privilegedStartService()
        self._bind()

    def _bind(self) -> None:
        if self._bound:
            return
        self._lock.take()
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

    def _tick(self) -> None:
        try:
            self._sockets.tick()
        except Exception:  # noqa: BLE001 - the next tick counts as well
            _log.failure("a tick of the broker failed")

    @override
    def stopService(self) -> None:
        """Close the sockets and let go of the lock."""
        super().stopService()
        if self._ticking.running:
            self._ticking.stop()
        self._sockets.close()
        self._lock.release()
        self._bound = False
