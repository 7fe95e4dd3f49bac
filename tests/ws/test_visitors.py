"""Who comes, how often, and who may see our figures."""

from __future__ import annotations

import json

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import HttpWorker, Settings, WsWorker
from tbtwist.ws.handshake import Answer
from tests.ws.fakes import PEER, FakeBus, head, make_gateway
from tests.ws.wire import WireCase, request

PROXY = "10.0.0.9"
SETTINGS = Settings(
    http_worker=HttpWorker(trusted_proxies=("10.0.0.0/8",)),
    ws_worker=WsWorker(connects_per_s=2.0, connects_burst=3),
)


class GatewayCase(SynchronousTestCase):
    """A gateway behind a proxy."""

    def setUp(self) -> None:
        """Make the gateway."""
        self.clock = Clock()
        self.gateway = make_gateway(FakeBus(), self.clock, SETTINGS)

    def ask(self, target: str, peer: str = PEER, **headers: str) -> Answer | None:
        """Return the answer to a request."""
        return self.gateway.answer(head(target, **headers), peer)

    def connects(self, peer: str, **headers: str) -> bool:
        """Whether a connection from somewhere is let in."""
        answer = self.ask("/ws/a", peer, **headers)
        if answer is not None:
            self.assertEqual(answer.status, 429)
            self.assertEqual(answer.headers, (("Retry-After", "1"),))
        return answer is None


class RateTests(GatewayCase):
    """New connections of one address."""

    def test_too_many(self) -> None:
        """A burst is fine, more is not, and a moment later it is again."""
        self.assertEqual(
            [self.connects(PEER) for _ in range(5)], [True] * 3 + [False] * 2
        )
        self.assertTrue(self.connects("198.51.100.8"))
        self.clock.advance(1.0)
        self.assertEqual([self.connects(PEER) for _ in range(3)], [True, True, False])
        self.assertEqual(self.gateway.counts.refused, {"429": 3})

    def test_behind_a_proxy(self) -> None:
        """The client's own address counts, not the proxy's."""
        for number in range(8):
            client = f"203.0.113.{number}"
            self.assertTrue(self.connects(PROXY, x_forwarded_for=client))
        for _ in range(3):
            self.connects(PROXY, x_forwarded_for=PEER)
        self.assertFalse(self.connects(PROXY, x_forwarded_for=PEER))

    def test_claims(self) -> None:
        """Whoever is no proxy of ours cannot claim another address."""
        found = [
            self.connects(PEER, x_forwarded_for=f"203.0.113.{n}") for n in range(5)
        ]
        self.assertEqual(found, [True] * 3 + [False] * 2)

    def test_ipv6(self) -> None:
        """One network of IPv6 is one client."""
        found = [self.connects(f"2001:db8::{n:x}") for n in range(5)]
        self.assertEqual(found, [True] * 3 + [False] * 2)
        self.assertTrue(self.connects("2001:db8:0:1::1"))

    def test_this_machine(self) -> None:
        """This machine and trusted proxies themselves are not limited."""
        for peer in ("127.0.0.1", "::1", PROXY):
            self.assertTrue(all(self.connects(peer) for _ in range(9)), peer)

    def test_other_refusals(self) -> None:
        """Requests that are refused anyhow, and health checks, cost nothing."""
        for _ in range(9):
            self.ask("/health")
            self.ask("/ws/a", upgrade="h2c")
        self.assertTrue(self.connects(PEER))


class MetricsTests(GatewayCase):
    """``GET /metrics`` on the worker's own port."""

    def test_outsiders(self) -> None:
        """Figures are not for the public, also not through a proxy."""
        for peer, more in ((PEER, {}), (PROXY, {"x_forwarded_for": PEER})):
            answer = self.ask("/metrics", peer, **more)
            assert answer is not None
            self.assertEqual(answer.status, 403)

    def test_json(self) -> None:
        """JSON for whom prefers it, with every reason by its name."""
        self.gateway.counts.drop("lane full")
        self.gateway.counts.closes[1013] += 2
        self.gateway.gauges = lambda: {"waiting_bytes": 7}
        answer = self.ask("/metrics", "127.0.0.1", accept="application/json")
        assert answer is not None
        found = json.loads(answer.to_bytes().partition(b"\r\n\r\n")[2])
        self.assertEqual(found["worker_id"], "ws-1")
        self.assertEqual(found["waiting_bytes"], 7)
        self.assertEqual(found["drops"], {"lane full": 1})
        self.assertEqual(found["closes"], {"1013": 2})
        self.assertEqual(found["refused"], {})

    def test_prometheus(self) -> None:
        """Prometheus' text otherwise."""
        self.gateway.counts.drop("slow client, conflate")
        self.gateway.counts.refused["429"] += 1
        self.gateway.gauges = lambda: {"handshakes": 3}
        answer = self.ask("/metrics", PROXY)
        assert answer is not None
        self.assertTrue(answer.content_type.startswith("text/plain; version="))
        assert isinstance(answer.body, bytes)
        lines = answer.body.decode().splitlines()
        self.assertIn(
            'tbtwist_ws_drops_total{reason="slow client, conflate"} 1.0', lines
        )
        self.assertIn('tbtwist_ws_refused_total{reason="429"} 1.0', lines)
        self.assertIn("tbtwist_ws_handshakes 3.0", lines)
        self.assertIn("tbtwist_ws_connections 0.0", lines)
        self.assertIn("tbtwist_ready 1.0", lines)


class HandshakeErrorsTests(WireCase):
    """What is wrong with a handshake is said in HTTP, and counted."""

    def test_statuses(self) -> None:
        """Each mistake has its status, in the envelope, and ends the connection."""
        good = request()
        mistakes = {
            426: good.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
            505: good.replace(b"HTTP/1.1", b"HTTP/1.0"),
            400: good.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
            404: request("/elsewhere"),
        }
        for status, sent in mistakes.items():
            client = self.connect()
            client.send(sent)
            head, _, body = client.take().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), head)
            self.assertEqual(set(json.loads(body)), {"error", "message"})
            self.assertTrue(client.transport.disconnecting)
        self.assertEqual(
            self.gateway.counts.refused, {str(status): 1 for status in mistakes}
        )
        self.assertEqual(self.bus.lanes, {})
