"""What the supervisor tells an operator."""

from __future__ import annotations

import msgspec

from tbtwist.config.schema import HttpWorker
from tests.supervise.cases import SupervisorCase


class StatusTests(SupervisorCase):
    """What an operator sees."""

    def test_manager(self) -> None:
        """The manager tells its pid, where the application is, and since when."""
        self.start_all()
        manager = self.supervisor.status().manager
        self.assertEqual((manager.pid, manager.http_url), (42, "http://127.0.0.1:8000"))
        self.assertEqual(manager.data_dir, str(self.data_dir))
        self.assertEqual(manager.started_at, "2023-11-14T22:13:20.000+00:00")

    def test_url_for_a_browser(self) -> None:
        """All addresses are shown as one that a browser can open; IPv6 in brackets."""
        for host, url in (
            ("0.0.0.0", "http://127.0.0.1:8000"),
            ("::1", "http://[::1]:8000"),
        ):
            supervisor = self.another(http_worker=HttpWorker(host=host))
            supervisor.privilegedStartService()
            self.assertEqual(supervisor.status().manager.http_url, url)
            self.successResultOf(supervisor.stopService())

    def test_no_http_workers(self) -> None:
        """Without http workers there is no URL."""
        self.supervisor = self.another(http_worker=HttpWorker(workers=0))
        self.supervisor.privilegedStartService()
        self.addCleanup(self.end)
        self.assertEqual(self.supervisor.status().manager.http_url, "")

    def test_running_worker(self) -> None:
        """A running worker has pid, port, uptime, memory, CPU and its own figures."""
        self.start_all()
        self.reactor.advance(3)
        http = self.latest("http-1")
        http.tell(WATCHDOG=1, STATUS="serving", X_REQUESTS_TOTAL=17)
        status = self.worker("http-1")
        assert http.pid is not None
        self.assertEqual((status.pid, status.port), (http.pid, 8000))
        self.assertEqual((status.uptime_s, status.requests_total), (3.0, 17))
        self.assertEqual(status.memory_bytes, http.pid * 1024)
        self.assertEqual((status.cpu_percent, status.detail), (1.5, "serving"))
        self.assertIs(status.connections, msgspec.UNSET)

    def test_figures_by_role(self) -> None:
        """Http counts requests, ws counts connections, the broker neither."""
        self.start_all()
        self.latest("ws-1").tell(
            X_CONNECTIONS=5,
            X_BUS_PENDING=2,
            **{"X_DROPS lane full": 2},
        )
        ws, broker = self.worker("ws-1"), self.worker("broker")
        self.assertEqual((ws.connections, ws.requests_total), (5, msgspec.UNSET))
        self.assertEqual((ws.drops, broker.drops), ({"lane full": 2}, msgspec.UNSET))
        self.assertEqual(ws.bus_pending, 2)
        self.assertIs(broker.connections, msgspec.UNSET)
        self.assertIs(broker.bus_pending, msgspec.UNSET)
        self.assertIsNone(self.worker("http-1").requests_total)

    def test_counters_of_the_bus(self) -> None:
        """What went wrong on the bus is shown by its reason, for every role."""
        self.start_all()
        told = {
            "X_BUS:sent again": 2,
            "X_BUS:dropped: bad frame": 1,
            "X_CONNECTIONS": 5,
        }
        for worker_id in ("ws-1", "http-1", "broker"):
            self.latest(worker_id).tell(**told)
            counted = self.worker(worker_id).bus
            self.assertEqual(counted, {"dropped: bad frame": 1, "sent again": 2})

    def test_nonsense_is_passed_over(self) -> None:
        """A figure that is no number changes nothing."""
        self.start_all()
        self.latest("ws-1").tell(X_CONNECTIONS="many", X_="", READY="perhaps")
        self.assertIsNone(self.worker("ws-1").connections)

    def test_figures_are_handed_on(self) -> None:
        """Whoever adds figures up gets them with their generation, and every end."""
        self.start_all()
        self.latest("http-1").tell(WATCHDOG=1, X_REQUESTS_TOTAL=17)
        self.assertEqual([("http-1", 1, {"REQUESTS_TOTAL": 17})], self.console.counts)
        self.latest("http-1").writes(b"ouch\n")
        self.latest("http-1").killed()
        self.assertEqual(
            [("http-1", 1, "killed by SIGKILL", ("ouch",))], self.console.ends
        )
        self.reactor.advance(1)
        self.latest("http-1").tell(WATCHDOG=1, X_REQUESTS_TOTAL=2)
        self.assertEqual(("http-1", 2, {"REQUESTS_TOTAL": 2}), self.console.counts[-1])

    def test_web_ui(self) -> None:
        """Where the web UI is stands in the status, if there is one."""
        self.start()
        self.assertEqual("", self.supervisor.status().manager.ui_url)
        self.supervisor.ui_url = "http://127.0.0.1:9000"
        url = self.supervisor.status().manager.ui_url
        self.assertEqual("http://127.0.0.1:9000", url)

    def test_dead_worker(self) -> None:
        """A worker without a process has no pid, uptime or memory, but a reason."""
        self.start_all()
        self.latest("http-1").writes(b"out of luck\n", descriptor=2)
        self.latest("http-1").exits(1)
        status = self.worker("http-1")
        self.assertEqual(
            (status.pid, status.uptime_s, status.memory_bytes), (None,) * 3
        )
        self.assertEqual(status.detail, "starts again 0.2 s after its end")
        assert status.last_exit is not None
        self.assertEqual(status.last_exit.reason, "exit status 1: out of luck")
        self.assertEqual(status.last_exit.code, 1)

    def test_a_new_process_counts_anew(self) -> None:
        """Figures are those of the present process."""
        self.start_all()
        self.latest("http-1").tell(X_REQUESTS_TOTAL=17)
        self.latest("http-1").killed()
        self.reactor.advance(0.3)
        self.assertIsNone(self.worker("http-1").requests_total)

    def test_what_it_said_last(self) -> None:
        """What the previous process said about itself is not said of the next one."""
        self.start_all()
        self.latest("http-1").tell(STATUS="serving")
        self.latest("http-1").killed()
        self.reactor.advance(0.3)
        self.assertIn(("http-1", "starting", ""), self.console.details)
        self.assertNotIn(("http-1", "starting", "serving"), self.console.details)

    def test_before_the_start(self) -> None:
        """Before it is bound there is a manager, and no workers."""
        self.assertEqual(self.supervisor.status().workers, ())
