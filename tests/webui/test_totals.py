"""What workers count, added up over generations, for Prometheus and for charts."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, strategies as st
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.figures import Figures
from tbtwist.observe.metrics import BOUNDS_S, BUCKETS, spread
from tbtwist.webui.exposition import exposition
from tbtwist.webui.history import History, percentile_ms
from tbtwist.webui.totals import Sums, Totals
from tbtwist.ws.counts import Counts
from tests.control.fakes import STATUS
from tests.webui.test_api import full

Told = Mapping[str, int]


class TotalsTests(SynchronousTestCase):
    """Totals over restarts and updates."""

    def setUp(self) -> None:
        """Begin with nobody."""
        self.totals = Totals()

    def heard(self, generation: int, worker: str = "http-1", **figures: int) -> None:
        """Let a worker tell."""
        self.totals.heard(worker, generation, figures, 17.0)

    def test_restart(self) -> None:
        """After a restart a worker counts from 0, and its total goes on."""
        self.heard(1, REQUESTS_TOTAL=100)
        self.totals.ended("http-1", 1)
        self.assertEqual(100, self.totals.of("http-1").requests)
        self.heard(2, REQUESTS_TOTAL=3)
        self.assertEqual(103, self.totals.all().requests)

    def test_update(self) -> None:
        """In an update both generations count, and nothing counts twice afterwards."""
        self.heard(1, REQUESTS_TOTAL=100, IN_FLIGHT=2, LAG_US=5)
        self.heard(2, REQUESTS_TOTAL=7, IN_FLIGHT=1, LAG_US=9)
        self.heard(1, REQUESTS_TOTAL=101, IN_FLIGHT=1, LAG_US=7)
        both = self.totals.of("http-1")
        self.assertEqual((108, 2), (both.requests, both.get("IN_FLIGHT")))
        self.assertEqual(9, both.get("LAG_US"))
        self.totals.ended("http-1", 1)
        after = self.totals.of("http-1")
        self.assertEqual((108, 1), (after.requests, after.get("IN_FLIGHT")))

    def test_gauges_end_with_their_process(self) -> None:
        """Connections of a killed worker are gone; what it counted is not."""
        self.heard(1, "ws-1", CONNECTIONS=500, WS_IN=9, **{"DROPS lane full": 2})
        self.totals.ended("ws-1", 1)
        found = self.totals.of("ws-1")
        self.assertEqual(
            (0, 9, 2), (found.connections, found.get("WS_IN"), found.drops)
        )

    def test_ended_twice(self) -> None:
        """A generation that ends counts once, and an unheard one not at all."""
        self.heard(1, REQUESTS_TOTAL=5)
        for _ in range(2):
            self.totals.ended("http-1", 1)
        self.totals.ended("http-9", 1)
        self.assertEqual(5, self.totals.all().requests)

    def test_workers_that_left(self) -> None:
        """Scaling down takes nothing away from the sum."""
        self.heard(1, "http-1", REQUESTS_TOTAL=5)
        self.heard(1, "http-2", REQUESTS_TOTAL=6)
        self.totals.ended("http-2", 1)
        self.assertEqual(11, self.totals.all().requests)
        self.assertEqual(17.0, self.totals.heard_at("http-2"))
        self.assertEqual(0.0, self.totals.heard_at("http-3"))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["http-1", "http-2"]),
                st.integers(0, 50),
                st.booleans(),
            ),
            max_size=60,
        )
    )
    def test_never_back(self, events: list[tuple[str, int, bool]]) -> None:
        """Whatever happens in whatever order, the total is what was counted."""
        totals, expected, last = Totals(), 0, 0
        current: dict[str, tuple[int, int]] = {}
        for worker, more, ends in events:
            generation, count = current.get(worker, (1, 0))
            count, expected = count + more, expected + more
            totals.heard(worker, generation, {"REQUESTS_TOTAL": count}, 0)
            if ends:
                totals.ended(worker, generation)
                generation, count = generation + 1, 0
            current[worker] = (generation, count)
            self.assertGreaterEqual(totals.all().requests, last)
            last = totals.all().requests
        self.assertEqual(expected, last)


class ExpositionTests(SynchronousTestCase):
    """``GET /metrics``."""

    def read(
        self, totals: Totals
    ) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return every sample that Prometheus' own parser finds."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        status = structs.replace(STATUS, workers=full())
        text = exposition(status, totals).decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                self.assertNotIn(key, found, "told twice")
                found[key] = sample.value
        return found

    def test_what_workers_count(self) -> None:
        """Everything that real workers count arrives, with its labels and its unit."""
        figures = Figures()
        for status, seconds in ((200, 0.004), (201, 0.02), (404, 0.0005), (500, 40.0)):
            figures.answered(status, seconds)
        counts = Counts(opened=3, messages_in=8)
        counts.drop("the connection is gone")
        counts.closes[1012] += 4
        totals = Totals()
        totals.heard("http-1", 1, {**figures.told(), "LAG_US": 1500}, 0)
        totals.heard("ws-1", 1, counts.told(), 0)
        found = self.read(totals)
        http, ws = ("worker", "http-1"), ("worker", "ws-1")
        for name, labels, value in (
            ("tbtwist_http_requests_total", (("status", "2xx"), http), 2),
            ("tbtwist_http_requests_total", (("status", "5xx"), http), 1),
            ("tbtwist_reactor_lag_seconds", (http,), 0.0015),
            ("tbtwist_http_request_duration_seconds_count", (http,), 4),
            ("tbtwist_http_request_duration_seconds_bucket", (http, ("le", "30")), 3),
            (
                "tbtwist_http_request_duration_seconds_bucket",
                (http, ("le", "0.001")),
                1,
            ),
            ("tbtwist_ws_opened_total", (ws,), 3),
            ("tbtwist_ws_closed_total", (("code", "1012"), ws), 4),
            ("tbtwist_ws_drops_total", (("reason", "the connection is gone"), ws), 1),
        ):
            self.assertAlmostEqual(value, found[name, tuple(sorted(labels))], 6, name)
        total = found["tbtwist_http_request_duration_seconds_sum", (http,)]
        self.assertAlmostEqual(40.0245, total, 5)

    def test_what_the_manager_knows(self) -> None:
        """States, restarts, memory and CPU are there too."""
        found = self.read(Totals())
        about = (("role", "http"), ("worker", "http-1"))
        self.assertEqual(1, found["tbtwist_worker_up", about])
        self.assertEqual(1, found["tbtwist_worker_restarts_total", about])
        self.assertEqual(64 * 1024**2, found["tbtwist_worker_memory_bytes", about])
        running = (("role", "ws"), ("state", "running"))
        self.assertEqual(1, found["tbtwist_workers", running])

    def test_reasons_are_bounded(self) -> None:
        """A thousand different reasons do not become a thousand series."""
        reasons = {f"reason {number}": number + 1 for number in range(1000)}
        names = dict(spread("WS_REFUSED_", reasons))
        self.assertEqual(21, len(names))
        self.assertEqual(sum(reasons.values()), sum(names.values()))

    def test_losses_and_repetitions(self) -> None:
        """What the bus lost is a drop; what it only did again is none."""
        figures = {
            "BUS:dropped: bad frame": 2,
            "BUS:dropped: repetition": 4,
            "BUS:sent again": 3,
            "BUS:undeliverable: gone": 1,
            "BUS:undelivered: unreachable": 5,
            "DROPS lane full": 10,
        }
        self.assertEqual(13, Sums(figures).drops)

    def test_reasons_of_the_bus(self) -> None:
        """Reasons keep their words, and who the broker knows is no incident."""
        totals = Totals()
        told_ = {"BUS:sent again": 3, "BUS:workers": 4}
        totals.heard("broker", 1, told_, 0)
        found = self.read(totals)
        broker = ("worker", "broker")
        about = (("reason", "sent again"), broker)
        self.assertEqual(3, found["tbtwist_bus_incidents_total", about])
        self.assertEqual(4, found["tbtwist_broker_workers", (broker,)])


class HistoryTests(SynchronousTestCase):
    """Samples for charts."""

    def test_rates(self) -> None:
        """Rates are a second's, over the last three seconds."""
        history = History()
        for second in range(6):
            figures = {"REQUESTS_TOTAL": 100 * second, "BUS_IN": 30, "CONNECTIONS": 5}
            history.add(1000.0 + second, Sums(figures))
        sample = history.samples[-1]
        self.assertEqual(
            (100.0, 0.0, 5), (sample.requests, sample.bus, sample.connections)
        )
        self.assertEqual(6, len(history.samples))

    def test_first_sample(self) -> None:
        """What was counted before the first look is no peak."""
        sample = History().add(1.0, Sums({"REQUESTS_TOTAL": 1_000_000}))
        self.assertEqual((0.0, None), (sample.requests, sample.p99))

    def test_percentiles(self) -> None:
        """Percentiles lie in the bucket where they belong."""
        slots = [0] * BUCKETS
        slots[0], slots[3] = 90, 10
        p50, p95 = percentile_ms(slots, 0.5), percentile_ms(slots, 0.95)
        assert p50 is not None
        assert p95 is not None
        self.assertTrue(0 < p50 <= 1)
        self.assertTrue(5 < p95 <= 10)
        self.assertIsNone(percentile_ms([0] * BUCKETS, 0.5))
        slots = [0] * (BUCKETS - 1) + [4]
        self.assertEqual(BOUNDS_S[-1] * 1000, percentile_ms(slots, 0.5))

    @given(
        st.lists(st.integers(0, 1000), min_size=BUCKETS, max_size=BUCKETS),
        st.floats(0.01, 0.99),
        st.floats(0.01, 0.99),
    )
    def test_percentiles_are_ordered(
        self, slots: list[int], one: float, other: float
    ) -> None:
        """A higher percentile is never below a lower one."""
        low = percentile_ms(slots, min(one, other))
        high = percentile_ms(slots, max(one, other))
        if low is None or high is None:
            self.assertEqual(0, sum(slots))
        else:
            self.assertLessEqual(low, high)
