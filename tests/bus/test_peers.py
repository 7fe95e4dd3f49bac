"""Calls from worker to worker, past the broker."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq
from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tbtwist.boundaries import IncomingCall
from tbtwist.bus.codec import Member, Verb, encode_event, encode_route
from tbtwist.bus.core import BusCore
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.peers import PeerSockets
from tbtwist.events import Event
from tbtwist.identity import WorkerId
from tests.bus.fakes import FAST, Seen, ZmqRig, on_tcp

reactor: Any = global_reactor
STRANGER = "http-9.1.aa"


def _nobody(_: Sequence[bytes]) -> None:
    """Take nothing."""


async def answer(call: IncomingCall) -> object:
    """Answer a call."""
    return [call.origin, call.payload]


class PeerCase(TestCase):
    """Workers on UNIX sockets."""

    timeout = 60

    def setUp(self) -> None:
        """Start a broker."""
        self.rig = ZmqRig(self, reactor)
        self.rig.start()

    async def join(self, slot: str) -> BusCore:
        """Return a bus that answers calls."""
        bus = self.rig.bus(WorkerId.new(slot, 1, secrets.token_bytes), FAST)
        self.addCleanup(bus.close)
        bus.serve("who", answer)
        bus.announce(ready=True)
        await bus.connect()
        return bus

    async def pair(self) -> tuple[BusCore, BusCore]:
        """Return two buses that know each other."""
        one, two = await self.join("http-1"), await self.join("ws-1")
        while len(two._around.table.members) < 2:
            await deferLater(reactor, 0.01)
        return one, two

    def file(self, bus: BusCore) -> Path:
        """Return where others reach a worker."""
        address = self.rig.endpoints.peer(str(bus.identity))
        return Path(address.removeprefix("ipc://"))


class CallTests(PeerCase):
    """The way of a call."""

    async def test_the_broker_is_not_asked(self) -> None:
        """Calls of a slot, a role and a process are answered without the broker."""
        http, ws = await self.pair()

        def refuse(*_: object) -> Any:
            raise AssertionError

        self.rig.service.table._takers[Verb.CALL] = refuse
        for target in ("http-1", "http", str(http.identity)):
            got = await ws.call(target, "who", 7, timeout_s=30)
            self.assertEqual(got, [str(ws.identity), 7])

    async def test_the_broker_knows_more(self) -> None:
        """When who we chose has gone, the broker finds another one."""
        _, ws = await self.pair()
        table = ws._around.table
        ghost = WorkerId.new("http-1", 9, secrets.token_bytes)
        table.members[str(ghost)] = Member(str(ghost), ready=True)
        table._workers[str(ghost)] = ghost
        got = await ws.call("http-1", "who", 7, timeout_s=3600)
        self.assertEqual(got, [str(ws.identity), 7])

    async def test_nothing_is_left(self) -> None:
        """A worker's own socket is gone when it has left."""
        http, _ = await self.pair()
        self.assertTrue(self.file(http).exists())
        await http.close()
        self.assertFalse(self.file(http).exists())

    async def test_strangers(self) -> None:
        """Whoever is not who it says, or does not ask, is counted and gets no answer."""
        http, _ = await self.pair()
        header = encode_event(Event(type="bus.call", payload={"method": "who"}))
        odd: list[Sequence[bytes]] = [
            (b"", header),
            (encode_route(Verb.CALL, "x", "ws-1.1.bb"), header),
            (encode_route(Verb.REPLY, "x", STRANGER), header),
            (encode_route(Verb.CALL, "x", STRANGER), b"\xc1"),
            (encode_route(Verb.CALL, "x", STRANGER),),
        ]
        with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
            stranger.linger = 0
            stranger.set(zmq.IDENTITY, STRANGER.encode())
            stranger.connect(self.rig.endpoints.peer(str(http.identity)))
            for frames in odd:
                stranger.send_multipart(frames)
            while http.counters["dropped: bad frame"] < len(odd):
                await deferLater(reactor, 0.01)
            self.assertFalse(stranger.poll(0))
            stranger.send_multipart((encode_route(Verb.CALL, "x", STRANGER), header))
            while not stranger.poll(0):
                await deferLater(reactor, 0.01)


class SocketTests(PeerCase):
    """The ways themselves."""

    def ways(self, endpoints: Endpoints) -> PeerSockets:
        """Return ways that are closed in the end."""
        self.counters: Counter[str] = Counter()
        ways = PeerSockets(reactor, STRANGER, endpoints, FAST, self.counters)
        self.addCleanup(ways.close)
        return ways

    def test_not_over_tcp(self) -> None:
        """Over TCP everything goes through the broker."""
        ways = self.ways(on_tcp(BusKeys.new(secrets.token_bytes)))
        ways.begin(_nobody, _nobody)
        self.assertFalse(ways.open)
        self.assertFalse(ways.ask("http-1.1.aa", (b"x",)))
        self.assertFalse(ways.answer("http-1.1.aa", (b"x",)))

    def test_no_place(self) -> None:
        """A directory that is not there is no error: the broker does it."""
        ways = self.ways(Endpoints.inside(Path("/nowhere/at/all")))
        ways.begin(_nobody, _nobody)
        self.assertFalse(ways.open)

    def test_the_one_who_asked_has_gone(self) -> None:
        """An answer that nobody waits for is not taken."""
        ways = self.ways(self.rig.endpoints)
        ways.begin(_nobody, _nobody)
        self.assertTrue(ways.open)
        self.assertFalse(ways.answer("ws-1.1.bb", (b"x",)))

    def test_answers_of_others(self) -> None:
        """Only who was asked can answer."""
        answered: Seen[Sequence[bytes]] = Seen()
        ways = self.ways(self.rig.endpoints)
        ways.begin(_nobody, answered)
        right = [encode_route(Verb.REPLY, STRANGER, "http-1.1.aa"), b"x"]
        for odd in (
            [b""],
            [encode_route(Verb.CALL, STRANGER, "http-1.1.aa"), b"x"],
            [encode_route(Verb.REPLY, STRANGER, "http-2.1.bb"), b"x"],
        ):
            ways._answer("http-1.1.aa", odd)
        ways._answer("http-1.1.aa", right)
        self.assertEqual(self.counters["dropped: bad frame"], 3)
        self.assertEqual(answered.things, [right])

    def test_the_gone_are_forgotten(self) -> None:
        """Ways to workers that are gone take no room."""
        ways = self.ways(self.rig.endpoints)
        ways.begin(_nobody, _nobody)
        self.assertTrue(ways.ask("http-1.1.aa", (b"x",)))
        ways.gone(["http-1.1.aa", "http-2.1.bb"])
        self.assertEqual(ways._ways, {})
