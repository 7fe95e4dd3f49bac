"""How a worker lets its clients go."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from tbtwist.events import EventType
from tbtwist.ws.admission import Readiness
from tests.ws.cases import GatewayCase
from tests.ws.fakes import PEER, head, item


class DrainTests(GatewayCase):
    """A worker leaves."""

    def told_to_go(self) -> int:
        """Count the sockets that were closed with 1012."""
        wanted = ("close", 1012, "service restart")
        return sum(1 for socket in self.sockets.values() if wanted in socket.log)

    def test_pace(self) -> None:
        """Many clients are sent away at a pace, not in one stampede."""
        for _ in range(1000):
            self.join()
        self.gateway.drain(10.0)
        counted = [self.told_to_go()]
        for _ in range(49):
            self.clock.advance(0.1)
            counted.append(self.told_to_go())
        steps = [after - before for before, after in pairwise(counted)]
        self.assertEqual(counted[0], 20)
        self.assertEqual(set(steps), {20})
        self.assertEqual(counted[-1], 1000)

    def test_last_answers(self) -> None:
        """Whose message is being handled gets the answer first, and says no more."""
        conn_id = self.join()
        lane = self.bus.lanes[conn_id]
        lane.empty = False
        self.gateway.drain(10.0)
        self.clock.pump([0.1] * 5)
        lane.events.on_room()
        self.assertEqual(self.told(conn_id), [("pause",)])
        lane.events.on_replies([item(EventType.WS_SEND, b"late", conn_id=conn_id)])
        lane.empty = True
        self.clock.advance(0.1)
        self.assertEqual(
            self.told(conn_id)[1:],
            [("send", b"late", False), ("resume",), ("close", 1012, "service restart")],
        )

    def test_answers_that_do_not_come(self) -> None:
        """Nobody waits for an answer longer than the pace lasts."""
        conn_id = self.join()
        self.bus.lanes[conn_id].empty = False
        done = self.gateway.drain(10.0)
        self.clock.pump([0.1] * 49)
        self.assertEqual(self.told_to_go(), 0)
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.told_to_go(), 1)
        self.lose(conn_id)
        self.clock.advance(0.1)
        self.successResultOf(done)

    def test_few(self) -> None:
        """A handful is told at once, and the drain ends when they are gone."""
        ids = [self.join(), self.join()]
        done = self.gateway.drain(10.0)
        self.assertEqual(self.told_to_go(), 2)
        for conn_id in ids:
            self.clock.advance(0.1)
            self.assertNoResult(done)
            self.lose(conn_id)
        self.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(done))

    def test_none(self) -> None:
        """Without connections there is nothing to wait for."""
        self.assertIsNone(self.successResultOf(self.gateway.drain(10.0)))

    def test_gone_at_once(self) -> None:
        """If everyone leaves when told to, the drain takes no time."""
        for conn_id in (self.join(), self.join()):
            leave = partial(self.lose, conn_id)
            self.patch(self.sockets[conn_id], "close", lambda *_, leave=leave: leave())
        self.assertIsNone(self.successResultOf(self.gateway.drain(10.0)))

    def test_stubborn(self) -> None:
        """Who does not go in time is dropped."""
        conn_id = self.join()
        done = self.gateway.drain(1.0)
        self.clock.pump([0.1] * 12)
        self.assertEqual(self.told(conn_id)[-1], ("abort",))
        self.assertIsNone(self.successResultOf(done))

    def test_nobody_new(self) -> None:
        """A draining worker answers 503, to handshakes and to ``/ready``."""
        self.gateway.drain(1.0)
        for target in ("/ready", "/ws/a"):
            answer = self.gateway.answer(head(target), PEER)
            assert answer is not None
            self.assertEqual(answer.status, 503)
        self.assertIs(self.gateway.readiness, Readiness.DRAINING)

    def test_shut_down(self) -> None:
        """A plain shutdown closes everyone at once with 1001."""
        for _ in range(100):
            self.join()
        done = self.gateway.shut_down(1.0)
        for conn_id, socket in self.sockets.items():
            self.assertEqual(
                socket.log, [("close", 1001, "server shutting down")], conn_id
            )
        self.assertNoResult(done)
        for conn_id in self.sockets:
            self.lose(conn_id)
        self.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(done))

    def test_hurried_drain(self) -> None:
        """A second signal during the drain sends everyone away at once."""
        for _ in range(100):
            self.join()
        draining = self.gateway.drain(10.0)
        hurried = self.gateway.shut_down(1.0)
        told = [socket.log[0][1] for socket in self.sockets.values()]
        self.assertEqual((told.count(1012), told.count(1001)), (20, 80))
        for conn_id in self.sockets:
            self.lose(conn_id)
        self.clock.pump([0.1] * 3)
        self.successResultOf(hurried)
        self.successResultOf(draining)

    def test_nothing_left_behind(self) -> None:
        """After the drain no timer runs and no subscription is held."""
        self.successResultOf(self.gateway.drain(1.0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.bus.subscription.cancelled)
