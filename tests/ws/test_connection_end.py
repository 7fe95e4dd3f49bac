"""How a connection ends, and that it ends well in any order of events."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

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


class Machine(RuleBasedStateMachine):
    """Anything may happen in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.log: Log = []
        self.bus = FakeBus(self.log)
        registry: Registry[Connection] = Registry(10)
        self.shared = Shared(self.bus, registry, Counts(), lambda: START)
        about = describe(ID, head(), ANN, START)
        self.connection = Connection(about, FakeSocket(self.log), self.shared)
        self.connection.open()
        self.lane = self.bus.lanes[ID]
        self.sent = 0
        self.lost = False

    @rule(room=st.booleans(), full=st.booleans())
    def message(self, room: bool, full: bool) -> None:
        """The client sends, unless its socket is paused or gone."""
        if self.lost or self.log_of("pause") > self.log_of("resume"):
            return
        self.lane.room, self.lane.full = room, full
        self.sent += 1
        self.connection.received(b"%d" % self.sent, binary=False)
        self.lane.full = False

    @rule()
    def room(self) -> None:
        """The window has room again."""
        self.lane.events.on_room()

    @rule()
    def reply(self) -> None:
        """A handler answers."""
        self.lane.events.on_replies([item(EventType.WS_SEND, b"r", conn_id=ID)])

    @rule(code=st.sampled_from([1000, 1012, 4000]))
    def close(self, code: int) -> None:
        """We close."""
        self.connection.close(code, "")

    @rule()
    def lose(self) -> None:
        """The socket is gone."""
        self.lost = True
        self.connection.closed(1006, "")

    def log_of(self, what: str) -> int:
        """Count entries of one kind."""
        return sum(1 for entry in self.log if entry[0] == what)

    @invariant()
    def flow(self) -> None:
        """Pauses and resumes alternate; a socket that is not open is not paused."""
        flow = [entry[0] for entry in self.log if entry[0] in {"pause", "resume"}]
        assert flow == ["pause", "resume"] * (len(flow) // 2) + ["pause"] * (
            len(flow) % 2
        )
        if not self.lost and not self.connection.is_open:
            assert len(flow) % 2 == 0

    @invariant()
    def order(self) -> None:
        """The lane gets connect, messages in order, and one disconnect at the end."""
        kinds = self.lane.kinds()
        middle = kinds[1:-1] if self.lost else kinds[1:]
        bodies = [int(each.body) for each in self.lane.items if each.body]
        assert kinds[0] == "ws.connect"
        assert set(middle) <= {"ws.message"}
        assert bodies == sorted(bodies)
        assert kinds.count("ws.disconnect") == self.lane.closed == int(self.lost)

    @invariant()
    def silence(self) -> None:
        """After the close, nothing more is sent; after the end, nothing at all."""
        whats = [entry[0] for entry in self.log]
        assert whats.count("close") <= 1
        if "close" in whats:
            assert "send" not in whats[whats.index("close") :]
        if self.lost:
            assert whats[-1] == "lane closed"


class MachineTests(SynchronousTestCase):
    """Any order of events."""

    def test_any_order(self) -> None:
        """Whatever happens when, the lane and the socket are told a sane story."""
        run_state_machine_as_test(Machine)
