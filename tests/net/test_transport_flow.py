"""Bytes in both directions, and who waits for whom."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IConsumer,
    ILoggingContext,
    IPullProducer,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.net.endpoints import (
    HAS_LOOP,
    KERNEL_BYTES,
    Over,
    OverLoop,
    OverStock,
    turns,
    until,
)

CHUNK = b"0123456789abcdef" * 1024
CHUNKS = 128
MUCH = CHUNK * CHUNKS


@implementer(IPushProducer)
class Pusher:
    """Writes chunk after chunk, while it may."""

    def __init__(self, wire: Any, chunks: int) -> None:
        self.wire = wire
        self.left = chunks
        self.log: list[str] = []
        self.running = True

    def go(self) -> None:
        """Write until asked to pause, or done."""
        while self.running and self.left:
            self.left -= 1
            self.wire.write(CHUNK)
        if not self.left and self.running:
            self.running = False
            self.log.append("done")
            self.wire.unregisterProducer()

    def pauseProducing(self) -> None:
        """Stop."""
        self.running = False
        self.log.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.running = True
        self.log.append("resume")
        self.go()

    def stopProducing(self) -> None:
        """End."""
        self.running = False
        self.left = 0
        self.log.append("stop")


@implementer(IPullProducer)
class Pulled:
    """Writes one chunk when asked."""

    def __init__(self, wire: Any, chunks: int) -> None:
        self.wire = wire
        self.left = chunks
        self.asked = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        """Write one chunk."""
        self.asked += 1
        self.left -= 1
        self.wire.write(CHUNK)
        if not self.left:
            self.wire.unregisterProducer()

    def stopProducing(self) -> None:
        """End."""
        self.stopped = True


class FlowTests(Over):
    """What goes through a connection."""

    async def test_echo(self) -> None:
        """What a client sends arrives in order, and so does every answer."""
        self.factory.on_data = lambda recorder, data: recorder.wire.write(data)
        peer = self.peer()
        for word in (b"one ", b"two ", b"three"):
            peer.send(word)
            await turns()
        self.case.assertEqual(await peer.read_bytes(13), b"one two three")

    async def test_is_what_it_says(self) -> None:
        """A protocol finds every interface that it may ask a TCP transport for."""
        _, recorder = await self.connected()
        for interface in (
            ITCPTransport,
            IPushProducer,
            IConsumer,
            ILoggingContext,
            ISystemHandle,
        ):
            self.case.assertTrue(interface.providedBy(recorder.wire))
            verifyObject(interface, recorder.wire)
        self.case.assertTrue(recorder.wire.connected)
        self.case.assertFalse(recorder.wire.disconnecting)
        self.case.assertIn("Recorder", recorder.wire.logPrefix())

    async def test_addresses(self) -> None:
        """Both ends are known by their addresses, to the factory as well."""
        peer, recorder = await self.connected()
        theirs = IPv4Address("TCP", *peer.socket.getsockname())
        self.case.assertEqual(recorder.wire.getPeer(), theirs)
        ours = IPv4Address("TCP", *peer.socket.getpeername())
        self.case.assertEqual(recorder.wire.getHost(), ours)
        self.case.assertEqual(self.port.getHost(), ours)

    async def test_peer_outlives(self) -> None:
        """Who it was is still known when it has gone, for the log."""
        peer, recorder = await self.connected()
        theirs = recorder.wire.getPeer()
        peer.close()
        await self.lost(recorder)
        self.case.assertEqual(recorder.wire.getPeer(), theirs)

    async def test_options(self) -> None:
        """Nagle's algorithm and keep-alive can be switched."""
        _, recorder = await self.connected()
        wire = recorder.wire
        for wanted in (True, False, True):
            wire.setTcpNoDelay(wanted)
            wire.setTcpKeepAlive(wanted)
            self.case.assertIs(wire.getTcpNoDelay(), wanted)
            self.case.assertIs(wire.getTcpKeepAlive(), wanted)
        self.case.assertGreater(wire.getHandle().fileno(), 0)

    async def test_text_is_refused(self) -> None:
        """Text that nobody encoded is the programmer's error, seen at once."""
        peer, recorder = await self.connected()
        self.case.assertRaises(TypeError, recorder.wire.write, "text")
        self.case.assertRaises(TypeError, recorder.wire.writeSequence, ["text"])
        recorder.wire.writeSequence([b"by", b"", b"tes"])
        recorder.wire.write(b"")
        self.case.assertEqual(await peer.read_bytes(5), b"bytes")

    async def test_much_to_a_slow_reader(self) -> None:
        """A big answer arrives whole, however slowly the client reads."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.write(b"end")
        await turns(20)
        self.case.assertLess(len(peer.received), len(MUCH))
        self.case.assertEqual(await peer.read_bytes(len(MUCH) + 3), MUCH + b"end")

    async def test_much_from_a_client(self) -> None:
        """A big upload arrives whole."""
        peer, recorder = await self.connected()
        await peer.send_all(MUCH)
        await until(lambda: len(recorder.received) == len(MUCH))
        self.case.assertEqual(recorder.received, MUCH)

    async def test_pausing(self) -> None:
        """A server that reads no more costs no memory: the client has to wait."""
        peer, recorder = await self.connected()
        peer.send(b"first")
        await until(lambda: recorder.received == b"first")
        recorder.wire.pauseProducing()
        recorder.wire.pauseProducing()
        peer.send(b"second")
        await turns(20)
        self.case.assertEqual(recorder.received, b"first")
        recorder.wire.resumeProducing()
        recorder.wire.resumeProducing()
        await until(lambda: recorder.received == b"firstsecond")

    async def test_paused_from_the_beginning(self) -> None:
        """A protocol that pauses while it is connected gets nothing before it is ready."""
        self.factory.on_made = lambda recorder: recorder.wire.pauseProducing()
        peer = self.peer()
        peer.send(b"early ")
        await until(lambda: bool(self.factory.made))
        recorder = self.factory.made[0]
        await turns(20)
        peer.send(b"bird")
        await turns(20)
        self.case.assertEqual(recorder.received, b"")
        recorder.wire.resumeProducing()
        await until(lambda: recorder.received == b"early bird")

    async def test_paused_while_the_client_left(self) -> None:
        """What a client said before it left is read, and only then is it gone."""
        self.factory.on_made = lambda recorder: recorder.wire.pauseProducing()
        peer = self.peer()
        peer.send(b"last words")
        peer.close()
        await until(lambda: bool(self.factory.made))
        recorder = self.factory.made[0]
        await turns(20)
        self.case.assertEqual(recorder.events, ["made"])
        recorder.wire.resumeProducing()
        await self.lost(recorder)
        self.case.assertEqual(recorder.received, b"last words")

    async def test_piecemeal(self) -> None:
        """A protocol that takes one piece at a time gets every one, and the end."""

        def one_piece(recorder: Any, _: bytes = b"") -> None:
            recorder.wire.pauseProducing()

        self.factory.on_made = self.factory.on_data = one_piece
        peer = self.peer()
        peer.send(b"one")
        await until(lambda: bool(self.factory.made))
        recorder = self.factory.made[0]
        await turns(20)
        recorder.wire.resumeProducing()
        await until(lambda: recorder.received == b"one")
        peer.send(b"two")
        peer.close()
        await turns(20)
        self.case.assertEqual(recorder.received, b"one")
        recorder.wire.resumeProducing()
        await until(lambda: recorder.received == b"onetwo")
        self.case.assertEqual(recorder.lost, [])
        recorder.wire.resumeProducing()
        await self.lost(recorder)


class ProducerTests(Over):
    """Producers, and a reader that is slower than they are."""

    async def test_push(self) -> None:
        """A producer is paused while the client is behind, and memory is bounded."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        pusher = Pusher(recorder.wire, CHUNKS)
        recorder.wire.registerProducer(pusher, True)
        pusher.go()
        await turns(20)
        self.case.assertEqual(pusher.log[-1], "pause")
        written = (CHUNKS - pusher.left) * len(CHUNK)
        self.case.assertLess(written, KERNEL_BYTES)
        self.case.assertEqual(await peer.read_bytes(len(MUCH)), MUCH)
        self.case.assertEqual(pusher.log[-1], "done")
        self.case.assertGreater(pusher.log.count("resume"), 2)

    async def test_stubborn(self) -> None:
        """A producer that writes although it is paused is asked again, every time."""
        _, recorder = await self.connected(buffer_bytes=8192)
        pusher = Pusher(recorder.wire, 0)
        recorder.wire.registerProducer(pusher, True)
        for _ in range(100):
            recorder.wire.write(CHUNK)
        before = pusher.log.count("pause")
        for _ in range(5):
            recorder.wire.write(CHUNK)
        self.case.assertEqual(pusher.log.count("pause"), before + 5)

    async def test_pull(self) -> None:
        """A producer that is pulled is asked for the next piece, until it has none."""
        peer, recorder = await self.connected()
        pulled = Pulled(recorder.wire, 10)
        recorder.wire.registerProducer(pulled, False)
        self.case.assertEqual(pulled.asked, 1)
        self.case.assertEqual(await peer.read_bytes(len(CHUNK) * 10), CHUNK * 10)
        await turns()
        self.case.assertEqual(pulled.asked, 10)
        recorder.wire.write(b"more")
        await peer.read_bytes(len(CHUNK) * 10 + 4)
        self.case.assertEqual(pulled.asked, 10)

    async def test_pull_a_slow_reader(self) -> None:
        """A slow client is not ahead by more than a buffer."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        pulled = Pulled(recorder.wire, CHUNKS)
        recorder.wire.registerProducer(pulled, False)
        await turns(50)
        self.case.assertLess(pulled.asked * len(CHUNK), KERNEL_BYTES)
        self.case.assertEqual(await peer.read_bytes(len(MUCH)), MUCH)
        self.case.assertEqual(pulled.asked, CHUNKS)

    async def test_one_at_a_time(self) -> None:
        """Two producers on one connection are an error."""
        _, recorder = await self.connected()
        wire = recorder.wire
        wire.registerProducer(Pusher(wire, 0), True)
        self.case.assertRaises(
            RuntimeError, wire.registerProducer, Pusher(wire, 0), True
        )
        wire.unregisterProducer()
        wire.registerProducer(Pusher(wire, 0), True)

    async def test_stopped(self) -> None:
        """A producer hears that its client has left, before the protocol does."""
        peer, recorder = await self.connected()
        pusher = Pusher(recorder.wire, 0)
        recorder.wire.registerProducer(pusher, True)
        recorder.recorders.on_lost = lambda _: pusher.log.append("lost")
        peer.close()
        await self.lost(recorder)
        self.case.assertEqual(pusher.log, ["stop", "lost"])

    async def test_too_late(self) -> None:
        """A producer for a client that has left is stopped at once."""
        peer, recorder = await self.connected()
        peer.close()
        await self.lost(recorder)
        pusher = Pusher(recorder.wire, 1)
        recorder.wire.registerProducer(pusher, True)
        self.case.assertEqual(pusher.log, ["stop"])
        recorder.wire.write(b"nobody reads this")

    async def test_failing(self) -> None:
        """A producer that fails costs its own connection, and the error is logged."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        pusher = Pusher(recorder.wire, CHUNKS)
        recorder.wire.registerProducer(pusher, True)
        pusher.go()
        self.case.patch(pusher, "resumeProducing", self.nothing_here)
        await peer.read_to_end()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(LookupError))
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)

    def nothing_here(self) -> None:
        """Fail."""
        raise LookupError("nothing here")


class StockFlowTests(OverStock, FlowTests, TestCase):
    """Over Twisted's own transports."""


class StockProducerTests(OverStock, ProducerTests, TestCase):
    """Over Twisted's own transports."""


if HAS_LOOP:

    class LoopFlowTests(OverLoop, FlowTests, TestCase):
        """Over the loop's transports."""

    class LoopProducerTests(OverLoop, ProducerTests, TestCase):
        """Over the loop's transports."""
