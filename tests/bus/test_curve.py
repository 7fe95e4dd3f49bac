"""Strangers at the TCP ports of the bus: they learn nothing and say nothing."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any

import zmq
from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zmq.utils.monitor import recv_monitor_message

from tbtwist.bus.codec import Beat, Verb, encode_payload, encode_route
from tbtwist.bus.core import BusCore
from tbtwist.bus.curve import Guard, worker_guard
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.topics import encode_topic
from tbtwist.events import Publication
from tbtwist.identity import WorkerId
from tests.bus.fakes import FAST, Seen, ZmqRig, item, on_tcp

reactor: Any = global_reactor
STRANGER = "http-9.1.aa"
_REFUSED = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class StrangerTests(TestCase):
    """What a client without our keys can do at each port."""

    timeout = 60

    def setUp(self) -> None:
        """Start a bus on TCP, and have a context of a stranger."""
        self.keys = BusKeys.new(secrets.token_bytes)
        self.rig = ZmqRig(self, reactor, on_tcp(self.keys))
        self.rig.start()
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)

    async def member(self) -> BusCore:
        """Join as one who belongs here."""
        identity = WorkerId.new("ws-1", 1, secrets.token_bytes)
        bus = self.rig.bus(identity, FAST)
        self.addCleanup(bus.close)
        await bus.connect()
        bus.announce(ready=True)
        return bus

    def connect(self, kind: int, address: str, guard: Guard) -> tuple[Any, Any]:
        """Return a socket of the stranger's and its monitor."""
        socket = self.context.socket(kind)
        socket.set(zmq.IDENTITY, STRANGER.encode())
        for option, value in guard.items():
            socket.set(option, value)
        if kind == zmq.SUB:
            socket.set(zmq.SUBSCRIBE, b"")
        monitor = socket.get_monitor_socket(_REFUSED)
        socket.connect(address)
        return socket, monitor

    async def refused(self, monitor: Any) -> None:
        """Wait until the broker has turned the stranger away."""
        while not monitor.poll(0):
            await deferLater(reactor, 0.01)
        recv_monitor_message(monitor)

    async def try_everything(self, guard: Guard) -> None:
        """Listen and speak at every port; nobody hears, and nothing is heard."""
        bus, there = await self.member(), self.rig.endpoints
        heard: Seen[Publication] = Seen()
        bus.subscribe("news", heard)
        beat = (
            encode_route(Verb.BEAT, "", STRANGER),
            encode_payload(STRANGER, Beat(ready=True)),
        )
        news = (
            encode_topic("news"),
            encode_route(Verb.PUBLISH, "", STRANGER, bytes(8)),
            *beat[1:],
            b"",
        )
        sockets = []
        for kind, address, says in (
            (zmq.SUB, there.subscribers, None),
            (zmq.PUB, there.publishers, news),
            (zmq.DEALER, there.broker, beat),
            (zmq.PUSH, there.sends, (encode_route(Verb.SEND, "x", STRANGER),)),
        ):
            socket, monitor = self.connect(kind, address, guard)
            sockets.append((socket, monitor))
            if says is not None:
                with contextlib.suppress(zmq.Again):  # nobody to send it to: just so
                    socket.send_multipart(says, zmq.NOBLOCK)
            await self.refused(monitor)
        await self.news_travel(bus, heard)
        self.assertEqual(self.rig.service.table.workers, (str(bus.identity),))
        self.assertEqual(self.rig.service.table.counters["dropped: bad frame"], 0)
        self.assertEqual([one.item.body for one in heard.things], [b"ours"])
        for socket, monitor in sockets:
            self.assertFalse(socket.poll(0, zmq.POLLIN), "the stranger heard something")
            socket.disable_monitor()
            monitor.close(0)
            socket.close(0)

    async def news_travel(self, bus: BusCore, heard: Seen[Publication]) -> None:
        """Publish among ourselves; whatever came before would be seen by then."""
        bus.publish("news", item("ours"))
        await heard.count(1)

    async def test_without_keys(self) -> None:
        """A client that knows nothing of keys gets nowhere."""
        await self.try_everything({})

    async def test_with_a_key_of_its_own(self) -> None:
        """Who knows the broker's public key but not ours is refused, and counted."""
        public, secret = zmq.curve_keypair()
        server = worker_guard(self.rig.endpoints, "tcp://")[zmq.CURVE_SERVERKEY]
        await self.try_everything(
            {
                zmq.CURVE_SERVERKEY: server,
                zmq.CURVE_PUBLICKEY: public,
                zmq.CURVE_SECRETKEY: secret,
            }
        )
        counters = self.rig.service.counters
        self.assertGreaterEqual(counters["refused: foreign key"], 4)

    async def test_with_the_key_of_another_bus(self) -> None:
        """The keys of another data directory do not fit."""
        other = on_tcp(BusKeys.new(secrets.token_bytes))
        await self.try_everything(worker_guard(other, "tcp://"))

    async def test_every_socket_is_bounded(self) -> None:
        """No queue of ours grows without end, at a worker or at the broker."""
        bus = await self.member()
        wire: Any = bus._around.wire
        broker = self.rig.service._sockets._factory
        assert broker is not None
        for factory, kinds in (
            (wire._factory, {zmq.PUB, zmq.SUB, zmq.PUSH, zmq.DEALER}),
            (broker, {zmq.ROUTER, zmq.PULL}),
        ):
            sockets = [each.socket for each in factory.connections]
            self.assertEqual({socket.get(zmq.TYPE) for socket in sockets}, kinds)
            for socket in sockets:
                self.assertGreater(socket.get(zmq.SNDHWM), 0)
                self.assertGreater(socket.get(zmq.RCVHWM), 0)

    async def test_another_broker(self) -> None:
        """A worker does not talk to a broker that is not ours."""
        stranger = self.context.socket(zmq.ROUTER)
        self.addCleanup(stranger.close, 0)
        port = stranger.bind_to_random_port("tcp://127.0.0.1")
        guard = worker_guard(self.rig.endpoints, "tcp://")
        socket, monitor = self.connect(zmq.DEALER, f"tcp://127.0.0.1:{port}", guard)
        await self.refused(monitor)
        self.assertFalse(stranger.poll(0))
        socket.disable_monitor()
        monitor.close(0)
        socket.close(0)
