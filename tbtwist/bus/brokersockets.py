"""The broker's sockets: ROUTER and PULL on the reactor, publications in a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import zmq
from twisted.internet.interfaces import IReactorTime
from txzmq import ZmqFactory

from tbtwist.boundaries import Outgoing, Router
from tbtwist.bus.config import BusConfig
from tbtwist.bus.curve import Gatekeeper, broker_guard
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.files import SocketFile
from tbtwist.bus.pump import Pump
from tbtwist.bus.sockets import BoundedSocket, Incoming, SocketOptions, new_factory

_REASONS: Final[dict[int, str]] = {zmq.EAGAIN: "full", zmq.EHOSTUNREACH: "unreachable"}


class BrokerSockets:
    """The broker's sockets around a `Router`.

    A message that cannot be delivered is counted by its reason, and the router is
    told. ``counters`` counts what the sockets themselves refuse.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoints: Endpoints,
        router: Router,
        config: BusConfig | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._endpoints = endpoints
        self._router = router
        self._config = config or BusConfig()
        self._factory: ZmqFactory | None = None
        self._pump: Pump | None = None
        self._files: list[SocketFile] = []

    @property
    def figures(self) -> Mapping[str, int]:
        """Return what was published so far, as of the last tick."""
        return self._pump.figures if self._pump is not None else {}

    def bind(self) -> None:
        """Bind all sockets now, or none: raises `CannotBind`."""
        factory = self._factory = new_factory(self._reactor)
        here, config = self._endpoints, self._config
        pump = self._pump = Pump(factory.context, (config.hwm_send, config.hwm_recv))
        try:
            if here.keys is not None:
                Gatekeeper(factory, here.keys, self.counters)
            self._routing = self._bind(
                factory, zmq.ROUTER, here.broker, self._from_router
            )
            self._bind(factory, zmq.PULL, here.sends, self._from_pull)
            pump.bind(here)
        except BaseException:
            self.close()
            raise
        files = map(SocketFile.at, here.addresses)
        self._files = [file for file in files if file is not None]
        pump.start()

    def _bind(
        self, factory: ZmqFactory, kind: int, address: str, incoming: Incoming
    ) -> BoundedSocket:
        options = SocketOptions(
            kind=kind,
            hwm_send=self._config.hwm_send,
            hwm_recv=self._config.hwm_recv,
            mandatory=kind == zmq.ROUTER,
            guard=broker_guard(self._endpoints, address),
        )
        socket = BoundedSocket(factory, options, incoming)
        socket.bind(address, "the bus")
        return socket

    def _from_router(self, message: list[bytes]) -> None:
        peer = message[0]
        now = self._reactor.seconds()
        self.send(self._router.received(message[1:], peer, now))

    def _from_pull(self, message: list[bytes]) -> None:
        self.send(self._router.received(message, None, self._reactor.seconds()))

    def tick(self) -> None:
        """Let the router do what is due."""
        self.send(self._router.tick(self._reactor.seconds()))
        if self._pump is not None:
            self._pump.tick()

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Bring what the router said to whom it is for."""
        for message in messages:
            try:
                self._routing.send((message.identity, *message.frames))
            except zmq.ZMQError as error:
                reason = _REASONS.get(error.errno or 0, str(error.strerror))
                self.send(self._router.undelivered(message, reason))

    def close(self) -> None:
        """Close everything, and remove its files; calling this twice is fine."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.close()
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.shutdown()
        files, self._files = self._files, []
        for file in files:
            file.remove()
