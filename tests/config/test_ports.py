"""Ports that would be taken twice."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.ports import port_conflicts, port_ranges
from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.errors import ConfigError
from tests.config.reading_cases import reading

_SMALL = st.integers(0, 20)


class CollisionTests(SynchronousTestCase):
    """Ranges that meet are refused, where they were written."""

    def problem(self, text: str | None, **environ: str) -> str:
        """Return the only problem."""
        return str(self.assertRaises(ConfigError, reading, text, environ))

    def test_eleventh_http_worker(self) -> None:
        """http-11 would listen on ws-1's port."""
        self.assertEqual(
            self.problem("http_worker:\n  workers: 11\n"),
            "c.yaml:2:12: http_worker.workers: expected ports of its own; http-11 and "
            "ws-1 would both listen on 8010",
        )

    def test_ten_are_fine(self) -> None:
        """http-10 is the last that fits between the default ports."""
        found = reading("http_worker: {workers: 10}")
        self.assertEqual(found.settings.http_worker.workers, 10)

    def test_variable(self) -> None:
        """A variable that causes the collision is named."""
        problem = self.problem(None, TB_HTTP_PORT="8010")
        self.assertTrue(problem.startswith("TB_HTTP_PORT: http_worker.port: "))

    def test_web_ui(self) -> None:
        """The manager's port counts, unless its web UI is off."""
        text = "ws_worker: {port: 9000}\nmanager: {web_ui_enabled: %s}\n"
        self.assertIn("ws-1 and the manager's web UI", self.problem(text % "yes"))
        self.assertEqual(reading(text % "no").settings.ws_worker.port, 9000)

    def test_beyond_the_last_port(self) -> None:
        """A range must end at 65535."""
        problem = self.problem("ws_worker: {port: 65535, workers: 2}")
        self.assertIn("expected ports up to 65535; ws-2 would need 65536", problem)

    def test_any_free_port(self) -> None:
        """Port 0 collides with nothing."""
        found = reading("http_worker: {port: 0}\nws_worker: {port: 0}\n")
        self.assertEqual(len(port_ranges(found.settings)), 1)

    def test_different_hosts(self) -> None:
        """One port on two addresses is fine, on all addresses it is not."""
        text = "http_worker: {port: 8010, host: %s}\nws_worker: {host: 127.0.0.1}\n"
        self.assertEqual(reading(text % "10.0.0.1").settings.http_worker.port, 8010)
        for host in ("0.0.0.0", "localhost", "'::'"):
            self.assertIn("both listen on 8010", self.problem(text % host))

    def test_not_beside_a_wrong_value(self) -> None:
        """A port that cannot be read is one problem, not two."""
        problem = self.problem("http_worker: {port: 8010}\nws_worker: {port: x}\n")
        self.assertNotIn("\n", problem)

    @given(http=_SMALL, https=_SMALL, ws=_SMALL, wss=_SMALL)
    def test_found_exactly_when_shared(
        self, http: int, https: int, ws: int, wss: int
    ) -> None:
        """A collision is reported exactly when two workers share a port."""
        found = Settings(
            http_worker=HttpWorker(port=http, workers=https),
            ws_worker=WsWorker(port=ws, workers=wss),
            manager=Manager(web_ui_enabled=False),
        )
        taken = set(range(http, http + https)) if http else set()
        shared = taken & set(range(ws, ws + wss)) if ws else set()
        self.assertEqual(bool(list(port_conflicts(found))), bool(shared))
