"""Where nginx reaches the workers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import assemble
from tbtwist.errors import ConfigError
from tbtwist.nginx.addresses import upstream_addresses
from tbtwist.status import ManagerInfo, Role, Status, WorkerState, WorkerStatus


def status(*workers: tuple[Role, int | None, WorkerState]) -> Status:
    """Return what a manager says of workers on these ports."""
    manager = ManagerInfo(pid=1, version="1", started_at="", http_url="", data_dir="/d")
    found = (
        WorkerStatus(id=f"{role}-{i}", role=role, state=state, generation=1, port=port)
        for i, (role, port, state) in enumerate(workers)
    )
    return Status(manager=manager, workers=tuple(found))


class AddressTests(SynchronousTestCase):
    """Configured and real ones."""

    def test_configured(self) -> None:
        """Without a manager the configured ports count."""
        settings = assemble({"http_worker.workers": 3, "http_worker.port": 9100})
        http, ws = upstream_addresses(settings, None)
        self.assertEqual([f"127.0.0.1:{port}" for port in (9100, 9101, 9102)], http)
        self.assertEqual(["127.0.0.1:8010"], ws)

    def test_running(self) -> None:
        """With one its workers count: scaled ones, and those in trouble for a moment."""
        found = status(
            ("http", 8000, "running"),
            ("http", 8005, "backoff"),
            ("http", 8006, "stopped"),
            ("ws", 8010, "draining"),
            ("broker", None, "running"),
        )
        http, ws = upstream_addresses(assemble({}), found)
        self.assertEqual(["127.0.0.1:8000", "127.0.0.1:8005"], http)
        self.assertEqual(["127.0.0.1:8010"], ws)

    def test_hosts(self) -> None:
        """Workers on every address are asked on this machine's own."""
        for host, shown in {
            "0.0.0.0": "127.0.0.1",
            "::": "[::1]",
            "::1": "[::1]",
            "10.1.2.3": "10.1.2.3",
        }.items():
            settings = assemble({"http_worker.host": host, "http_worker.workers": 1})
            self.assertEqual([f"{shown}:8000"], upstream_addresses(settings, None)[0])

    def test_unknown_host(self) -> None:
        """A host that nobody knows is told by its key."""
        settings = assemble({"ws_worker.host": "no.such.host.invalid"})
        error = self.assertRaises(ConfigError, upstream_addresses, settings, None)
        self.assertIn("ws_worker.host: expected a host", str(error))

    def test_any_free_port(self) -> None:
        """Ports that only a manager can tell are not guessed."""
        settings = assemble({"http_worker.port": 0})
        error = self.assertRaises(ConfigError, upstream_addresses, settings, None)
        self.assertIn("http_worker.port: expected a fixed port", str(error))
