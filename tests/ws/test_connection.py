"""One connection, told as what its socket and its lane were told."""

from __future__ import annotations

from msgspec import UNSET

from tbtwist.auth.identity import Identity
from tbtwist.auth.session import SessionData
from tbtwist.events import EventType
from tbtwist.ws.connection import Connection, describe
from tests.ws.cases import FACTS, ID, ConnectionCase, GatewayCase
from tests.ws.fakes import START, FakeLane, FakeSocket, head, item

GREETING = b'{"type":"connected","conn_id":"0001-conn"}'


class OpenTests(ConnectionCase):
    """A client comes."""

    def test_order(self) -> None:
        """The client is greeted with its id before anything else can reach it."""
        self.connection.open()
        self.assertEqual(
            self.log,
            [
                ("send", GREETING, False),
                ("lane opened",),
                ("forward", "ws.connect", b""),
            ],
        )

    def test_facts(self) -> None:
        """The handler learns who connects, where, and with what query."""
        self.connection.open()
        event = self.lane.items[0].event
        self.assertEqual(event.payload, FACTS)
        self.assertEqual(
            (event.type, event.source, event.target, event.timestamp),
            ("ws.connect", "ws-1.7.c3f9", "http", START),
        )

    def test_anonymous(self) -> None:
        """Nobody is announced as nobody."""
        facts = describe(ID, head(), Identity(SessionData(session_id="anon_1")), START)
        self.assertEqual(
            (facts["user_id"], facts["user_name"], facts["level"], facts["exp"]),
            ("", "anonymous", 0, 0.0),
        )
        self.assertFalse(facts["authenticated"])

    def test_registered(self) -> None:
        """From now on the connection is found by its id."""
        self.connection.open()
        self.assertIs(self.registry.get(ID), self.connection)
        self.assertTrue(self.connection.is_open)
        self.assertEqual(self.counts.opened, 1)

    def test_twice(self) -> None:
        """A connection opens once."""
        self.opened().open()
        self.assertEqual(self.log, [])

    def test_expiry(self) -> None:
        """A session with an end expires then; one without never does."""
        self.assertFalse(self.connection.is_expired(START + 59.9))
        self.assertTrue(self.connection.is_expired(START + 60))
        endless = describe(ID, head(), Identity(SessionData()), START)
        connection = Connection(endless, FakeSocket(), self.shared)
        self.assertFalse(connection.is_expired(START * 10))


class TraceTests(GatewayCase):
    """Connections whose handshake says under which trace they are."""

    PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"

    def traces(self, **headers: str) -> list[tuple[object, object]]:
        """Return the traces of all that is passed on of a connection."""
        conn_id = self.join(**headers)
        connection = self.gateway._registry.get(conn_id)
        assert connection is not None
        connection.received(b"1", binary=False)
        connection.closed(1000, "")
        events = [item.event for item in self.bus.lanes[conn_id].items]
        self.assertEqual(
            [e.type for e in events], ["ws.connect", "ws.message", "ws.disconnect"]
        )
        return [(event.traceparent, event.tracestate) for event in events]

    def test_traced(self) -> None:
        """All that comes from the client carries its span, as it came."""
        found = self.traces(traceparent=self.PARENT, tracestate="a=1")
        self.assertEqual(found, [(self.PARENT, "a=1")] * 3)

    def test_none(self) -> None:
        """Without one, or with nonsense, or in the query, there is none."""
        none = [(UNSET, UNSET)] * 3
        self.assertEqual(self.traces(), none)
        self.assertEqual(self.traces(traceparent="x", tracestate="a=1"), none)
        asked = f"/ws/Chat/room?traceparent={self.PARENT}"
        self.assertEqual(self.traces(target=asked), none)


class MessageTests(ConnectionCase):
    """Messages of the client."""

    def test_untouched(self) -> None:
        """Text and binary messages are passed on byte for byte, marked as such."""
        connection = self.opened()
        connection.received(b'{"type":"chat" ,"x":"\xc3\xa4"}', binary=False)
        connection.received(b"\x00\xff", binary=True)
        _, text, binary = self.lane.items
        self.assertEqual(text.body, b'{"type":"chat" ,"x":"\xc3\xa4"}')
        self.assertEqual(binary.body, b"\x00\xff")
        self.assertEqual(text.event.payload, {**FACTS, "binary": False})
        self.assertEqual(binary.event.payload, {**FACTS, "binary": True})
        self.assertEqual(self.counts.messages_in, 2)

    def test_full_window(self) -> None:
        """A full window pauses reading, once, and room resumes it."""
        connection = self.opened()
        self.lane.room = False
        connection.received(b"1", binary=False)
        connection.received(b"2", binary=False)
        self.lane.room = True
        self.lane.events.on_room()
        self.lane.events.on_room()
        self.assertEqual(
            self.log,
            [
                ("forward", "ws.message", b"1"),
                ("pause",),
                ("forward", "ws.message", b"2"),
                ("resume",),
            ],
        )

    def test_window_full_from_the_start(self) -> None:
        """A lane may be full with the very first item."""
        open_lane = self.bus.open_lane

        def full_lane(key: str, events: object) -> FakeLane:
            lane = open_lane(key, events)  # type: ignore[arg-type]
            lane.room = False
            return lane

        self.patch(self.bus, "open_lane", full_lane)
        self.connection.open()
        self.assertEqual(self.log[-1], ("pause",))

    def test_overrun(self) -> None:
        """Who floods far beyond the window is closed with 1013."""
        connection = self.opened()
        self.lane.full = True
        connection.received(b"1", binary=False)
        self.assertEqual(self.log, [("close", 1013, "too many unanswered messages")])
        self.assertEqual(self.counts.drops, {"lane full": 1})

    def test_while_closing(self) -> None:
        """What comes after we began to close is dropped and counted."""
        connection = self.opened()
        connection.close(4001, "bye")
        connection.received(b"late", binary=False)
        self.assertEqual(self.log, [("close", 4001, "bye")])
        self.assertEqual(self.counts.drops, {"received while closing": 1})


