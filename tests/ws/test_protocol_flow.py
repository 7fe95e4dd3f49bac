"""Backpressure, pings and the end of a connection, byte by byte."""

from __future__ import annotations

from tbtwist.config.schema import Settings
from tbtwist.events import EventType
from tbtwist.ws.connection import Connection
from tests.ws.fakes import item, settings
from tests.ws.wire import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Client,
    WireCase,
    closing,
    frame,
    request,
)


class ReadingTests(WireCase):
    """A full window pauses one client."""

    def test_held_back(self) -> None:
        """Messages that were read already wait, in order, until there is room."""
        client = self.open()
        lane = self.lane(client)
        lane.room = False
        client.send(frame(TEXT, b"1") + frame(TEXT, b"2") + frame(TEXT, b"3"))
        self.assertEqual(self.bodies(client), [b"1"])
        self.assertEqual(client.transport.producerState, "paused")
        lane.events.on_room()
        self.assertEqual(self.bodies(client), [b"1", b"2"])
        lane.room = True
        lane.events.on_room()
        self.assertEqual(self.bodies(client), [b"1", b"2", b"3"])
        self.assertEqual(client.transport.producerState, "producing")

    def test_bytes_on_their_way(self) -> None:
        """What still arrives while paused waits behind what came before."""
        client = self.open()
        lane = self.lane(client)
        lane.room = False
        client.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
        client.send(frame(TEXT, b"3"))
        lane.room = True
        lane.events.on_room()
        self.assertEqual(self.bodies(client), [b"1", b"2", b"3"])

    def test_other_clients(self) -> None:
        """Only the client whose window is full is paused."""
        full, other = self.open(), self.open()
        self.lane(full).room = False
        full.send(frame(TEXT, b"1"))
        other.send(frame(TEXT, b"2"))
        self.assertEqual(other.transport.producerState, "producing")
        self.assertEqual(self.bodies(other), [b"2"])

    def test_closing_while_paused(self) -> None:
        """A paused client can be closed: its answer is read."""
        client = self.open()
        self.lane(client).room = False
        client.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
        self.gateway.shut_down(1.0)
        client.send(frame(CLOSE, closing(1001)))
        self.assertTrue(client.transport.disconnecting)
        client.lose()
        self.clock.advance(1.0)
        self.assertEqual(self.bodies(client), [b"1"])
        self.assertEqual(self.lane(client).kinds()[-1], "ws.disconnect")


class WritingTests(WireCase):
    """A client that does not read."""

    def send(self, client: Client, size: int) -> str | None:
        """Let the application send a message of ``size`` bytes."""
        body = b"x" * size
        return self.gateway.deliver(
            item(EventType.WS_SEND, body, conn_id=client.conn_id)
        )

    def clog(self, client: Client) -> None:
        """Do what TCP does when its buffer is full."""
        assert client.transport.producer is not None
        client.transport.producer.pauseProducing()

    def unclog(self, client: Client) -> None:
        """Do what TCP does when its buffer has been sent."""
        assert client.transport.producer is not None
        client.transport.producer.resumeProducing()

    def test_too_slow(self) -> None:
        """Who lets more than two messages' worth pile up is closed with 1013."""
        client = self.open()
        self.clog(client)
        self.assertIsNone(self.send(client, 1000))
        self.assertIsNone(self.send(client, 900))
        self.assertEqual(client.frames(), [])
        self.send(client, 1000)
        self.assertEqual(self.send(client, 1), "the connection is closing")
        self.unclog(client)
        self.assertEqual(client.frames(), [(CLOSE, closing(1013, "too slow"))])
        self.assertEqual(self.factory.backlog.total_bytes, 0)
        reasons = {"slow client, close": 3, "the connection is closing": 1}
        self.assertEqual(self.gateway.counts.drops, reasons)
        self.assertEqual(self.gateway.counts.closes, {1013: 1})

    def test_one_long_message(self) -> None:
        """A message that is longer than the limit is no sign of a slow client."""
        client = self.open()
        transport = client.transport
        write = transport.write

        def fill(data: bytes) -> None:
            write(data)
            if len(data) > 1000:
                self.clog(client)

        self.patch(transport, "write", fill)
        self.assertIsNone(self.send(client, 9000))
        self.assertNotIn(CLOSE, dict(client.frames()))

    def test_recovered(self) -> None:
        """Who catches up has the whole room again."""
        client = self.open()
        for _ in range(5):
            self.clog(client)
            self.send(client, 1000)
            self.unclog(client)
        self.assertNotIn(CLOSE, dict(client.frames()))

    def test_fast(self) -> None:
        """Who reads as fast as we write may get any amount."""
        client = self.open()
        for _ in range(10):
            self.send(client, 1000)
        self.assertNotIn(CLOSE, dict(client.frames()))

    def test_unread_pongs(self) -> None:
        """Pings whose answers are never read do not fill our memory."""
        client = self.open()
        self.clog(client)
        for _ in range(30):
            client.send(frame(PING, b"x" * 125))
        self.unclog(client)
        self.assertEqual(client.frames(), [(CLOSE, closing(1013, "too slow"))])


