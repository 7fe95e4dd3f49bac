"""All connections of a worker: how they come, and what reaches them."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Auth, Settings
from tbtwist.events import EventType
from tbtwist.identity import Owner, conn_owner
from tbtwist.ws.admission import Readiness
from tests.ws.cases import GatewayCase, accepted
from tests.ws.fakes import (
    PEER,
    START,
    FakeBus,
    FakeSocket,
    head,
    item,
    make_gateway,
    settings,
    signed,
)


class AcceptTests(GatewayCase):
    """Connections come."""

    def test_id_names_its_owner(self) -> None:
        """Anyone can tell from a connection's id which worker holds it."""
        first, second = self.join(), self.join()
        self.assertEqual(conn_owner(first), Owner("ws-1", 7))
        self.assertNotEqual(first, second)
        self.assertEqual(self.gateway.connections, 2)

    def test_identity(self) -> None:
        """The handler learns who the cookie proves to be."""
        conn_id = self.join(cookie=f"tb_session={signed('u9', level=2)}")
        facts = self.bus.lanes[conn_id].items[0].event.payload
        self.assertEqual(
            (facts["user_id"], facts["level"], facts["authenticated"]), ("u9", 2, True)
        )

    def test_anonymous(self) -> None:
        """Anyone else is nobody, with a session id of their own."""
        ids = {
            self.bus.lanes[self.join()].items[0].event.payload["session_id"]
            for _ in range(3)
        }
        self.assertEqual(len(ids), 3)
        self.assertTrue(all(each.startswith("anon_") for each in ids))


class LimitTests(GatewayCase):
    """``max_connections``."""

    def settings(self) -> Settings:
        """Room for two."""
        return settings(max_connections=2)

    def test_too_many(self) -> None:
        """Who comes when it is full is closed with 1013 and may try again later."""
        first, _ = self.join(), self.join()
        self.assertEqual(self.turned_away(), [("close", 1013, "too many connections")])
        self.assertEqual(self.gateway.counts.refused, {"too many connections": 1})
        self.lose(first)
        self.join()


class AuthTests(SynchronousTestCase):
    """``ws_require_auth`` and its kin."""

    def closes(self, configured: Settings, **headers: str) -> list[object]:
        """Return how a handshake is closed, or an empty list if it is not."""
        socket = FakeSocket()
        gateway = make_gateway(FakeBus(), Clock(), configured)
        accepted(gateway, socket, head(**headers))
        return [entry for entry in socket.log if entry[0] == "close"]

    def test_required(self) -> None:
        """Where identity is required, nobody gets 1008, and somebody gets in."""
        for configured in (
            settings(auth=Auth(ws_require_auth=True)),
            settings(auth=Auth(ws_allow_anonymous=False)),
            settings(environment="production"),
        ):
            self.assertEqual(self.closes(configured), [("close", 1008, "unauthorized")])
            cookie = f"tb_session={signed()}"
            self.assertEqual(self.closes(configured, cookie=cookie), [])

    def test_not_required(self) -> None:
        """Where it is not, anyone gets in; production can say so too."""
        for configured in (
            settings(),
            settings(environment="production", auth=Auth(ws_require_auth=False)),
        ):
            self.assertEqual(self.closes(configured), [])

    def test_no_level(self) -> None:
        """A signed session of nobody is no identity."""
        cookie = f"tb_session={signed(level=0)}"
        configured = settings(auth=Auth(ws_require_auth=True))
        self.assertEqual(
            self.closes(configured, cookie=cookie), [("close", 1008, "unauthorized")]
        )


class ExpiryTests(GatewayCase):
    """Sessions end while their sockets are open."""

    def test_expired(self) -> None:
        """The socket of an expired session is closed with 1008 within a second."""
        ann = self.join(cookie=f"tb_session={signed(exp=START + 60)}")
        nobody = self.join()
        self.clock.pump([1.0] * 59)
        self.assertEqual(self.told(ann), [])
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.told(ann), [("close", 1008, "session expired")])
        self.assertEqual(self.told(nobody), [])


