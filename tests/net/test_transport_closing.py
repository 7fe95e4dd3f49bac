"""How connections end, from either side, and what a protocol is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.net.endpoints import (
    HAS_LOOP,
    Over,
    OverLoop,
    OverStock,
    Recorder,
    turns,
    until,
)
from tests.net.test_transport_flow import CHUNK, CHUNKS, MUCH, Pulled, Pusher


@implementer(IHalfCloseableProtocol)
class HalfAware(Recorder):
    """Knows that a connection has two halves."""

    def readConnectionLost(self) -> None:
        """Take note."""
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        """Take note."""
        self.events.append("write lost")


class ClosingTests(Over):
    """Connections that end in order."""

    async def test_client_leaves(self) -> None:
        """A client that leaves is a connection that is done."""
        peer, recorder = await self.connected()
        peer.send(b"bye")
        peer.close()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionDone))
        self.case.assertEqual(recorder.received, b"bye")
        self.case.assertFalse(recorder.wire.connected)
        self.case.assertTrue(recorder.wire.disconnected)

    async def test_lose(self) -> None:
        """A server that is done says so once everything has been sent."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.loseConnection()
        self.case.assertTrue(recorder.wire.disconnecting)
        self.case.assertEqual(await peer.read_to_end(), MUCH)
        self.case.assertEqual(peer.ended, "end")
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionDone))

    async def test_last_words(self) -> None:
        """What is written in the same breath as the farewell still goes out."""
        peer, recorder = await self.connected()
        recorder.wire.loseConnection()
        recorder.wire.write(b"one more thing")
        self.case.assertEqual(await peer.read_to_end(), b"one more thing")

    async def test_deaf_when_leaving(self) -> None:
        """A protocol that has said goodbye hears nothing any more."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.loseConnection()
        peer.send(b"wait!")
        recorder.wire.resumeProducing()
        await peer.read_to_end()
        peer.close()
        await self.lost(recorder)
        self.case.assertEqual(recorder.received, b"")

    async def test_done_is_done(self) -> None:
        """Whatever is asked of a connection that has ended does nothing."""
        peer, recorder = await self.connected()
        recorder.wire.loseConnection()
        recorder.wire.loseConnection()
        await peer.read_to_end()
        await self.lost(recorder)
        for request in (
            recorder.wire.loseConnection,
            recorder.wire.abortConnection,
            recorder.wire.pauseProducing,
            recorder.wire.resumeProducing,
            recorder.wire.stopProducing,
            recorder.wire.unregisterProducer,
        ):
            request()
        recorder.wire.write(b"nobody")
        recorder.wire.writeSequence([b"no", b"body"])
        await turns()
        self.case.assertEqual(recorder.events, ["made", "lost"])

    async def test_lost_in_connection_made(self) -> None:
        """A server that is full can turn a client away as soon as it is there."""

        def turn_away(recorder: Any) -> None:
            recorder.wire.write(b"full")
            recorder.wire.loseConnection()

        self.factory.on_made = turn_away
        peer = self.peer()
        self.case.assertEqual(await peer.read_to_end(), b"full")
        self.case.assertEqual(peer.ended, "end")

    async def test_stop_means_lose(self) -> None:
        """Who consumes a connection, or feeds it, can end it."""
        for end in ("stopProducing", "stopConsuming"):
            peer, recorder = await self.connected()
            getattr(recorder.wire, end)()
            await peer.read_to_end()
            reason = await self.lost(recorder)
            self.case.assertIsNotNone(reason.check(ConnectionDone))

    async def test_waits_for_a_paused_producer(self) -> None:
        """A producer that was only waiting for the client may finish first."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        pusher = Pusher(recorder.wire, CHUNKS)
        recorder.wire.registerProducer(pusher, True)
        pusher.go()
        recorder.wire.loseConnection()
        self.case.assertEqual(await peer.read_to_end(), MUCH)
        self.case.assertEqual(pusher.log[-1], "done")

    async def test_waits_for_pulling(self) -> None:
        """A producer that is pulled is pulled to the end."""
        peer, recorder = await self.connected()
        recorder.wire.registerProducer(Pulled(recorder.wire, CHUNKS), False)
        recorder.wire.loseConnection()
        self.case.assertEqual(await peer.read_to_end(), MUCH)

    async def test_does_not_wait_for_ever(self) -> None:
        """A producer that could go on for ever does not keep a connection open."""
        peer, recorder = await self.connected()
        recorder.wire.registerProducer(Pusher(recorder.wire, 0), True)
        recorder.wire.loseConnection()
        self.case.assertEqual(await peer.read_to_end(), b"")
        await self.lost(recorder)


