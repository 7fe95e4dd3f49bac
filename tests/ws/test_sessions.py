"""Sessions behind connections: asked about, ended, and found out in time."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred

from tbtwist.auth.identity import Identity
from tbtwist.auth.session import authenticated_session
from tbtwist.errors import Unroutable
from tests.ws.cases import GatewayCase
from tests.ws.fakes import START, FakeSocket, head, signed, signed_as
from tests.ws.wire import CLOSE, TEXT, Client, WireCase, closing, frame, request


class RevokedTests(GatewayCase):
    """Sessions are ended by somebody while their sockets are open."""

    def revoke(self, **cookie: str) -> None:
        """End the session that a cookie names."""
        named = self.gateway._identifier.by_cookie(cookie["cookie"], START)
        assert named is not None
        done = Deferred.fromCoroutine(
            self.gateway._identifier.revoker.revoke(named.session)
        )
        self.successResultOf(done)

    def test_logout(self) -> None:
        """Who logs out elsewhere loses their sockets with 1008, and nobody else does."""
        ann = self.join(cookie=f"tb_session={signed('u1')}")
        bob = self.join(cookie=f"tb_session={signed_as('u2', 's2')}")
        self.revoke(cookie=f"tb_session={signed('u1')}")
        self.assertEqual(self.told(ann), [])
        self.gateway.sweep()
        self.assertEqual(self.told(ann), [("close", 1008, "session revoked")])
        self.assertEqual(self.told(bob), [])

    def test_within_a_second(self) -> None:
        """A revocation that was only found in the file counts within a second."""
        ann = self.join(cookie=f"tb_session={signed('u1')}")
        self.clock.pump([1.0] * 3)
        self.revoke(cookie=f"tb_session={signed('u1')}")
        self.clock.advance(1.0)
        self.assertEqual(self.told(ann), [("close", 1008, "session revoked")])

    def test_no_way_back(self) -> None:
        """The cookie of an ended session opens a socket for nobody in particular."""
        cookie = f"tb_session={signed('u1')}"
        self.revoke(cookie=cookie)
        conn_id = self.join(cookie=cookie)
        payload = self.bus.lanes[conn_id].items[0].event.payload
        self.assertEqual((payload["user_id"], payload["authenticated"]), ("", False))


class TokenTests(GatewayCase):
    """Connections by tokens, about which somebody else is asked."""

    ANN = Identity(
        attrs.evolve(
            authenticated_session("u7", "Ann", level=2, exp=START + 50, random=bytes),
            extra={"created_at": START - 5},
        ),
        leeway_s=30.0,
    )

    def test_known(self) -> None:
        """A token's user is the connection's, until the token's end and its leeway."""
        self.verifier.known["a.b.c"] = self.ANN
        ann = self.join(authorization="Bearer a.b.c")
        payload = self.bus.lanes[ann].items[0].event.payload
        self.assertEqual(payload["user_id"], "u7")
        self.assertEqual((payload["level"], payload["exp"]), (2, START + 80))
        self.clock.pump([1.0] * 79)
        self.assertEqual(self.told(ann), [])
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.told(ann), [("close", 1008, "session expired")])

    def test_bad(self) -> None:
        """A bad Bearer token is closed with 1008, with a good cookie beside it too."""
        cookie = f"tb_session={signed('u1')}"
        for headers in (
            {"authorization": "Bearer a.b.x"},
            {"authorization": "Bearer a.b.x", "cookie": cookie},
            {"sec_websocket_protocol": "bearer.a.b.x", "cookie": cookie},
        ):
            self.assertEqual(
                self.turned_away(**headers), [("close", 1008, "unauthorized")]
            )

    def test_nobody_can_say(self) -> None:
        """If nobody can check the token, the client is told to come again."""
        self.verifier.error = Unroutable(target="http")
        self.assertEqual(
            self.turned_away(authorization="Bearer a.b.c"),
            [("close", 1013, "try again later")],
        )

    def test_waiting(self) -> None:
        """While somebody is asked, the client is neither greeted nor refused."""
        self.verifier.known["a.b.c"] = self.ANN
        waits: Deferred[None] = Deferred()
        self.verifier.waits = waits
        socket = FakeSocket()
        asked = head(authorization="Bearer a.b.c")
        opening = Deferred.fromCoroutine(self.gateway.accept(socket, asked))
        self.assertNoResult(opening)
        self.assertEqual(socket.log, [])
        waits.callback(None)
        self.assertIsNotNone(self.successResultOf(opening))
        self.assertEqual(socket.log[0][0], "send")

    def test_drain_meanwhile(self) -> None:
        """Who waited into a drain is told that the service restarts."""
        self.verifier.known["a.b.c"] = self.ANN
        waits: Deferred[None] = Deferred()
        self.verifier.waits = waits
        socket = FakeSocket()
        asked = head(authorization="Bearer a.b.c")
        opening = Deferred.fromCoroutine(self.gateway.accept(socket, asked))
        self.gateway.drain(1.0)
        waits.callback(None)
        self.assertIsNone(self.successResultOf(opening))
        self.assertEqual(socket.log, [("close", 1012, "service restart")])
        self.clock.pump([0.1] * 20)


class WaitingTests(WireCase):
    """A client on the wire while somebody is asked whose its token is."""

    def ask(self, *behind: bytes) -> Client:
        """Return a client that sent its token, and ``behind`` right after that."""
        self.waits: Deferred[None] = Deferred()
        self.verifier.waits = self.waits
        client = self.connect()
        token = "Authorization: Bearer a.b.c"
        client.send(request("/ws/Chat/room", token) + b"".join(behind))
        return client

    def test_early_messages_wait(self) -> None:
        """What a client sends in the meantime is read afterwards, in order."""
        self.verifier.known["a.b.c"] = TokenTests.ANN
        client = self.ask(frame(TEXT, b"early"))
        self.assertEqual(client.transport.producerState, "paused")
        self.waits.callback(None)
        self.assertEqual(client.transport.producerState, "producing")
        [lane] = self.bus.lanes.values()
        self.assertEqual(lane.kinds(), ["ws.connect", "ws.message"])
        self.assertEqual(lane.items[1].body, b"early")

    def test_refused(self) -> None:
        """A bad token is closed with 1008, and nothing sent before counts."""
        client = self.ask(frame(TEXT, b"early"))
        client.take()
        self.waits.callback(None)
        self.assertEqual(client.frames(), [(CLOSE, closing(1008, "unauthorized"))])
        self.assertEqual(self.bus.lanes, {})

    def test_client_leaves(self) -> None:
        """A client that does not wait is forgotten, and the question is called off."""
        client = self.ask(frame(TEXT, b"early"))
        client.lose()
        self.assertTrue(self.waits.called)
        self.assertEqual(self.bus.lanes, {})

    def test_surprise(self) -> None:
        """A defect of ours closes the connection; it does not leave it hanging."""
        self.verifier.error = ZeroDivisionError()
        client = self.ask()
        client.take()
        self.waits.callback(None)
        self.assertEqual(client.frames(), [(CLOSE, closing(1011, "internal error"))])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
