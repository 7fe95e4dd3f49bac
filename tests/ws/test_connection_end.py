"""How a connection ends, and that it ends well in any order of events."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.identity import Identity
from tbtwist.events import EventType
from tbtwist.ws.connection import Connection, Shared, describe, is_close_code
from tbtwist.ws.counts import Counts
from tbtwist.ws.registry import Registry
from tests.ws.cases import ANN, ID, ConnectionCase
from tests.ws.fakes import START, FakeBus, FakeSocket, Log, head, item


class CloseTests(ConnectionCase):
    """A connection ends."""

    def gone(self) -> dict[str, object]:
        """Return what the handler learned about the end."""
        last = self.lane.items[-1].event
        self.assertEqual(last.type, "ws.disconnect")
        return dict(last.payload)

    def test_client_leaves(self) -> None:
        """The handler hears of it last, then the lane is closed."""
        self.opened().closed(1001, "tab closed")
        self.assertEqual(
            self.log, [("forward", "ws.disconnect", b""), ("lane closed",)]
        )
        self.assertEqual(
            self.gone(),
            {
                "conn_id": ID,
                "path": "/ws/Chat/room",
                "user_id": "u1",
                "code": 1001,
                "reason": "tab closed",
            },
        )
        self.assertEqual(len(self.registry), 0)

    def test_we_close(self) -> None:
        """If it was us, the handler hears our code, not the client's echo."""
        connection = self.opened()
        connection.close(1012, "service restart")
        self.assertFalse(connection.is_open)
        self.assertEqual(len(self.registry), 1)
        connection.closed(1000, "")
        gone = self.gone()
        self.assertEqual((gone["code"], gone["reason"]), (1012, "service restart"))
        self.assertEqual(self.counts.closes, {1012: 1})

    def test_twice(self) -> None:
        """Closing twice, by whomever, ends it once."""
        connection = self.opened()
        connection.close(1012, "a")
        connection.close(1001, "b")
        connection.closed(1000, "")
        connection.closed(1006, "")
        connection.close(1001, "c")
        connection.abort()
        self.assertEqual(
            self.log,
            [
                ("close", 1012, "a"),
                ("forward", "ws.disconnect", b""),
                ("lane closed",),
            ],
        )

    def test_before_it_was_open(self) -> None:
        """A socket that is lost before it opened leaves no trace."""
        self.connection.closed(1006, "")
        self.connection.close(1001, "")
        self.connection.abort()
        self.connection.received(b"", binary=False)
        self.assertEqual(self.log, [])

    def test_closing_reads_on(self) -> None:
        """A paused connection reads again, or it would not see the client's close."""
        connection = self.opened()
        self.lane.room = False
        connection.received(b"1", binary=False)
        connection.close(1001, "bye")
        self.assertEqual(self.log[-2:], [("resume",), ("close", 1001, "bye")])

    def test_lost_while_paused(self) -> None:
        """Room that comes after the end resumes nothing."""
        connection = self.opened()
        lane = self.lane
        lane.room = False
        connection.received(b"1", binary=False)
        connection.closed(1006, "")
        lane.events.on_room()
        self.assertNotIn(("resume",), self.log)

    def test_full_lane_at_the_end(self) -> None:
        """Even if the last word does not fit, the lane is closed."""
        connection = self.opened()
        self.lane.full = True
        connection.closed(1000, "")
        self.assertEqual(self.log, [("lane closed",)])
        self.assertEqual(self.counts.drops, {"lane full": 1})

    def test_abort(self) -> None:
        """One that does not go by itself is dropped."""
        connection = self.opened()
        connection.close(1001, "")
        connection.abort()
        self.assertEqual(self.log[-1], ("abort",))

    def test_close_codes(self) -> None:
        """Codes are those that RFC 6455 and its registry allow on the wire."""
        for code in (1000, 1001, 1008, 1012, 1014, 3000, 4999):
            self.assertTrue(is_close_code(code), code)
        for other in (999, 1004, 1005, 1006, 1015, 2999, 5000, True, "1000", None):
            self.assertFalse(is_close_code(other), other)


STEPS = st.lists(
    st.sampled_from(
        [
            "message",
            "last message that fits",
            "message too many",
            "room",
            "reply",
            "close",
            "lose",
        ]
    ),
    max_size=20,
)


class Story:
    """A connection to which things happen, and what must be true of its log."""

    def __init__(self) -> None:
        self.log: Log = []
        self.bus = FakeBus(self.log)
        registry: Registry[Connection] = Registry(10)
        shared = Shared(self.bus, registry, Counts(), lambda: START)
        about = describe(ID, head(), Identity(ANN), START)
        self.connection = Connection(about, FakeSocket(self.log), shared)
        self.connection.open()
        self.lane = self.bus.lanes[ID]
        self.sent = 0
        self.lost = False

    def step(self, what: str) -> None:
        """Let one thing happen."""
        match what:
            case "room":
                self.lane.events.on_room()
            case "reply":
                self.lane.events.on_replies([item(EventType.WS_SEND, b"r", conn_id=ID)])
            case "close":
                self.connection.close(1012, "")
            case "lose":
                self.lost = True
                self.connection.closed(1006, "")
            case _:
                self.message(what)

    def message(self, what: str) -> None:
        """Let the client send, unless its socket is paused or gone."""
        if self.lost or self.flow()[-1:] == ["pause"]:
            return
        self.lane.room = what == "message"
        self.lane.full = what == "message too many"
        self.sent += 1
        self.connection.received(b"%d" % self.sent, binary=False)
        self.lane.full = False

    def flow(self) -> list[str]:
        """Return the pauses and resumes so far."""
        return [entry[0] for entry in self.log if entry[0] in {"pause", "resume"}]

    def check(self) -> None:
        """Look whether everything that must hold holds."""
        self.check_flow()
        self.check_lane()
        self.check_silence()

    def check_flow(self) -> None:
        """Pauses and resumes alternate; what closes is not paused."""
        flow = self.flow()
        assert flow == (["pause", "resume"] * len(flow))[: len(flow)]
        if not self.lost and not self.connection.is_open:
            assert flow[-1:] != ["pause"]

    def check_lane(self) -> None:
        """The lane gets connect, messages in order, and one disconnect at the end."""
        kinds = self.lane.kinds()
        middle = kinds[1:-1] if self.lost else kinds[1:]
        bodies = [int(each.body) for each in self.lane.items if each.body]
        assert kinds[0] == "ws.connect"
        assert set(middle) <= {"ws.message"}
        assert bodies == sorted(bodies)
        assert kinds.count("ws.disconnect") == self.lane.closed == int(self.lost)

    def check_silence(self) -> None:
        """After the close nothing more is sent, after the end nothing at all."""
        whats = [entry[0] for entry in self.log]
        assert whats.count("close") <= 1
        if "close" in whats:
            assert "send" not in whats[whats.index("close") :]
        if self.lost:
            assert whats[-1] == "lane closed"


class StoryTests(SynchronousTestCase):
    """Any order of events."""

    @given(steps=STEPS)
    def test_any_order(self, steps: list[str]) -> None:
        """Whatever happens when, the lane and the socket are told a sane story."""
        story = Story()
        for what in steps:
            story.step(what)
            story.check()
