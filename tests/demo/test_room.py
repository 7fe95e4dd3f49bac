"""What happens in the room of the chat, without processes or sockets."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist import RequestData
from tbtwist.apps.request import AppSession
from tbtwist.demo.room import MAX_ID, MAX_TEXT, Message, Room
from tbtwist.identity import WorkerId, new_conn_id

NOW = 1_750_000_000.5
HANDLER: Message = {"worker": "http-2", "pid": 4711}


def connection(generation: int, tail: bytes) -> str:
    """Return a connection of ``ws-1`` whose id ends in ``tail``."""
    owner = WorkerId("ws-1", generation, "c3f9a1d2")
    return new_conn_id(owner, lambda count: bytes(count - len(tail)) + tail)


ADA = connection(3, b"\x3f\x9a")
GRACE = connection(3, b"\x11\x22")


def visitor(name: str = "", user_id: str = "") -> RequestData:
    """Return the request of somebody; without a name, of a guest."""
    if not name:
        return RequestData()
    session = AppSession(
        user_id=user_id or f"chat-{name.lower()}",
        user_name=name,
        level=1,
        validated=True,
        anonymous=False,
    )
    return RequestData(session=session)


class Wire:
    """Stands for the app: keeps what is sent, as clients would read it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.sent: list[tuple[str, Any]] = []

    def ws_broadcast(self, channel: str, data: object) -> bool:
        """Keep a broadcast."""
        self.told.append((channel, json.loads(json.dumps(data))))
        return True

    def ws_send(self, conn_id: str, data: object) -> bool:
        """Keep what goes to one connection."""
        self.sent.append((conn_id, json.loads(json.dumps(data))))
        return True


class RoomTestCase(SynchronousTestCase):
    """A room on a recording wire."""

    def setUp(self) -> None:
        """Open the room."""
        self.wire = Wire()
        self.room = Room(self.wire, lambda: NOW, lambda: HANDLER)

    def ask(self, payload: object, request: RequestData, conn_id: str = ADA) -> Any:
        """Let somebody send ``payload``; return the answer."""
        work = self.room.on_message(conn_id, payload, request)
        return self.successResultOf(Deferred.fromCoroutine(work))

    def heard(self) -> list[Any]:
        """Return what the room heard; all of it in the room's channel."""
        self.assertEqual({"Chat/room"}, {channel for channel, _ in self.wire.told})
        return [data for _, data in self.wire.told]


class SayTests(RoomTestCase):
    """``{"type": "say"}``."""

    def test_said_once(self) -> None:
        """What I say reaches the room exactly once, under my name."""
        message = {"type": "say", "text": "hello, room", "id": "m1"}
        self.assertIsNone(self.ask(message, visitor("Ada")))
        expected = {
            "from": "Ada",
            "text": "hello, room",
            "at": NOW,
            "conn_id": ADA,
            "user_id": "chat-ada",
            "id": "m1",
            "by": {"worker": "http-2", "pid": 4711},
        }
        self.assertEqual([{"event": "said", "data": expected}], self.heard())
        self.assertEqual([], self.wire.sent)

    def test_guests_speak(self) -> None:
        """Without a name I speak as a guest whom others can tell apart."""
        self.ask({"type": "say", "text": "hi"}, visitor())
        self.ask({"type": "say", "text": "hi"}, visitor(), conn_id=GRACE)
        said = [event["data"] for event in self.heard()]
        self.assertEqual(["guest-3f9a", "guest-1122"], [one["from"] for one in said])
        self.assertEqual(["", ""], [one["user_id"] for one in said])

    def test_name_comes_from_the_session(self) -> None:
        """Nobody can speak under a name that they only claim to have."""
        claim = {"type": "say", "text": "hi", "from": "Grace", "user_id": "chat-grace"}
        self.ask({**claim, "name": "Grace"}, visitor("Ada"))
        (event,) = self.heard()
        self.assertEqual("Ada", event["data"]["from"])
        self.assertEqual("chat-ada", event["data"]["user_id"])

    def test_longest(self) -> None:
        """2,000 characters are said; one more is refused, and I learn why."""
        self.assertIsNone(self.ask({"type": "say", "text": "ü" * MAX_TEXT}, visitor()))
        answer = self.ask({"type": "say", "text": "ü" * (MAX_TEXT + 1)}, visitor())
        self.assertEqual("error", answer["type"])
        self.assertEqual("NOT_SAID", answer["code"])
        self.assertIn("2001", answer["message"])
        self.assertEqual(1, len(self.wire.told))

    def test_nothing(self) -> None:
        """Saying nothing is refused instead of shown as an empty bubble."""
        for text in ("", "  \n", None, 7, ["hi"], {"a": 1}):
            answer = self.ask({"type": "say", "text": text}, visitor("Ada"))
            self.assertEqual("There is nothing to say.", answer["message"])
        self.assertEqual([], self.wire.told)

    def test_odd_id(self) -> None:
        """An id that others could not keep is refused."""
        for odd in (7, None, ["m1"], "m" * (MAX_ID + 1)):
            answer = self.ask({"type": "say", "text": "hi", "id": odd}, visitor("Ada"))
            self.assertEqual("NOT_SAID", answer["code"])
            self.assertIn('"id"', answer["message"])
        self.assertEqual([], self.wire.told)

    def test_markup(self) -> None:
        """Text travels as it is; it is the page that shows it as text."""
        self.ask({"type": "say", "text": "<script>1</script>"}, visitor("Ada"))
        self.assertEqual("<script>1</script>", self.heard()[0]["data"]["text"])


