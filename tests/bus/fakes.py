"""What the bus' tests share: a list that can be waited for, items, and two rigs."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import attrs
import zmq
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tbtwist.boundaries import LaneEvents
from tbtwist.broker.routing import RoutingTable
from tbtwist.broker.service import BrokerService
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.bus.zeromq import ZmqBus
from tbtwist.events import Event, Item
from tbtwist.identity import WorkerId
from tbtwist.tracing import Trace, current_trace

T = TypeVar("T")

FAST = BusConfig(
    heartbeat_s=0.1,
    dead_after_s=0.6,
    resend_after_s=3600.0,
    retry_after_s=0.05,
    echo_every_s=0.02,
)
"""The bus' times, short enough for tests."""


def item(text: str, conn_id: str = "", kind: str = "ws.message") -> Item:
    """Return an item whose body is ``text``."""
    payload = {"conn_id": conn_id} if conn_id else {}
    return Item(Event(type=kind, payload=payload), text.encode())


@attrs.define(eq=False)
class Seen(Generic[T]):
    """What happened, in order; ``until`` waits for it without polling."""

    things: list[T] = attrs.Factory(list)
    _waiting: list[tuple[Callable[[list[T]], bool], Deferred[None]]] = attrs.Factory(
        list
    )

    def __call__(self, thing: T) -> None:
        """Note that something happened."""
        self.things.append(thing)
        for entry in tuple(self._waiting):
            reached, waiter = entry
            if reached(self.things):
                self._waiting.remove(entry)
                waiter.callback(None)

    def until(self, reached: Callable[[list[T]], bool]) -> Deferred[None]:
        """Fire when ``reached`` says so."""
        waiter: Deferred[None] = Deferred()
        if reached(self.things):
            waiter.callback(None)
        else:
            self._waiting.append((reached, waiter))
        return waiter

    def count(self, number: int) -> Deferred[None]:
        """Fire when ``number`` things happened."""
        return self.until(lambda things: len(things) >= number)


@attrs.define(eq=False)
class Client:
    """A connection's end of a lane: its replies, and what else it was told."""

    replies: Seen[str] = attrs.Factory(Seen)
    rooms: Seen[None] = attrs.Factory(Seen)
    given_up: Seen[str] = attrs.Factory(Seen)

    def events(self) -> LaneEvents:
        """Return what the lane tells."""
        return LaneEvents(
            self._replied,
            lambda: self.rooms(None),
            lambda item: self.given_up(item.body.decode()),
        )

    def _replied(self, items: Sequence[Item]) -> None:
        for one in items:
            self.replies(one.body.decode())


def failures_logged(case: TestCase) -> Seen[Trace | None]:
    """Return the traces under which failures are logged from now on."""
    traces: Seen[Trace | None] = Seen()

    @implementer(ILogObserver)
    def note(event: LogEvent) -> None:
        if "log_failure" in event:
            traces(current_trace())

    globalLogPublisher.addObserver(note)
    case.addCleanup(globalLogPublisher.removeObserver, note)
    return traces


def kill(bus: BusCore) -> None:
    """End a bus as kill -9 would: no goodbye."""
    bus._shut()


class Rig(Protocol):
    """An engine with a broker that can be restarted."""

    def start(self) -> None:
        """Start the broker."""

    def stop_broker(self) -> None:
        """Stop it, and lose all it knows."""

    def bus(self, identity: WorkerId, config: BusConfig) -> BusCore:
        """Return a worker's bus."""

    def ended(self, identity: WorkerId) -> None:
        """Tell the broker that a process has ended, as a manager does."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What the broker counted."""


class MemoryRig:
    """The memory engine on a reactor or a Clock."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._hub: MemoryHub | None = None

    def _router(self) -> RoutingTable:
        return RoutingTable(secrets.token_hex(4), FAST, self._clock.seconds())

    def start(self) -> None:
        """Start the broker."""
        if self._hub is None:
            self._hub = MemoryHub(self._router(), self._clock, tick_s=0.025)

    def stop_broker(self) -> None:
        """Stop it, and lose all it knows."""
        assert self._hub is not None
        self._hub._router = self._router()
        self._hub._queue.clear()

    def bus(self, identity: WorkerId, config: BusConfig) -> BusCore:
        """Return a worker's bus."""
        assert self._hub is not None
        return MemoryBus(self._hub, identity, config)

    @property
    def _table(self) -> RoutingTable:
        assert self._hub is not None
        assert isinstance(self._hub._router, RoutingTable)
        return self._hub._router

    def ended(self, identity: WorkerId) -> None:
        """As `Rig.ended`."""
        assert self._hub is not None
        now = self._clock.seconds()
        told = self._table.ended(identity.slot, identity.generation, now)
        self._hub._hand_out(told)

    @property
    def counters(self) -> Mapping[str, int]:
        """As `Rig.counters`."""
        return self._table.counters


def on_tcp(keys: BusKeys) -> Endpoints:
    """Return addresses with ports that ZeroMQ just had, behind ``keys``."""
    with zmq.Context() as context:
        sockets = [context.socket(zmq.PULL) for _ in range(4)]
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in sockets]
        for socket in sockets:
            socket.close(linger=0)
    return Endpoints(*(f"tcp://127.0.0.1:{port}" for port in ports), keys=keys)


class ZmqRig:
    """ZeroMQ on UNIX sockets in a directory of its own, or on TCP."""

    def __init__(
        self, case: TestCase, clock: Any, endpoints: Endpoints | None = None
    ) -> None:
        self._clock = clock
        self._dir = Path(tempfile.mkdtemp(prefix="tbt"))
        case.addCleanup(shutil.rmtree, self._dir)
        self.endpoints = endpoints or Endpoints.inside(self._dir)
        self._service: BrokerService | None = None
        case.addCleanup(self.stop_broker)

    @property
    def service(self) -> BrokerService:
        """Return the broker that runs."""
        assert self._service is not None
        return self._service

    def start(self) -> None:
        """Start the broker."""
        self._service = BrokerService(
            reactor=self._clock,
            endpoints=self.endpoints,
            config=FAST,
            data_dir=self._dir,
            random=secrets.token_bytes,
        )
        self._service.startService()

    def stop_broker(self) -> None:
        """Stop it, and lose all it knows."""
        service, self._service = self._service, None
        if service is not None:
            service.stopService()

    def bus(self, identity: WorkerId, config: BusConfig) -> BusCore:
        """Return a worker's bus."""
        return ZmqBus(self._clock, identity, self.endpoints, config)

    def ended(self, identity: WorkerId) -> None:
        """As `Rig.ended`."""
        self.service._ended(identity.slot, identity.generation)

    @property
    def counters(self) -> Mapping[str, int]:
        """As `Rig.counters`."""
        return self.service.counters