class PingTests(WireCase):
    """Heartbeats: a ping every 30 s, 10 s for the answer."""

    def test_alive(self) -> None:
        """A client that answers stays, for hours."""
        client = self.open()
        for _ in range(100):
            self.clock.pump([1.0] * 30)
            [(opcode, payload)] = client.frames()
            self.assertEqual(opcode, PING)
            client.send(frame(PONG, payload))
        self.assertFalse(client.transport.disconnecting)

    def test_dead(self) -> None:
        """A client that does not answer in time is dropped, not earlier."""
        client = self.open()
        self.clock.pump([1.0] * 40)
        self.assertFalse(client.transport.disconnecting)
        self.clock.pump([1.0] * 2)
        self.assertTrue(client.transport.aborted)
        client.lose()
        gone = self.lane(client).items[-1].event
        self.assertEqual((gone.type, gone.payload["code"]), ("ws.disconnect", 1006))

    def test_paused_by_us(self) -> None:
        """A client whose pong we do not read is not taken for dead."""
        client = self.open()
        lane = self.lane(client)
        lane.room = False
        client.send(frame(TEXT, b"1"))
        self.clock.pump([1.0] * 31)
        [(opcode, payload)] = client.frames()
        self.assertEqual(opcode, PING)
        client.send(frame(PONG, payload))
        self.clock.pump([1.0] * 60)
        self.assertFalse(client.transport.disconnecting)
        lane.events.on_room()
        self.clock.pump([1.0] * 31)
        self.assertEqual(client.frames()[0][0], PING)
        self.clock.pump([1.0] * 12)
        self.assertTrue(client.transport.aborted)


class ImpatientTests(WireCase):
    """Heartbeats of less than a second."""

    def settings(self) -> Settings:
        """Ten pings a second, if that were possible."""
        return settings(ping_interval=0.1, ping_timeout=0.1)

    def test_short(self) -> None:
        """Settings below a second neither flood the client nor drop it at once."""
        client = self.open()
        self.clock.pump([0.1] * 11)
        [(opcode, payload)] = client.frames()
        self.assertEqual(opcode, PING)
        self.assertFalse(client.transport.disconnecting)
        client.send(frame(PONG, payload))
        self.clock.pump([0.1] * 5)
        self.assertFalse(client.transport.disconnecting)


class EndTests(WireCase):
    """Connections end."""

    def gone(self, client: Client) -> tuple[int, str]:
        """Return code and reason as the handler hears them."""
        last = self.lane(client).items[-1].event
        self.assertEqual(last.type, "ws.disconnect")
        self.assertEqual(self.lane(client).closed, 1)
        return last.payload["code"], last.payload["reason"]

    def connection(self, client: Client) -> Connection:
        """Return the core behind a client."""
        found = client.protocol._listener
        assert isinstance(found, Connection)
        return found

    def test_client_closes(self) -> None:
        """A client's close is answered and its code passed on."""
        client = self.open()
        client.send(frame(CLOSE, closing(4001, "bye")))
        self.assertEqual(client.frames(), [(CLOSE, closing(1000))])
        client.lose()
        self.assertEqual(self.gone(client), (4001, "bye"))

    def test_client_closes_without_a_code(self) -> None:
        """A close without a code is 1005, as the standard says."""
        client = self.open()
        client.send(frame(CLOSE, b""))
        client.lose()
        self.assertEqual(self.gone(client), (1005, ""))

    def test_client_vanishes(self) -> None:
        """A cut cable is 1006."""
        client = self.open()
        client.lose()
        self.assertEqual(self.gone(client)[0], 1006)
        self.assertEqual(self.gateway.connections, 0)

    def test_we_close(self) -> None:
        """A client that answers our close is let go."""
        client = self.open()
        self.connection(client).close(1012, "service restart")
        self.assertEqual(client.frames(), [(CLOSE, closing(1012, "service restart"))])
        client.send(frame(CLOSE, closing(1012)))
        self.assertTrue(client.transport.disconnecting)
        client.lose()
        self.assertEqual(self.gone(client), (1012, "service restart"))

    def test_close_is_not_answered(self) -> None:
        """A client that does not answer our close has two to three seconds."""
        client = self.open()
        self.connection(client).close(1012, "service restart")
        self.clock.pump([0.5] * 4)
        self.assertFalse(client.transport.disconnecting)
        self.clock.pump([0.5] * 3)
        self.assertTrue(client.transport.aborted)

    def test_vanishes_while_closing(self) -> None:
        """A client that is lost during the close leaves no timer (see setUp)."""
        client = self.open()
        self.connection(client).close(1012, "service restart")
        client.lose()
        self.assertEqual(self.gone(client), (1012, "service restart"))

    def test_abort(self) -> None:
        """A drain that is over drops who is left."""
        client = self.open()
        self.connection(client).abort()
        self.assertTrue(client.transport.aborted)
        client.lose()
        self.assertEqual(self.gone(client)[0], 1006)

    def test_long_reason(self) -> None:
        """A reason that is too long is cut between two characters."""
        client = self.open()
        self.connection(client).close(4000, "ä" * 200)
        [(_, payload)] = client.frames()
        self.assertEqual(payload[2:].decode(), "ä" * 61)

    def test_send_after_failure(self) -> None:
        """Nothing is sent behind a close that Autobahn began by itself."""
        client = self.open()
        client.send(frame(TEXT, b"\xff"))
        client.take()
        self.gateway.deliver(item(EventType.WS_SEND, b"hi", conn_id=client.conn_id))
        self.assertEqual(client.frames(), [])

    def test_turned_away(self) -> None:
        """A client that is not let in ends without a trace on the bus."""
        self.gateway._registry._max_members = 0
        client = self.connect()
        client.send(request() + frame(TEXT, b"early"))
        self.assertIn(closing(1013, "too many connections"), client.take())
        client.send(frame(CLOSE, closing(1013)))
        client.lose()
        self.assertEqual(self.bus.lanes, {})