class PresenceTests(RoomTestCase):
    """Coming, going, and who is there."""

    def test_coming_in(self) -> None:
        """Everybody hears that I came, and I learn who I am and who serves me."""
        work = self.room.on_connect(ADA, visitor("Ada"))
        answer = self.successResultOf(Deferred.fromCoroutine(work))
        person = {"conn_id": ADA, "name": "Ada", "user_id": "chat-ada", "at": NOW}
        self.assertEqual([{"event": "joined", "data": person}], self.heard())
        you = {**person, "ws": "ws-1", "ws_generation": 3, "by": HANDLER}
        self.assertEqual({"event": "welcome", "data": you}, answer)

    def test_leaving(self) -> None:
        """Everybody hears which connection has ended, also from a worker that never saw it."""
        work = self.room.on_disconnect(ADA)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(work)))
        gone = {"conn_id": ADA, "at": NOW}
        self.assertEqual([{"event": "left", "data": gone}], self.heard())

    def test_finding_each_other(self) -> None:
        """A newcomer asks the room, and gets an answer from everyone in it."""
        self.assertIsNone(self.ask({"type": "hello"}, visitor("Ada")))
        (hello,) = self.heard()
        self.assertEqual(("hello", "Ada"), (hello["event"], hello["data"]["name"]))
        newcomer = hello["data"]["conn_id"]
        here = {"type": "here", "to": newcomer}
        self.assertIsNone(self.ask(here, visitor("Grace"), conn_id=GRACE))
        ((to, answer),) = self.wire.sent
        self.assertEqual(ADA, to)
        self.assertEqual(("here", "Grace"), (answer["event"], answer["data"]["name"]))
        self.assertEqual(1, len(self.wire.told))

    def test_still_here(self) -> None:
        """I can tell the whole room that I am still here."""
        self.ask({"type": "here"}, visitor("Ada"))
        self.assertEqual("here", self.heard()[0]["event"])
        self.assertEqual([], self.wire.sent)

    def test_here_to_nobody(self) -> None:
        """An answer to something that is no connection is refused, not lost."""
        for odd in ("room", "", 7, ["x"], "7d444840-9dc0-11d1-b245-5ffdce74fad2"):
            answer = self.ask({"type": "here", "to": odd}, visitor("Ada"))
            self.assertEqual("NO_SUCH_CONNECTION", answer["code"])
        self.assertEqual(([], []), (self.wire.told, self.wire.sent))

    def test_who_am_i(self) -> None:
        """I can ask who I am, and which worker handles what I send."""
        answer = self.ask({"type": "whoami"}, visitor())
        self.assertEqual("you", answer["event"])
        self.assertEqual("guest-3f9a", answer["data"]["name"])
        self.assertEqual(HANDLER, answer["data"]["by"])
        self.assertEqual([], self.wire.told)

    def test_connection_of_an_unknown_kind(self) -> None:
        """Somewhere else than in our own ws workers the room works as well."""
        answer = self.ask({"type": "whoami"}, visitor("Ada"), conn_id="test-1")
        self.assertEqual(
            ("", 0), (answer["data"]["ws"], answer["data"]["ws_generation"])
        )


class OtherMessageTests(RoomTestCase):
    """Everything that the room does not know."""

    def test_unknown(self) -> None:
        """What the room does not know is refused with what it does know."""
        odd: tuple[object, ...] = ({"type": "sing"}, {"text": "hi"}, {"raw": "hi"})
        for payload in (*odd, {}, [], "say", 7, None, b"\x00", {"type": ["say"]}):
            answer = self.ask(payload, visitor("Ada"))
            self.assertEqual(
                ("error", "UNKNOWN_TYPE"), (answer["type"], answer["code"])
            )
            self.assertIn("say, hello, here and whoami", answer["message"])
        self.assertEqual([], self.wire.told)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
        st.sampled_from(["say", "hello", "here", "whoami", "other"]),
    )
    def test_whatever_comes(self, junk: object, kind: str) -> None:
        """Whatever somebody sends, it is done or refused; the room stays open."""
        self.wire.told.clear()
        for payload in (junk, {"type": kind, "text": junk, "to": junk, "id": junk}):
            answer = self.ask(payload, visitor())
            self.assertTrue(
                answer is None or answer.get("type") == "error" or "event" in answer
            )
        self.assertLessEqual(len(self.wire.told), 1)