class DeliverTests(GatewayCase):
    """Items that are sent to one connection."""

    def test_send(self) -> None:
        """An item reaches the connection that it names, and no other."""
        ann, bob = self.join(), self.join()
        self.assertIsNone(self.bus.bring(item(EventType.WS_SEND, b"{}", conn_id=ann)))
        self.assertEqual(self.told(ann), [("send", b"{}", False)])
        self.assertEqual(self.told(bob), [])

    def test_gone(self) -> None:
        """The sender learns that the connection is gone."""
        ann = self.join()
        self.lose(ann)
        for conn_id in (ann, "", "nonsense"):
            lost = item(EventType.WS_SEND, b"{}", conn_id=conn_id)
            self.assertEqual(self.bus.bring(lost), "the connection is gone")
        self.assertEqual(self.gateway.counts.drops, {"the connection is gone": 3})

    def test_refused(self) -> None:
        """The sender learns what is wrong with an item."""
        wrong = item(EventType.WS_CLOSE, conn_id=self.join(), code=1)
        self.assertEqual(self.bus.bring(wrong), "invalid close code")
        self.assertEqual(self.gateway.counts.drops, {"invalid close code": 1})


class BroadcastTests(GatewayCase):
    """Items that are published to many."""

    def broadcast(self, kind: EventType, body: bytes, **payload: object) -> None:
        """Publish one."""
        self.bus.broadcast(item(kind, body, **payload))

    def test_channel(self) -> None:
        """A channel's broadcast reaches its members except the excluded."""
        ann, bob, cem = self.join(), self.join(), self.join()
        for each in (ann, bob):
            self.bus.bring(
                item(EventType.WS_JOIN_CHANNEL, conn_id=each, channel="Chat/room")
            )
        self.broadcast(
            EventType.WS_BROADCAST_CHANNEL,
            b"hi",
            channel="Chat/room",
            exclude=[ann],
            binary=False,
        )
        told = [self.told(each) for each in (ann, bob, cem)]
        self.assertEqual(told, [[], [("send", b"hi", False)], []])

    def test_everyone(self) -> None:
        """A broadcast to all reaches every connection, binary as binary."""
        ann, bob = self.join(), self.join()
        self.broadcast(EventType.WS_BROADCAST_ALL, b"\x00", exclude=[], binary=True)
        for each in (ann, bob):
            self.assertEqual(self.told(each), [("send", b"\x00", True)])

    def test_one_message_for_all(self) -> None:
        """Everybody gets the very same value, so its frame is built once."""
        messages: list[object] = []
        for _ in range(2):
            self.patch(self.sockets[self.join()], "send", messages.append)
        self.broadcast(EventType.WS_BROADCAST_ALL, b"hi")
        self.assertIs(messages[0], messages[1])

    def test_unknown(self) -> None:
        """What is no broadcast is counted and reaches nobody."""
        ann = self.join()
        self.broadcast(EventType.WS_SEND, b"hi")
        self.assertEqual(self.told(ann), [])
        self.assertEqual(self.gateway.counts.drops, {"unknown event type": 1})

    def test_gaps(self) -> None:
        """Broadcasts that the bus lost are counted."""
        lost = item(EventType.WS_BROADCAST_ALL, b"hi")
        self.bus.broadcast(lost, missed=3)
        self.assertEqual(self.gateway.counts.broadcasts_missed, 3)


class AnswerTests(GatewayCase):
    """Plain HTTP and readiness."""

    def status(self, target: str = "/ws/a", **headers: str) -> int | None:
        """Return the status of the plain answer; None if a WebSocket may open."""
        answer = self.gateway.answer(head(target, **headers), PEER)
        return None if answer is None else answer.status

    def test_handshake(self) -> None:
        """A handshake goes through, and a page of another site does not."""
        self.assertIsNone(self.status(origin="https://example.com"))
        self.assertEqual(self.status(origin="https://evil.com"), 403)
        self.assertEqual(self.gateway.counts.refused, {"403": 1})

    def test_readiness(self) -> None:
        """A worker is ready while it is on the bus and not leaving."""
        self.assertIs(self.gateway.readiness, Readiness.READY)
        self.bus.connected = False
        self.assertIs(self.gateway.readiness, Readiness.STARTING)
        self.assertEqual(self.status("/ready"), 503)
        self.assertIsNone(self.status())

    def test_health(self) -> None:
        """Monitoring sees who answers and how many are connected."""
        self.join()
        answer = self.gateway.answer(head("/health"), PEER)
        assert answer is not None
        self.assertEqual(
            answer.body,
            {
                "status": "healthy",
                "worker_id": "ws-1",
                "connections": 1,
                "timestamp": START,
            },
        )
