"""The bus over ZeroMQ: a worker's sockets, and the broker's.

- PUB → XSUB, XPUB → SUB: publications
- DEALER ↔ ROUTER: lanes, acknowledgements, calls, heartbeats
- PUSH → PULL: sends to connections
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import zmq
from twisted.internet.interfaces import IReactorTime
from txzmq import ZmqFactory

from tbtwist.boundaries import Outgoing, Router
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.sockets import BoundedSocket, Incoming, SocketOptions, new_factory
from tbtwist.bus.wire import Receiver
from tbtwist.identity import WorkerId

_REASONS: Final[dict[int, str]] = {zmq.EAGAIN: "full", zmq.EHOSTUNREACH: "unreachable"}


class ZmqWire:
    """`Wire` to a broker's sockets."""

    def __init__(
        self,
        reactor: IReactorTime,
        identity: WorkerId,
        endpoints: Endpoints,
        config: BusConfig,
    ) -> None:
        self._reactor = reactor
        self._identity = str(identity).encode()
        self._endpoints = endpoints
        self._config = config
        self._factory: ZmqFactory | None = None
        self._sockets: dict[int, BoundedSocket] = {}

    def open(self, received: Receiver, published: Receiver) -> None:
        """As `Wire.open`; what cannot be reached yet is tried again by libzmq."""
        factory = self._factory = new_factory(self._reactor)
        there = self._endpoints
        ways: tuple[tuple[int, str, Incoming], ...] = (
            (zmq.SUB, there.subscribers, published),
            (zmq.PUB, there.publishers, _surprise),
            (zmq.PUSH, there.sends, _surprise),
            (zmq.DEALER, there.broker, received),
        )
        for kind, address, incoming in ways:
            socket = BoundedSocket(factory, self._options(kind), incoming)
            socket.connect(address)
            self._sockets[kind] = socket

    def _options(self, kind: int) -> SocketOptions:
        return SocketOptions(
            kind=kind,
            hwm_send=self._config.hwm_send,
            hwm_recv=self._config.hwm_recv,
            identity=self._identity if kind == zmq.DEALER else None,
        )

    def _offer(self, kind: int, frames: Sequence[bytes]) -> bool:
        socket = self._sockets.get(kind)
        return socket is not None and socket.offer(frames)

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.transmit`."""
        return self._offer(zmq.DEALER, frames)

    def push(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.push`."""
        return self._offer(zmq.PUSH, frames)

    def publish(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.publish`; libzmq drops silently for slow subscribers."""
        return self._offer(zmq.PUB, frames)

    def subscribe(self, topic: bytes) -> None:
        """As `Wire.subscribe`."""
        self._sockets[zmq.SUB].socket.set(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """As `Wire.unsubscribe`."""
        if zmq.SUB in self._sockets:
            self._sockets[zmq.SUB].socket.set(zmq.UNSUBSCRIBE, topic)

    def close(self) -> None:
        """As `Wire.close`."""
        self._sockets.clear()
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.shutdown()


def _surprise(message: list[bytes]) -> None:
    """Take a message from a socket that only sends: there is none."""


class ZmqBus(BusCore):
    """`EventBus` between processes."""

    def __init__(
        self,
        reactor: IReactorTime,
        identity: WorkerId,
        endpoints: Endpoints,
        config: BusConfig | None = None,
    ) -> None:
        config = config or BusConfig()
        wire = ZmqWire(reactor, identity, endpoints, config)
        super().__init__(reactor, identity, wire, config)


class BrokerSockets:
    """The broker's sockets around a `Router`.

    A message that cannot be delivered is counted by its reason, and the router is
    told. Publications are pumped from XSUB to XPUB, subscriptions back.
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
        self._sockets: dict[int, BoundedSocket] = {}

    def bind(self) -> None:
        """Bind all sockets now, or none: raises `CannotBind`."""
        factory = self._factory = new_factory(self._reactor)
        here = self._endpoints
        ways: tuple[tuple[int, str, Incoming], ...] = (
            (zmq.ROUTER, here.broker, self._from_router),
            (zmq.PULL, here.sends, self._from_pull),
            (zmq.XPUB, here.subscribers, self._subscribed),
            (zmq.XSUB, here.publishers, self._published),
        )
        try:
            for kind, address, incoming in ways:
                socket = BoundedSocket(factory, self._options(kind), incoming)
                socket.bind(address, "the bus")
                self._sockets[kind] = socket
        except BaseException:
            self.close()
            raise
        self._routing = self._sockets[zmq.ROUTER]

    def _options(self, kind: int) -> SocketOptions:
        return SocketOptions(
            kind=kind,
            hwm_send=self._config.hwm_send,
            hwm_recv=self._config.hwm_recv,
            mandatory=kind == zmq.ROUTER,
        )

    def _from_router(self, message: list[bytes]) -> None:
        peer = message[0]
        now = self._reactor.seconds()
        self.send(self._router.received(message[1:], peer, now))

    def _from_pull(self, message: list[bytes]) -> None:
        self.send(self._router.received(message, None, self._reactor.seconds()))

    def tick(self) -> None:
        """Let the router do what is due."""
        self.send(self._router.tick(self._reactor.seconds()))

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Bring what the router said to whom it is for."""
        for message in messages:
            try:
                self._routing.send((message.identity, *message.frames))
            except zmq.ZMQError as error:
                reason = _REASONS.get(error.errno or 0, str(error.strerror))
                self.send(self._router.undelivered(message, reason))

    def _published(self, message: list[bytes]) -> None:
        if not self._sockets[zmq.XPUB].offer(message):
            self.counters["publication: full"] += 1

    def _subscribed(self, message: list[bytes]) -> None:
        if not self._sockets[zmq.XSUB].offer(message):
            self.counters["subscription: full"] += 1

    def close(self) -> None:
        """Close everything; calling this twice is fine."""
        self._sockets.clear()
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.shutdown()
