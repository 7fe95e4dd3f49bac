"""txZMQ, made safe."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from typing import Any

import zmq
from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from txzmq import ZmqFactory

from tbtwist.bus import sockets
from tbtwist.bus.sockets import (
    BoundedSocket,
    SocketOptions,
    make_raw,
    new_factory,
)
from tbtwist.errors import CannotBind
from tests.bus.fakes import Seen

reactor: Any = global_reactor


class ClockReactor(Clock):
    """A reactor whose time and readers are ours."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()

    def addReader(self, reader: object) -> None:
        """As IReactorFDSet."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """As IReactorFDSet."""
        self.readers.discard(reader)


class SocketTests(TestCase):
    """Bounds, errors, and the given reactor."""

    timeout = 30

    def setUp(self) -> None:
        """Make a place for sockets."""
        self.dir = tempfile.mkdtemp(prefix="tbt")
        self.addCleanup(shutil.rmtree, self.dir)
        self.address = f"ipc://{self.dir}/s"

    def factory(self, clock: Any = reactor) -> ZmqFactory:
        """Return a factory that is shut down in the end."""
        factory = new_factory(clock)
        self.addCleanup(factory.shutdown)
        return factory

    def pair(
        self, incoming: Any, clock: Any = reactor, hwm: int = 1000
    ) -> tuple[BoundedSocket, BoundedSocket]:
        """Return a PULL socket that gives to ``incoming``, and a PUSH socket to it."""
        factory = self.factory(clock)
        pull, push = (
            BoundedSocket(
                factory, SocketOptions(kind=kind, hwm_send=hwm, hwm_recv=hwm), incoming
            )
            for kind in (zmq.PULL, zmq.PUSH)
        )
        pull.bind(self.address, "a test")
        push.connect(self.address)
        return pull, push

    async def test_messages_arrive_in_order(self) -> None:
        """What is sent arrives, frame by frame."""
        seen: Seen[list[bytes]] = Seen()
        _, push = self.pair(seen)
        for number in range(500):
            self.assertTrue(push.offer([b"%d" % number, b"x"]))
        await seen.count(500)
        self.assertEqual(seen.things, [[b"%d" % number, b"x"] for number in range(500)])

    async def test_a_receiver_that_fails_is_logged(self) -> None:
        """The next message is read all the same."""
        seen: Seen[list[bytes]] = Seen()

        def incoming(message: list[bytes]) -> None:
            seen(message)
            if message == [b"bad"]:
                raise ZeroDivisionError

        _, push = self.pair(incoming)
        push.offer([b"bad"])
        push.offer([b"good"])
        await seen.count(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def read_until(self, pull: BoundedSocket, seen: Seen[list[bytes]]) -> None:
        """Let the reactor say that there is something, until there is."""
        while not seen.things:
            pull.doRead()

    def test_a_wake_up_is_bounded(self) -> None:
        """A busy socket takes so many messages, then the others have their turn."""
        self.patch(sockets, "PER_WAKE_UP", 10)
        clock, seen = ClockReactor(), Seen[list[bytes]]()
        pull, push = self.pair(seen, clock)
        for _ in range(25):
            push.offer([b"x"])
        self.read_until(pull, seen)
        counts = []
        while pull.read_scheduled is not None:
            counts.append(len(seen.things))
            clock.advance(0)
        self.assertTrue(all(count % 10 == 0 for count in counts), counts)

    def test_a_wake_up_is_bounded_in_time(self) -> None:
        """Slow messages end the turn sooner."""
        clock, seen = ClockReactor(), Seen[list[bytes]]()

        def slow(message: list[bytes]) -> None:
            seen(message)
            clock.rightNow += 1.0

        pull, push = self.pair(slow, clock)
        push.offer([b"x"])
        push.offer([b"x"])
        self.read_until(pull, seen)
        self.assertEqual(len(seen.things), 1)
        self.assertIsNotNone(pull.read_scheduled)

    async def test_no_room_is_not_an_error(self) -> None:
        """A full socket says so, and nothing blocks."""
        factory = self.factory()
        options = SocketOptions(kind=zmq.PUSH, hwm_send=3, hwm_recv=3)
        push = BoundedSocket(factory, options, lambda _: None)
        push.connect(self.address)
        accepted = [push.offer([b"x"]) for _ in range(5)]
        self.assertEqual(accepted, [True] * 3 + [False] * 2)

    async def test_a_router_says_who_is_not_there(self) -> None:
        """A message to a stranger is an error, not a silent drop."""
        options = SocketOptions(kind=zmq.ROUTER, hwm_send=3, hwm_recv=3, mandatory=True)
        router = BoundedSocket(self.factory(), options, lambda _: None)
        router.bind(self.address, "a test")
        error = self.assertRaises(zmq.ZMQError, router.send, [b"stranger", b"x"])
        self.assertEqual(error.errno, zmq.EHOSTUNREACH)

    def test_marks_are_set(self) -> None:
        """Both high-water marks are what was asked for; closing does not wait."""
        options = SocketOptions(kind=zmq.DEALER, hwm_send=5, hwm_recv=7, identity=b"me")
        dealer = BoundedSocket(self.factory(ClockReactor()), options, lambda _: None)
        got = [dealer.socket.get(what) for what in (zmq.SNDHWM, zmq.RCVHWM, zmq.LINGER)]
        self.assertEqual((*got, dealer.socket.get(zmq.IDENTITY)), (5, 7, 0, b"me"))

    def test_marks_of_a_raw_socket(self) -> None:
        """Sockets for libzmq's own thread are bounded as well."""
        with zmq.Context() as context:
            options = SocketOptions(kind=zmq.XPUB, hwm_send=5, hwm_recv=7)
            socket = make_raw(context, options)
            got = [socket.get(each) for each in (zmq.SNDHWM, zmq.RCVHWM, zmq.LINGER)]
            socket.close()
        self.assertEqual(got, [5, 7, 0])

    def test_a_bind_that_fails(self) -> None:
        """The error names what, where and why."""
        options = SocketOptions(kind=zmq.PULL, hwm_send=1, hwm_recv=1)
        pull = BoundedSocket(self.factory(ClockReactor()), options, lambda _: None)
        address = f"ipc://{self.dir}/no/such/dir"
        error = self.assertRaises(CannotBind, pull.bind, address, "the bus")
        self.assertEqual((error.what, error.address), ("the bus", address))
        self.assertTrue(error.reason)

    def test_the_given_reactor_is_used(self) -> None:
        """Nothing is left on it after closing, and the global one is not touched."""
        before = reactor.getDelayedCalls()
        clock = ClockReactor()
        factory = new_factory(clock)
        options = SocketOptions(kind=zmq.DEALER, hwm_send=5, hwm_recv=5)
        dealer = BoundedSocket(factory, options, lambda _: None)
        dealer.connect(self.address)
        dealer.offer([b"x"])
        dealer._read_soon()
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        self.assertEqual(clock.readers, {dealer})
        factory.shutdown()
        self.assertEqual((clock.getDelayedCalls(), clock.readers), ([], set()))
        self.assertEqual(reactor.getDelayedCalls(), before)

    def test_a_receiver_may_close_everything(self) -> None:
        """Shutting down from within a message is fine."""
        clock, seen = ClockReactor(), Seen[list[bytes]]()
        factory = new_factory(clock)

        def incoming(message: list[bytes]) -> None:
            seen(message)
            factory.shutdown()

        options = SocketOptions(kind=zmq.PULL, hwm_send=5, hwm_recv=5)
        pull = BoundedSocket(factory, options, incoming)
        pull.bind(self.address, "a test")
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.linger = 0
            push.connect(self.address)
            for _ in range(2):
                push.send(b"x")
            self.read_until(pull, seen)
        self.assertEqual(len(seen.things), 1)
        self.assertEqual(clock.getDelayedCalls(), [])


class DoorTests(TestCase):
    """Who may know ZeroMQ."""

    def test_the_core_needs_no_zeromq(self) -> None:
        """The memory engine works where ZeroMQ is not installed."""
        script = (
            "import sys; import tbtwist.bus.memory, tbtwist.broker.routing;"
            "sys.exit('zmq' in sys.modules or 'txzmq' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], check=False)
        self.assertEqual(done.returncode, 0)
