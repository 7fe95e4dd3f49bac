"""Who is in a channel, and who hears of it."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from tbtwist.boundaries import IncomingCall
from tbtwist.events import EventType, Publication
from tbtwist.ws import presence
from tests.ws.cases import GatewayCase
from tests.ws.fakes import item, signed
from tests.ws.resumable import Client, join

ROOM = "Chat/room"


class PresenceCase(GatewayCase):
    """A worker whose publications come back to it, as on the bus."""

    def enter(self, name: str = "u1", *, noticed: bool = True) -> str:
        """Let somebody join the room."""
        conn_id = self.join(cookie=f"tb_session={signed(name)}")
        asked = item(
            EventType.WS_JOIN_CHANNEL, conn_id=conn_id, channel=ROOM, presence=noticed
        )
        self.bus.bring(asked)
        return conn_id

    def person(self, conn_id: str, name: str = "u1") -> dict[str, str]:
        """Return somebody as others see them."""
        return {"conn_id": conn_id, "user_id": name, "user_name": "Ann"}

    def go_on(self) -> None:
        """Let the worker publish its notices, and hear them."""
        self.clock.advance(0.1)
        published, self.bus.published = self.bus.published, []
        for topic, what in published:
            self.bus.subscriptions[topic](Publication(topic, what))

    def notices(self, conn_id: str) -> list[dict[str, Any]]:
        """Return the notices that somebody got, and forget them."""
        log = self.told(conn_id)
        told = [msgspec.json.decode(entry[1]) for entry in log]  # type: ignore[index]
        log.clear()
        return [each for each in told if each["type"] == "presence"]


class NoticeTests(PresenceCase):
    """Notices to those who joined with ``presence``."""

    def test_coming_and_going(self) -> None:
        """The others hear who comes and who goes."""
        ann = self.enter()
        self.go_on()
        self.notices(ann)
        bob = self.enter("u2")
        self.go_on()
        expected = {"type": "presence", "channel": ROOM, "left": [], "more": False}
        joined = [self.person(bob, "u2")]
        self.assertEqual(self.notices(ann), [{**expected, "joined": joined}])
        self.lose(bob)
        self.go_on()
        self.assertEqual(
            self.notices(ann), [{**expected, "joined": [], "left": joined}]
        )

    def test_leaving_the_channel(self) -> None:
        """Leaving the channel is leaving, and a second time nothing."""
        ann, bob = self.enter(), self.enter("u2")
        self.go_on()
        self.notices(ann)
        asked = item(EventType.WS_LEAVE_CHANNEL, conn_id=bob, channel=ROOM)
        self.bus.bring(asked)
        self.bus.bring(asked)
        self.lose(bob)
        self.go_on()
        [notice] = self.notices(ann)
        self.assertEqual(notice["left"], [self.person(bob, "u2")])
        self.assertEqual(self.notices(bob)[1:], [])

    def test_only_who_asked(self) -> None:
        """Who joined without it is neither announced nor told."""
        ann, quiet = self.enter(), self.enter("u2", noticed=False)
        self.go_on()
        [notice] = self.notices(ann)
        self.assertEqual(notice["joined"], [self.person(ann)])
        self.assertEqual(self.notices(quiet), [])

    def test_asking_later(self) -> None:
        """Who is in the channel already can be announced later, once."""
        quiet = self.enter(noticed=False)
        asked = item(
            EventType.WS_JOIN_CHANNEL, conn_id=quiet, channel=ROOM, presence=True
        )
        for _ in range(2):
            self.bus.bring(asked)
            self.go_on()
        self.assertEqual(len(self.notices(quiet)), 1)

    def test_gathered(self) -> None:
        """Many who come at once make one notice; who came and went makes none."""
        ann = self.enter()
        others = [self.enter(f"u{n}") for n in range(2, 5)]
        self.lose(others[0])
        self.go_on()
        [notice] = self.notices(ann)
        told = [each["conn_id"] for each in notice["joined"]]
        self.assertEqual(told, [ann, *others[1:]])
        self.assertEqual(notice["left"], [])

    def test_bounded(self) -> None:
        """A notice has a bound, and says that there is more."""
        self.patch(presence, "MAX_TOLD", 3)
        ann = self.enter()
        for number in range(5):
            self.enter(f"u{number}")
        self.go_on()
        [notice] = self.notices(ann)
        self.assertEqual((len(notice["joined"]), notice["more"]), (3, True))

    def test_other_workers(self) -> None:
        """Notices of other workers arrive like our own."""
        ann = self.enter()
        self.go_on()
        self.notices(ann)
        news = item(
            EventType.WS_PRESENCE,
            channel=ROOM,
            joined=[{"conn_id": "x", "user_id": "u9", "user_name": "Eve"}],
            left=[],
            more=False,
        )
        self.bus.subscriptions["ws.presence"](Publication("ws.presence", news))
        [notice] = self.notices(ann)
        self.assertEqual(notice["joined"][0]["user_name"], "Eve")

    def test_resumed(self) -> None:
        """Who comes back takes the place of who was there before."""
        ann, client = self.enter(), Client()
        client.connect(self.gateway)
        join(self.bus, client, ROOM, presence=True)
        self.go_on()
        client.read()
        before = client.conn_id
        client.lose()
        self.go_on()
        self.notices(ann)
        client.connect(self.gateway)
        self.go_on()
        [notice] = self.notices(ann)
        self.assertEqual([each["conn_id"] for each in notice["left"]], [before])
        self.assertEqual(
            [each["conn_id"] for each in notice["joined"]], [client.conn_id]
        )
        client.read()
        self.assertEqual(client.said[-1]["type"], "presence", "and is told, too")


class AskingTests(PresenceCase):
    """``ws_presence``: who is there."""

    def members(self, channel: str) -> Any:
        """Ask."""
        asked = IncomingCall("http-1", "ws.presence", {"channel": channel})
        answer: Any = self.bus.served["ws.presence"](asked)
        return self.successResultOf(Deferred.fromCoroutine(answer))

    def test_members(self) -> None:
        """Everybody in the channel is told, whether they asked for notices or not."""
        ann, bob = self.enter(), self.enter("u2", noticed=False)
        self.join()
        expected = [self.person(ann), self.person(bob, "u2")]
        self.assertEqual(self.members(ROOM), expected)
        self.lose(ann)
        self.assertEqual(self.members(ROOM), expected[1:])
        self.assertEqual(self.members("nowhere"), [])

    def test_bounded(self) -> None:
        """An answer has a bound."""
        self.patch(presence, "MAX_MEMBERS", 2)
        for number in range(3):
            self.enter(f"u{number}")
        self.assertEqual(len(self.members(ROOM)), 2)
