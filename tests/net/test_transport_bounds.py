"""What a connection may cost: memory, and turns of the loop, whatever a client does."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.net.endpoints import (
    HAS_LOOP,
    REACTOR,
    Over,
    OverLoop,
    OverStock,
    turns,
    until,
)
from tests.net.test_transport_flow import CHUNK, MUCH

FLOOD = 8
"""How many times `MUCH`."""
MOST_BYTES = 2 * 2**20
ENOUGH = 10_000
"""So many chunks fit into no buffer; who has written them would write for ever."""


class FloodTests(Over):
    """Clients that send and send."""

    async def peak_of(self, flood: Callable[[], Any]) -> int:
        """Return how much memory is taken while a client sends."""
        if not tracemalloc.is_tracing():
            tracemalloc.start()
            self.case.addCleanup(tracemalloc.stop)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        await flood()
        return tracemalloc.get_traced_memory()[1] - before

    async def costs_little(self, on_data: Callable[[Any, bytes], object]) -> None:
        """Flood a server that does ``on_data``; it takes or refuses all of it."""
        self.factory.on_data = on_data
        peer, recorder = await self.connected()

        async def flood() -> None:
            for _ in range(FLOOD):
                try:
                    await peer.send_all(MUCH)
                except OSError:  # refused
                    return

        self.case.assertLess(await self.peak_of(flood), MOST_BYTES)
        self.case.assertLess(len(recorder.received), len(MUCH))

    async def test_lost(self) -> None:
        """Who goes on sending to a server that has said goodbye costs no memory."""
        await self.costs_little(lambda recorder, _: recorder.wire.loseConnection())

    async def test_paused_and_lost(self) -> None:
        """Nor does it matter that the server had stopped reading before."""

        def on_data(recorder: Any, _: bytes) -> None:
            recorder.wire.pauseProducing()
            REACTOR.callLater(0, recorder.wire.loseConnection)

        await self.costs_little(on_data)

    async def test_cut(self) -> None:
        """Nor does one that was cut off, whatever is asked of the connection then."""

        def on_data(recorder: Any, _: bytes) -> None:
            recorder.wire.abortConnection()
            recorder.wire.resumeProducing()

        await self.costs_little(on_data)

    async def test_paused(self) -> None:
        """What is sent to a server that does not read waits with the client."""
        for where in ("on_made", "on_data"):
            setattr(self.factory, where, lambda recorder, *_: pause(recorder))
            peer, recorder = await self.connected()
            peer.send(b"first")
            await turns(20)
            sent = 0
            for _ in range(5):
                sent = await self.sent_in_vain(peer, sent)
            self.case.assertLess(len(recorder.received), len(MUCH))

    async def sent_in_vain(self, peer: Any, sent: int) -> int:
        """Send until nothing is taken; after the first time that is at once."""
        more = 0
        while True:
            try:
                more += peer.socket.send(CHUNK)
            except BlockingIOError:
                break
        await turns(20)
        if sent:
            self.case.assertLess(more, sent)
        return sent + more


def pause(recorder: Any) -> None:
    """Read no more."""
    recorder.wire.pauseProducing()


@implementer(IPushProducer)
class Endless:
    """Writes until it is paused, as all producers may."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.running = True
        self.written = 0
        self.stopped = False

    def go(self) -> None:
        """Write for ever, or nearly."""
        self.running = True
        while self.running and self.written < ENOUGH:
            self.written += 1
            self.wire.write(CHUNK)

    resumeProducing = go

    def pauseProducing(self) -> None:
        """Stop for now."""
        self.running = False

    def stopProducing(self) -> None:
        """Stop."""
        self.running = False
        self.stopped = True


class EndlessTests(Over):
    """Producers that stop only when they are asked to."""

    def produced(self, recorder: Any) -> Endless:
        """Let one write."""
        endless = Endless(recorder.wire)
        recorder.wire.registerProducer(endless, True)
        endless.go()
        return endless

    async def ends(self, recorder: Any, endless: Endless) -> None:
        """It was paused in time, and hears of the end."""
        self.case.assertLess(endless.written, ENOUGH)
        await self.lost(recorder)
        self.case.assertTrue(endless.stopped)

    async def test_client_vanished(self) -> None:
        """It is paused also where the client has vanished and nobody has told us."""
        peer, recorder = await self.connected()
        peer.reset()
        await self.ends(recorder, self.produced(recorder))

    async def test_cut(self) -> None:
        """It is paused also on a connection that was cut."""
        _, recorder = await self.connected()
        recorder.wire.abortConnection()
        await self.ends(recorder, self.produced(recorder))

    async def test_cut_meanwhile(self) -> None:
        """It makes no difference that it was at work before."""
        _, recorder = await self.connected(buffer_bytes=8192)
        endless = self.produced(recorder)
        recorder.wire.abortConnection()
        endless.go()
        await self.ends(recorder, endless)

    async def test_closing(self) -> None:
        """It is paused also where a slow client still takes what was sent before."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.loseConnection()
        await turns(20)
        endless = self.produced(recorder)
        self.case.assertLess(endless.written, ENOUGH)
        peer.reset()
        await self.ends(recorder, endless)

    async def test_half_closed(self) -> None:
        """After our end of file it is not in the way of a farewell."""
        peer, recorder = await self.connected()
        recorder.wire.loseWriteConnection()
        await peer.read_to_end()
        endless = Endless(recorder.wire)
        recorder.wire.registerProducer(endless, True)
        recorder.wire.write(b"nobody reads this")
        recorder.wire.loseConnection()
        peer.close()
        await until(lambda: bool(recorder.lost))
        self.case.assertTrue(endless.stopped)


class StockFloodTests(OverStock, FloodTests, TestCase):
    """Over Twisted's own transports."""


class StockEndlessTests(OverStock, EndlessTests, TestCase):
    """Over Twisted's own transports."""


if HAS_LOOP:

    class LoopFloodTests(OverLoop, FloodTests, TestCase):
        """Over the loop's transports."""

        async def test_resumed_after_the_end(self) -> None:
            """A protocol that was cut off reads nothing more, however it asks."""

            def on_data(recorder: Any, _: bytes) -> None:
                recorder.wire.abortConnection()
                recorder.wire.resumeProducing()
                recorder.wire.data_received(b"more")

            self.factory.on_data = on_data
            peer, recorder = await self.connected()
            peer.send(b"first")
            await self.lost(recorder)
            self.assertEqual(recorder.received, b"first")
            self.assertTrue(recorder.wire.disconnecting)

    class LoopEndlessTests(OverLoop, EndlessTests, TestCase):
        """Over the loop's transports."""
