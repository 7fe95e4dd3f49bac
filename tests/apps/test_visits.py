"""Events of connections, and where their paths lead."""

from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.functions import SocketHandlers
from tbtwist.apps.visits import Visit, named, route
from tbtwist.auth.access import Subject, Target
from tbtwist.events import Delivery, Event, Item

NOW = 1000.0
FACTS: dict[str, Any] = {
    "conn_id": "c1",
    "path": "/ws/Chat/room",
    "query": "a=1&session_token=secret&token=secret&b=",
    "user_id": "u1",
    "user_name": "ann",
    "session_id": "s1",
    "level": 2,
    "cloudm_user_id": "p1",
    "authenticated": True,
    "exp": NOW + 1,
}


def table(*names: str) -> dict[str, SocketHandlers]:
    """Return handlers by their ids."""
    made = {}
    for name in names:
        module, _, handler = name.partition("/")
        made[name] = SocketHandlers.of(Target(module, handler), dict, {})
    return made


class RouteTests(SynchronousTestCase):
    """From a path to handlers."""

    def found(self, path: str, *names: str) -> str | None:
        """Return the id of the handlers that ``path`` leads to."""
        handlers = route(path, table(*names))
        return handlers.id if handlers else None

    def test_exact(self) -> None:
        """The path as it is comes first."""
        self.assertEqual(
            self.found("/ws/chat/room", "Chat/room", "chat/room"), "chat/room"
        )

    def test_any_case(self) -> None:
        """Then the path in any case."""
        self.assertEqual(self.found("/ws/CHAT/Room", "Chat/room"), "Chat/room")

    def test_short(self) -> None:
        """A name alone leads to the first handlers of that name."""
        self.assertEqual(
            self.found("/ws/room", "Other/x", "Chat/room", "Game/room"), "Chat/room"
        )
        self.assertIsNone(self.found("/ws/om", "Chat/room"))

    def test_spelling(self) -> None:
        """Percent signs and a slash at the end do not matter."""
        self.assertEqual(
            self.found("/ws/My.Chat/the%20room/", "My.Chat/the room"),
            "My.Chat/the room",
        )

    def test_nowhere(self) -> None:
        """Any other path leads nowhere."""
        for path in (
            "",
            "/",
            "/ws",
            "/ws/",
            "/ws/Chat",
            "/wsx/Chat/room",
            "/Chat/room",
        ):
            self.assertIsNone(self.found(path, "Chat/room"), path)

    @given(st.text())
    def test_any_path(self, path: str) -> None:
        """No path can do harm."""
        self.assertIsNone(self.found(path, "Chat/room"))

    def test_by_name(self) -> None:
        """A message can name its handlers."""
        handlers = named("Chat/room", table("Chat/room"))
        assert handlers is not None
        self.assertEqual(handlers.id, "Chat/room")


class PayloadTests(SynchronousTestCase):
    """What was sent."""

    def payload(self, body: bytes, **facts: object) -> Any:
        """Return what a handler gets."""
        return Visit("c1", facts, body).payload()

    def test_json(self) -> None:
        """JSON is its value, whatever kind that is."""
        self.assertEqual(self.payload(b'{"a":1}'), {"a": 1})
        self.assertEqual(self.payload(b"[1]"), [1])
        self.assertEqual(self.payload(b"5"), 5)

    def test_text(self) -> None:
        """Other text is wrapped."""
        self.assertEqual(self.payload("grüß".encode()), {"raw": "grüß"})
        self.assertEqual(self.payload(b""), {"raw": ""})

    def test_binary(self) -> None:
        """A binary message is bytes, also if it looks like JSON."""
        self.assertEqual(self.payload(b"{}", binary=True), b"{}")

    def test_hostile(self) -> None:
        """Deep nesting and broken text are text."""
        self.assertEqual(list(self.payload(b"[" * 100_000)), ["raw"])
        self.assertEqual(self.payload(b'"\xff"'), {"raw": '"\ufffd"'})

    @given(st.binary())
    def test_anything(self, body: bytes) -> None:
        """Whatever comes, there is a payload."""
        self.payload(body)


class IdentityTests(SynchronousTestCase):
    """Who sent it."""

    def test_read(self) -> None:
        """A delivery says all that there is to know."""
        item = Item(Event(type="ws.message", payload=FACTS), b"x")
        visit = Visit.of(Delivery("ws-1.1.a", "c1", 3, item, redelivered=True))
        self.assertEqual(visit, Visit("c1", FACTS, b"x", redelivered=True))

    def test_session(self) -> None:
        """Handlers get the session in ToolBoxV2's shape."""
        self.assertEqual(
            Visit("c1", FACTS).session(),
            {
                "connection_id": "c1",
                "path": "/ws/Chat/room",
                "user_id": "u1",
                "session_id": "s1",
                "user_name": "ann",
                "level": 2,
            },
        )

    def test_request(self) -> None:
        """And a request, of the method WEBSOCKET."""
        request = Visit("c1", FACTS).request(NOW)
        self.assertEqual((request.method, request.path), ("WEBSOCKET", "/ws/Chat/room"))
        self.assertEqual((request.session.spec, request.session_id), ("ws", "s1"))
        self.assertEqual(request.session.cloudm_user_id, "p1")
        self.assertTrue(request.is_authenticated)

    def test_no_tokens(self) -> None:
        """The token in a URL is not for handlers to see."""
        request = Visit("c1", FACTS).request(NOW)
        self.assertEqual(request.query_params, {"a": "1", "b": ""})
        self.assertNotIn("secret", repr(request.to_dict()))

    def test_expired(self) -> None:
        """A session that has ended meanwhile is nobody's."""
        visit = Visit("c1", {**FACTS, "exp": NOW})
        self.assertEqual(visit.subject(NOW), Subject(2, authenticated=False))
        self.assertFalse(visit.request(NOW).is_authenticated)

    def test_without_end(self) -> None:
        """One without an end lasts."""
        for exp in (0, None):
            visit = Visit("c1", {**FACTS, "exp": exp})
            self.assertEqual(visit.subject(NOW), Subject(2, authenticated=True))

    def test_nobody(self) -> None:
        """A connection of which nothing is known is nobody's."""
        visit = Visit("c1", {})
        self.assertEqual(visit.subject(NOW), Subject(0, authenticated=False))
        self.assertFalse(visit.request(NOW).is_authenticated)
        self.assertIsNone(visit.session()["user_id"])