class ApplyTests(ConnectionCase):
    """What application code does to the connection."""

    def test_send(self) -> None:
        """A text or binary message goes out as it is."""
        connection = self.opened()
        sent = item(EventType.WS_SEND, b"{}", conn_id=ID, binary=False)
        binary = item(EventType.WS_SEND, b"\x00", conn_id=ID, binary=True)
        self.assertIsNone(connection.apply(sent))
        self.assertIsNone(connection.apply(binary))
        self.assertEqual(self.log, [("send", b"{}", False), ("send", b"\x00", True)])
        self.assertEqual(self.counts.messages_out, 2)

    def test_close(self) -> None:
        """A handler may close with a code and a reason of its own."""
        closing = item(EventType.WS_CLOSE, conn_id=ID, code=4001, reason="bye")
        self.assertIsNone(self.opened().apply(closing))
        self.assertEqual(self.log, [("close", 4001, "bye")])

    def test_close_by_default(self) -> None:
        """Without a code it is 1008, as in ToolBoxV2."""
        self.opened().apply(item(EventType.WS_CLOSE, conn_id=ID))
        self.assertEqual(self.log, [("close", 1008, "")])

    def test_close_with_nonsense(self) -> None:
        """A code that no close frame may carry is refused, not sent."""
        for code in (999, 1005, "1000", 5000):
            closing = item(EventType.WS_CLOSE, conn_id=ID, code=code)
            self.assertEqual(self.opened().apply(closing), "invalid close code")
        self.assertEqual(self.log, [])

    def test_channels(self) -> None:
        """A connection joins and leaves channels."""
        connection = self.opened()
        join = item(EventType.WS_JOIN_CHANNEL, conn_id=ID, channel="Chat/room")
        leave = item(EventType.WS_LEAVE_CHANNEL, conn_id=ID, channel="Chat/room")
        self.assertIsNone(connection.apply(join))
        self.assertEqual(self.registry.members("Chat/room"), (connection,))
        self.assertIsNone(connection.apply(leave))
        self.assertEqual(self.registry.members("Chat/room"), ())

    def test_unknown(self) -> None:
        """An event that means nothing here has a reason to be refused."""
        strange = item(EventType.SESSION_REVOKED, conn_id=ID)
        self.assertEqual(self.opened().apply(strange), "unknown event type")

    def test_replies(self) -> None:
        """What a handler returned is done in its order."""
        self.opened()
        self.lane.events.on_replies(
            [
                item(EventType.WS_JOIN_CHANNEL, conn_id=ID, channel="Chat/room"),
                item(EventType.WS_SEND, b"1", conn_id=ID),
                item(EventType.WS_CLOSE, conn_id=ID, code=1000, reason=""),
            ]
        )
        self.assertEqual(self.log, [("send", b"1", False), ("close", 1000, "")])
        self.assertEqual(self.registry.channels, 1)

    def test_replies_that_come_too_late(self) -> None:
        """A reply to who is gone is counted, not sent."""
        connection = self.opened()
        lane = self.lane
        connection.closed(1000, "")
        self.log.clear()
        lane.events.on_replies([item(EventType.WS_SEND, b"1", conn_id=ID)])
        self.assertEqual(self.log, [])
        self.assertEqual(self.counts.drops, {"the connection is closing": 1})

    def test_a_message_that_was_given_up(self) -> None:
        """A client whose message nobody can handle is told by a close."""
        self.opened()
        self.lane.events.on_given_up(item(EventType.WS_MESSAGE, b"1", conn_id=ID))
        self.assertEqual(self.log, [("close", 1011, "a message could not be handled")])
        self.assertEqual(self.counts.drops, {"given up": 1})

    def test_an_event_that_was_given_up(self) -> None:
        """Its coming and going, which no client said, are only counted."""
        self.opened()
        for kind in (EventType.WS_CONNECT, EventType.WS_DISCONNECT):
            self.lane.events.on_given_up(item(kind, conn_id=ID))
        self.assertEqual(self.log, [])
        self.assertTrue(self.connection.is_open)
        self.assertEqual(self.counts.drops, {"given up": 2})

    def test_given_up_while_paused(self) -> None:
        """A close that comes of it lets the client's answer through."""
        connection = self.opened()
        self.lane.room = False
        connection.received(b"1", binary=False)
        self.lane.events.on_given_up(item(EventType.WS_MESSAGE, b"1", conn_id=ID))
        self.assertEqual([entry[0] for entry in self.log[-2:]], ["resume", "close"])
