"""The worker's own paths: figures, places, logs of clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api import dispatch as _dispatch
from tbtwist.api.clientlogs import MAX_BYTES, MAX_CHARS, MAX_ENTRIES
from tbtwist.api.figures import Figures
from tbtwist.api.geo import locator
from tbtwist.api.insiders import Insiders, is_local
from tbtwist.api.rates import RateLimit
from tbtwist.boundaries import BusFigures
from tbtwist.config.schema import HttpWorker
from tests.api.core import OPEN, Core, CoreTestCase, make_dispatcher

TRUSTING = msgspec.structs.replace(
    OPEN, http_worker=HttpWorker(trusted_proxies=("192.0.2.0/24",))
)
BUS = BusFigures(
    done={
        "published": 1,
        "forwarded": 2,
        "sent": 3,
        "received": 4,
        "asked": 5,
        "delivered": 1,
    },
    incidents={"dropped: gap": 2, "call: CallTimeout": 1, "sent again": 7},
    now={"lane_items": 8, "calls_open": 0},
)


class MetricsTests(CoreTestCase):
    """GET /metrics."""

    def setUp(self) -> None:
        """Make a core that trusts the test's address, and has a bus."""
        super().setUp()
        dispatcher = make_dispatcher(self.app, TRUSTING)
        told = attrs.evolve(dispatcher, bus_figures=lambda: BUS, ws_messages=lambda: 2)
        self.core = Core(told)

    def samples(self) -> dict[str, float]:
        """Return Prometheus' samples."""
        answer = self.core.get("/metrics")
        self.assertIn("text/plain; version=0.0.4", answer.header("Content-Type") or "")
        families = text_string_to_metric_families(answer.body.decode())
        return {
            f"{s.name}{sorted(s.labels.values()) or ''}": s.value
            for family in families
            for s in family.samples
        }

    def test_prometheus(self) -> None:
        """Prometheus can read it, and finds what has been answered."""
        self.core.get("/api/Open/add?a=1")
        self.core.get("/api/Open/add")
        self.core.get("/api/Closed/mine")
        samples = self.samples()
        for status in ("200", "400", "401"):
            self.assertEqual(samples[f"tbtwist_http_requests_total['{status}']"], 1)
        self.assertEqual(samples["tbtwist_http_request_duration_seconds_count"], 3)
        self.assertEqual(
            samples["tbtwist_http_request_duration_seconds_bucket['+Inf']"], 3
        )
        messages, incidents = "tbtwist_bus_messages", "tbtwist_bus_incidents"
        self.assertEqual(samples[f"{messages}_total['forwarded']"], 2)
        self.assertEqual(samples[f"{incidents}_total['dropped: gap']"], 2)
        self.assertEqual(samples["tbtwist_bus_lane_items"], 8)
        self.assertEqual(samples["tbtwist_ws_messages_handled_total"], 2)
        self.assertEqual(samples["tbtwist_ready"], 1)
        self.assertEqual(samples["tbtwist_app_threads_busy"], 0)

    def test_json(self) -> None:
        """JSON on request, with the names of R1.2."""
        self.core.get("/api/Open/add?a=1")
        self.core.get("/api/Open/broken")
        self.core.get("/api/Closed/mine")
        self.core.get("/IsValidSession")
        self.flushLoggedErrors(RuntimeError)
        answer = self.core.get("/metrics", accept="application/json").json
        latency = answer.pop("avg_latency_ms")
        self.assertGreaterEqual(latency, 0)
        self.assertEqual(
            answer,
            {
                "worker_id": "http-1",
                "requests_total": 4,
                "requests_success": 1,
                "requests_error": 1,
                "requests_auth": 1,
                "requests_denied": 2,
                "ws_messages_handled": 2,
                "zmq": {
                    "events_sent": 6,
                    "events_received": 4,
                    "rpc_calls": 5,
                    "rpc_timeouts": 1,
                    "errors": 3,
                    "done": dict(BUS.done),
                    "incidents": dict(BUS.incidents),
                    "now": dict(BUS.now),
                },
            },
        )

    def test_strangers(self) -> None:
        """Figures are not for the public."""
        answer = self.core_with(OPEN).get("/metrics")
        self.assertEqual((answer.status, answer.json["error"]), (403, "Forbidden"))


class FiguresTests(SynchronousTestCase):
    """Counting."""

    def test_buckets(self) -> None:
        """A histogram's buckets hold what is below them, the last holds all."""
        figures = Figures()
        for seconds in (0.0, 0.001, 0.0011, 7.0, 99.0):
            figures.answered(200, seconds)
        buckets = dict(figures.buckets())
        self.assertEqual(buckets["0.001"], 2)
        self.assertEqual(buckets["0.0025"], 3)
        self.assertEqual((buckets["5"], buckets["10"]), (3, 4))
        self.assertEqual(buckets["+Inf"], 5)