class HalfClosingTests(Over):
    """Connections of which one half ends first."""

    def setUp(self) -> None:
        """Serve with a protocol that knows of halves."""
        super().setUp()
        self.factory.protocol = HalfAware

    async def test_client_first(self) -> None:
        """A client that has said all can still be answered."""
        peer, recorder = await self.connected()
        peer.send(b"question")
        peer.finish_sending()
        await until(lambda: "read lost" in recorder.events)
        self.case.assertEqual(recorder.received, b"question")
        recorder.wire.pauseProducing()
        recorder.wire.resumeProducing()
        recorder.wire.write(MUCH)
        recorder.wire.loseConnection()
        self.case.assertEqual(await peer.read_to_end(), MUCH)
        await self.lost(recorder)
        self.case.assertEqual(recorder.events[0], "made")
        self.case.assertEqual(recorder.events[-1], "lost")
        recorder.events[1:-1] = []

    async def test_client_first_and_nobody_cares(self) -> None:
        """To a protocol that knows no halves, half a connection is none."""
        self.factory.protocol = Recorder
        peer, recorder = await self.connected()
        peer.finish_sending()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionDone))
        self.case.assertEqual(await peer.read_to_end(), b"")

    async def test_server_first(self) -> None:
        """A server that has said all can still listen; the client sees it at once."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.loseWriteConnection()
        self.case.assertEqual(recorder.events, ["made"])
        self.case.assertEqual(await peer.read_to_end(), MUCH)
        self.case.assertEqual(recorder.events, ["made", "write lost"])
        recorder.wire.write(b"too late")
        peer.send(b"and now I")
        await until(lambda: recorder.received == b"and now I")
        peer.close()
        await until(lambda: "read lost" in recorder.events)
        recorder.wire.loseConnection()
        await self.lost(recorder)
        self.case.assertEqual(
            recorder.events, ["made", "write lost", "read lost", "lost"]
        )
        recorder.events[1:-1] = []

    async def test_server_first_after_pulling(self) -> None:
        """The half is closed when a producer that is pulled has given everything."""
        peer, recorder = await self.connected()
        recorder.wire.registerProducer(Pulled(recorder.wire, CHUNKS), False)
        recorder.wire.loseWriteConnection()
        self.case.assertEqual(await peer.read_to_end(), MUCH)
        await until(lambda: recorder.events == ["made", "write lost"])
        recorder.wire.loseConnection()
        await self.lost(recorder)
        recorder.events[1:-1] = []

    async def test_failing(self) -> None:
        """An error in either callback is logged and ends the connection."""
        for end in ("read", "write"):

            def fail(_: object) -> None:
                raise LookupError("nothing here")

            self.case.patch(HalfAware, f"{end}ConnectionLost", fail)
            peer, recorder = await self.connected()
            if end == "read":
                peer.finish_sending()
            else:
                recorder.wire.loseWriteConnection()
            reason = await self.lost(recorder)
            self.case.assertIsNotNone(reason.check(LookupError))
            self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)


class BreakingTests(Over):
    """Connections that break."""

    async def test_abort(self) -> None:
        """An aborted connection is gone at once, and the client sees no clean end."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.abortConnection()
        recorder.wire.abortConnection()
        recorder.wire.write(b"more")
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionAborted))
        self.case.assertLess(len(await peer.read_to_end()), len(MUCH))
        self.case.assertEqual(peer.ended, "reset")

    async def test_abort_a_closing_one(self) -> None:
        """A farewell that takes too long can be cut short."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        recorder.wire.write(MUCH)
        recorder.wire.loseConnection()
        await turns()
        recorder.wire.abortConnection()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionAborted))
        await peer.read_to_end()

    async def test_abort_in_data_received(self) -> None:
        """A protocol that aborts for what it read hears nothing more."""

        def abort(recorder: Any, _: bytes) -> None:
            recorder.wire.abortConnection()
            raise LookupError("and fails besides")

        self.factory.on_data = abort
        peer, recorder = await self.connected()
        peer.send(CHUNK)
        await self.lost(recorder)
        await peer.read_to_end()
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)

    async def test_reset(self) -> None:
        """A client that vanishes without a word is a connection that was lost."""
        peer, recorder = await self.connected()
        peer.reset()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionLost))

    async def test_reset_while_writing(self) -> None:
        """A client that vanishes in the middle of an answer ends the producer too."""
        peer, recorder = await self.connected(buffer_bytes=8192)
        pusher = Pusher(recorder.wire, CHUNKS)
        recorder.wire.registerProducer(pusher, True)
        pusher.go()
        peer.reset()
        reason = await self.lost(recorder)
        self.case.assertIsNotNone(reason.check(ConnectionLost))
        self.case.assertEqual(pusher.log[-1], "stop")

    async def test_data_received_fails(self) -> None:
        """An error in a protocol is logged, and costs its own connection only."""
        healthy, other = await self.connected()

        def fail(recorder: Any, data: bytes) -> None:
            if data == b"bad":
                raise LookupError("nothing here")
            recorder.wire.write(data)

        self.factory.on_data = fail
        peer = self.peer()
        await until(lambda: len(self.factory.made) == 2)
        peer.send(b"bad")
        self.case.assertEqual(await peer.read_to_end(), b"")
        reason = await self.lost(self.factory.made[1])
        self.case.assertIsNotNone(reason.check(LookupError))
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)
        healthy.send(b"good")
        self.case.assertEqual(await healthy.read_bytes(4), b"good")
        self.case.assertEqual(other.lost, [])

    async def test_connection_lost_fails(self) -> None:
        """An error in the last callback is logged, and nothing else comes of it."""

        def fail(_: object) -> None:
            raise LookupError("nothing here")

        self.factory.on_lost = fail
        peer, recorder = await self.connected()
        peer.close()
        await self.lost(recorder)
        await turns()
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)

    async def test_turned_away(self) -> None:
        """A factory that makes no protocol closes the connection."""
        self.case.patch(self.factory, "buildProtocol", lambda _: None)
        peer = self.peer()
        self.case.assertEqual(await peer.read_to_end(), b"")
        self.case.assertNotEqual(peer.ended, "")

    async def test_build_protocol_fails(self) -> None:
        """An error in the factory is logged, and the next client is served."""
        build = self.factory.buildProtocol

        def fail(_: object) -> None:
            self.case.patch(self.factory, "buildProtocol", build)
            raise LookupError("nothing here")

        self.case.patch(self.factory, "buildProtocol", fail)
        self.peer()
        await until(lambda: self.factory.buildProtocol == build)
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)
        await self.connected()

    async def test_connection_made_fails(self) -> None:
        """An error in the first callback is logged, and the next client is served."""

        def fail(_: object) -> None:
            self.factory.on_made = lambda recorder: recorder.wire.write(b"hello")
            raise LookupError("nothing here")

        self.factory.on_made = fail
        await self.connected()
        self.case.assertEqual(len(self.case.flushLoggedErrors(LookupError)), 1)
        peer = self.peer()
        self.case.assertEqual(await peer.read_bytes(5), b"hello")


class StockClosingTests(OverStock, ClosingTests, TestCase):
    """Over Twisted's own transports."""


