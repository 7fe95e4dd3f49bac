"""Farewells that end, whatever the peer does."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.net.endpoint import LoopPort
from tbtwist.net.parting import Parting
from tbtwist.net.surroundings import Limits
from tests.net.endpoints import HAS_LOOP, REACTOR, OverLoop, turns, until
from tests.net.test_transport_flow import MUCH, Pusher


class FakeTransport:
    """A loop's transport whose buffer the test fills and empties."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.waiting = 0
        self.log: list[str] = []

    def get_extra_info(self, _name: str) -> socket.socket:
        """Return the socket."""
        return self.socket

    def get_write_buffer_size(self) -> int:
        """Return what the peer has not taken."""
        return self.waiting

    def close(self) -> None:
        """Take note."""
        self.log.append("close")

    def write_eof(self) -> None:
        """Take note."""
        self.log.append("end of file")

    def resume_reading(self) -> None:
        """Take note."""
        self.log.append("read")

    def cut(self) -> None:
        """Take note."""
        self.log.append("cut")


class PartingTests(SynchronousTestCase):
    """`Parting`, on a clock."""

    def setUp(self) -> None:
        """Make both ends."""
        ours, self.theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.theirs.close)
        self.clock = Clock()
        self.transport = FakeTransport(ours)
        self.parting = Parting(
            cast("Any", self.transport), self.clock, 10, self.transport.cut
        )

    def happened(self, seconds: float = 0) -> list[str]:
        """Return what has happened in the next ``seconds``."""
        self.clock.advance(seconds)
        log = list(self.transport.log)
        self.transport.log.clear()
        return log

    def test_nothing_waits(self) -> None:
        """With nothing to send, the connection is closed, and no timer runs."""
        self.parting.finish()
        self.assertEqual(self.happened(), ["close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_once(self) -> None:
        """Closing again is closing once."""
        self.parting.finish()
        self.parting.finish()
        self.assertEqual(self.happened(), ["close"])

    def test_slow(self) -> None:
        """A peer that takes a little now and then gets everything."""
        self.transport.waiting = 100
        self.parting.finish()
        self.assertEqual(self.happened(), ["close"])
        for left in (60, 59, 1):
            self.transport.waiting = left
            self.assertEqual(self.happened(10), [])
        self.parting.over()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stuck(self) -> None:
        """A peer that takes nothing any more is cut off."""
        self.transport.waiting = 100
        self.parting.finish()
        self.transport.waiting = 50
        self.assertEqual(self.happened(10), ["close"])
        self.assertEqual(self.happened(9), [])
        self.assertEqual(self.happened(1), ["cut"])

    def test_producer_not_done(self) -> None:
        """While a producer is at work it is not the peer's fault that nothing comes."""
        self.parting.wait()
        self.parting.wait()
        self.assertEqual(self.happened(10), [])
        self.assertEqual(self.happened(10), [])
        self.transport.waiting = 100
        self.assertEqual(self.happened(10), ["cut"])

    def test_lingers(self) -> None:
        """A peer that still sends sees our end before we stop to listen."""
        self.theirs.send(b"more of the upload")
        self.parting.finish()
        self.assertEqual(self.happened(), ["end of file", "read"])
        self.assertEqual(self.happened(9), [])
        self.assertEqual(self.happened(1), ["close"])

    def test_lingers_with_a_dead_peer(self) -> None:
        """That the peer has vanished meanwhile makes no difference."""

        def fail() -> None:
            raise OSError("not connected")

        self.patch(self.transport, "write_eof", fail)
        self.theirs.send(b"more of the upload")
        self.parting.finish()
        self.assertEqual(self.happened(10), ["read", "close"])

    def test_over(self) -> None:
        """Nothing is left of it when the connection is lost."""
        self.theirs.send(b"more of the upload")
        self.parting.finish()
        self.parting.over()
        self.parting.over()
        self.assertEqual(self.clock.getDelayedCalls(), [])


if HAS_LOOP:

    class LoopPartingTests(OverLoop, TestCase):
        """The same on real sockets, where the clock is the test's."""

        def listen(self, factory: Any, limits: Limits | None = None) -> LoopPort:
            """Listen, with a clock that stands still."""
            self.clock = Clock()
            port = LoopPort(
                self.clock,
                REACTOR._asyncioEventloop,
                self.listener,
                factory,
                50,
                limits or Limits(close_timeout_s=5),
            )
            port.startListening()
            return port

        async def test_never_reads(self) -> None:
            """A client that never reads its answer cannot hold a connection for ever."""
            _, recorder = await self.connected(buffer_bytes=8192)
            recorder.wire.write(MUCH)
            recorder.wire.loseConnection()
            await until(lambda: bool(self.clock.getDelayedCalls()))
            await turns(50)
            while not recorder.lost:
                self.clock.advance(5)
                await turns()
            self.assertIsNotNone(recorder.lost[0].check(ConnectionAborted))
            self.assertEqual(self.clock.getDelayedCalls(), [])

        async def test_never_reads_a_producer(self) -> None:
            """Nor can it when the answer is still being produced."""
            _, recorder = await self.connected(buffer_bytes=8192)
            pusher = Pusher(recorder.wire, 128)
            recorder.wire.registerProducer(pusher, True)
            pusher.go()
            recorder.wire.loseConnection()
            await until(lambda: bool(self.clock.getDelayedCalls()))
            await turns(50)
            while not recorder.lost:
                self.clock.advance(5)
                await turns()
            self.assertEqual(pusher.log[-1], "stop")

        async def test_refused_upload(self) -> None:
            """A client that is still sending reads the whole refusal, not a reset."""

            def refuse(recorder: Any, _: bytes) -> None:
                recorder.wire.write(b"too large")
                recorder.wire.loseConnection()

            self.factory.on_data = refuse
            peer, recorder = await self.connected()
            await peer.send_all(MUCH)
            self.assertEqual(await peer.read_to_end(), b"too large")
            self.assertEqual(peer.ended, "end")
            self.assertLess(len(recorder.received), len(MUCH))
            peer.close()
            reason = await self.lost(recorder)
            self.assertIsNotNone(reason.check(ConnectionDone))
            self.assertEqual(self.clock.getDelayedCalls(), [])

        async def test_sends_for_ever(self) -> None:
            """A client that goes on sending is not listened to for ever."""
            peer, recorder = await self.connected()
            recorder.wire.pauseProducing()
            peer.send(b"more")
            recorder.wire.loseConnection()
            await until(lambda: bool(self.clock.getDelayedCalls()))
            peer.send(b"and more")
            await turns()
            self.assertEqual(recorder.lost, [])
            self.clock.advance(5)
            reason = await self.lost(recorder)
            self.assertIsNotNone(reason.check(ConnectionDone))

        async def test_limits(self) -> None:
            """How much waits for a slow client is configurable."""
            await self.port.stopListening()
            limits = Limits(high_water_bytes=1000, low_water_bytes=100)
            self.port = self.listen(self.factory, limits)
            _, recorder = await self.connected(buffer_bytes=8192)
            pusher = Pusher(recorder.wire, 0)
            recorder.wire.registerProducer(pusher, True)
            while not pusher.log:
                recorder.wire.write(b"x" * 999)
            waiting = recorder.wire._transport.get_write_buffer_size()
            self.assertGreater(waiting, 1000)
            self.assertLess(waiting, 2000)