class InsidersTests(SynchronousTestCase):
    """Who is one of us."""

    def test_table(self) -> None:
        """This machine and trusted networks, in either family, and nobody else."""
        insiders = Insiders.parse(["10.0.0.0/8", "2001:db8::1"])
        ours = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "2001:db8::1")
        others = ("", "192.0.2.1", "::ffff:192.0.2.1", "localhost", "2001:db8::2")
        self.assertTrue(all(insiders.include(a) for a in ours))
        self.assertFalse(any(insiders.include(a) for a in others))

    def test_local(self) -> None:
        """Private addresses are no places."""
        self.assertTrue(all(map(is_local, ("10.0.0.1", "fe80::1", "", "127.0.0.1"))))
        self.assertFalse(is_local("8.8.8.8"))


class GeoTests(CoreTestCase):
    """GET /api/geo."""

    def test_no_database(self) -> None:
        """Without a database it is 404: nobody else is asked."""
        self.assertEqual(self.core.get("/api/geo").status, 404)

    def test_unusable_database(self) -> None:
        """A database that cannot be used is said once, and /api/geo is 404."""
        path = Path(self.mktemp())
        path.write_bytes(b"nonsense")
        with capturedLogs() as events:
            self.assertIsNone(locator(str(path)))
            self.assertIsNone(locator("/nowhere/at/all"))
        self.assertEqual(len(events), 2)

    def test_places(self) -> None:
        """With one, clients learn where they seem to be."""
        place = {"city": "Ulm", "region": "BW", "country": "Germany"}
        self.patch(_dispatch, "locator", lambda _path: lambda _address: place)
        answer = self.core_with(OPEN).get("/api/geo")
        self.assertEqual(answer.json, {"ip": "192.0.2.7", **place})


class RateTests(SynchronousTestCase):
    """How often somebody may do something."""

    def test_bucket(self) -> None:
        """A burst at once, then as fast as the bucket fills; each for themselves."""
        rate = RateLimit(per_s=0.5, burst=2)
        allowed = [rate.allows("a", at) for at in (0, 0, 0, 1, 2, 2, 100, 100, 100)]
        self.assertEqual(
            allowed, [True, True, False, False, True, False, True, True, False]
        )
        self.assertTrue(rate.allows("b", 0))

    def test_clock_that_goes_back(self) -> None:
        """A clock that is set back gives nobody more."""
        rate = RateLimit(per_s=1, burst=1)
        self.assertTrue(rate.allows("a", 100))
        self.assertFalse(rate.allows("a", 0))

    def test_bound(self) -> None:
        """Many keys do not fill the memory."""
        rate = RateLimit(per_s=1, burst=1)
        for key in range(20_000):
            rate.allows(str(key), 0)
        self.assertLessEqual(len(rate._buckets), 10_000)
        self.assertFalse(rate.allows("19999", 0))


class ClientLogTests(CoreTestCase):
    """POST /api/client-logs."""

    def send(self, body: Any) -> Any:
        """Send a report."""
        return self.core.post_json("/api/client-logs", body)

    def test_entries(self) -> None:
        """Entries go to the log with their level; audit entries to one of their own."""
        entries = [
            {"level": "error", "message": "broken", "url": "/x", "password": "p"},
            {"type": "audit", "action": "delete", "level": "WARN"},
            "nonsense",
        ]
        with capturedLogs() as events:
            answer = self.send({"logs": entries})
        self.assertEqual(answer.json, {"status": "ok", "ingested": 2})
        first, second = events
        self.assertEqual(first["log_namespace"], "tbtwist.client")
        self.assertEqual(first["log_level"], LogLevel.error)
        self.assertEqual(first["facts"], {"message": "broken", "url": "/x"})
        self.assertEqual(second["log_namespace"], "tbtwist.client.audit")

    def test_injection(self) -> None:
        """No value can look like a line, or a format, of the log."""
        evil = "x\n2026-01-01 [root] logged in {log_source} \x1b[2J"
        with capturedLogs() as events:
            self.send({"logs": [{"message": evil}]})
        text = formatEvent(events[0])
        self.assertNotIn("\n", text)
        self.assertNotIn("\x1b", text)
        self.assertIn("{log_source}", text)

    def test_limits(self) -> None:
        """Entries, values and reports have a limit."""
        with capturedLogs() as events:
            answer = self.send({"logs": [{"message": "x"}] * (MAX_ENTRIES + 1)})
            self.send({"logs": [{"message": "x" * 5000}]})
        self.assertEqual(answer.json["ingested"], MAX_ENTRIES)
        self.assertEqual(len(events[-1]["facts"]["message"]), MAX_CHARS + 1)
        self.assertEqual(self.send({"logs": ["x" * MAX_BYTES]}).status, 413)

    def test_nonsense(self) -> None:
        """What is no report is 400; none at all is none."""
        bodies: list[Any] = [[], "x", 5, {"logs": 5}]
        for body in bodies:
            self.assertEqual(self.send(body).status, 400)
        self.assertEqual(self.send({}).json["ingested"], 0)
        self.assertEqual(self.core.get("/api/client-logs").status, 405)

    def test_rate(self) -> None:
        """Who reports too often is told to wait."""
        statuses = [self.send({}).status for _ in range(11)]
        self.assertEqual(statuses, [200] * 10 + [429])
        self.assertEqual(self.send({}).header("Retry-After"), "2")