class StockHalfClosingTests(OverStock, HalfClosingTests, TestCase):
    """Over Twisted's own transports."""


class StockBreakingTests(OverStock, BreakingTests, TestCase):
    """Over Twisted's own transports."""

    def tearDown(self) -> None:
        """Let go what Twisted has accepted and forgets when there is no protocol."""
        kinds = {warning["category"] for warning in self.flushWarnings()}
        self.assertLessEqual(kinds, {ResourceWarning})


if HAS_LOOP:

    class LoopClosingTests(OverLoop, ClosingTests, TestCase):
        """Over the loop's transports."""

    class LoopHalfClosingTests(OverLoop, HalfClosingTests, TestCase):
        """Over the loop's transports."""

    class LoopBreakingTests(OverLoop, BreakingTests, TestCase):
        """Over the loop's transports."""

        async def test_connection_made_failed(self) -> None:
            """A connection that could not begin is not left open."""

            def fail(_: object) -> None:
                raise LookupError("nothing here")

            self.factory.on_made = fail
            peer = self.peer()
            self.case.assertEqual(await peer.read_to_end(), b"")
            reason = await self.lost(self.factory.made[0])
            self.assertIsNotNone(reason.check(LookupError))
            self.flushLoggedErrors(LookupError)

        async def test_build_protocol_failed(self) -> None:
            """A client for whom there is no protocol is not left waiting."""
            self.patch(self.factory, "buildProtocol", self.no_protocol)
            await self.peer().read_to_end()
            self.assertEqual(self.port.connections, 0)
            self.flushLoggedErrors(LookupError)

        def no_protocol(self, _: object) -> None:
            """Fail."""
            raise LookupError("nothing here")
