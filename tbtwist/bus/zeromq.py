"""The bus over ZeroMQ, at a worker.

- PUB → XSUB, XPUB → SUB: publications
- DEALER ↔ ROUTER: lanes, acknowledgements, calls, heartbeats
- PUSH → PULL: sends to connections
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import zmq
from twisted.internet.interfaces import IReactorTime
from txzmq import ZmqFactory

from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.curve import worker_guard
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.peers import PeerSockets
from tbtwist.bus.sockets import BoundedSocket, Incoming, SocketOptions, new_factory
from tbtwist.bus.wire import Receiver
from tbtwist.identity import WorkerId


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
            options = self._options(kind, address)
            socket = BoundedSocket(factory, options, incoming)
            socket.connect(address)
            self._sockets[kind] = socket

    def _options(self, kind: int, address: str) -> SocketOptions:
        return SocketOptions(
            kind=kind,
            hwm_send=self._config.hwm_send,
            hwm_recv=self._config.hwm_recv,
            identity=self._identity if kind == zmq.DEALER else None,
            guard=worker_guard(self._endpoints, address),
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
        counters: Counter[str] = Counter()
        peers = PeerSockets(reactor, str(identity), endpoints, config, counters)
        super().__init__(reactor, identity, wire, config, peers, counters)
