"""What should run, from the settings."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.errors import ConfigError
from tbtwist.supervise.plan import desired


def settings(
    http: tuple[int, int] = (8000, 2), ws: tuple[int, int] = (8010, 1), ui: int = 9000
) -> Settings:
    """Return settings with (port, workers) of both kinds and the manager's port."""
    return Settings(
        http_worker=HttpWorker(port=http[0], workers=http[1]),
        ws_worker=WsWorker(port=ws[0], workers=ws[1]),
        manager=Manager(web_ui_port=ui),
    )


class DesiredTests(SynchronousTestCase):
    """The list of workers, and what is refused."""

    def problems(self, wrong: Settings) -> list[tuple[str, str]]:
        """Return the keys and expectations that ``desired`` complains about."""
        error = self.assertRaises(ConfigError, desired, wrong)
        return [(each.key, each.expected) for each in error.problems]

    def test_defaults(self) -> None:
        """By default there are a broker, two http workers and one ws worker."""
        found = [
            (each.id, each.role, each.address and each.address.port)
            for each in desired(Settings())
        ]
        self.assertEqual(
            found,
            [
                ("broker", "broker", None),
                ("http-1", "http", 8000),
                ("http-2", "http", 8001),
                ("ws-1", "ws", 8010),
            ],
        )

    def test_addresses_and_deadlines(self) -> None:
        """Host, queue length and drain deadline come from the worker's section."""
        changed = Settings(
            http_worker=HttpWorker(host="::1", backlog=7, drain_timeout_s=3, workers=1)
        )
        http = desired(changed)[1]
        assert http.address is not None
        self.assertEqual((http.address.host, http.address.backlog), ("::1", 7))
        self.assertEqual(http.drain_timeout_s, 3)

    def test_no_workers(self) -> None:
        """A kind of worker may be left out."""
        self.assertEqual(
            [s.id for s in desired(settings((8000, 0), (8010, 0)))], ["broker"]
        )

    def test_any_port(self) -> None:
        """Port 0 is any free port, for every worker its own; it never collides."""
        found = desired(settings((0, 3), (0, 2), 0))
        self.assertEqual([s.address and s.address.port for s in found[1:]], [0] * 5)

    def test_ranges_meet(self) -> None:
        """The eleventh http worker would take the first ws worker's port: refused."""
        self.assertEqual(
            self.problems(settings((8000, 11))),
            [
                (
                    (
                        "http_worker.port and http_worker.workers and "
                        "ws_worker.port and ws_worker.workers"
                    ),
                    (
                        "expected ports of its own; http-11 and ws-1 would both listen on "
                        "8010"
                    ),
                )
            ],
        )

    def test_last_that_fits(self) -> None:
        """Ten http workers fit below the first ws worker."""
        self.assertEqual(len(desired(settings((8000, 10)))), 12)

    def test_managers_port(self) -> None:
        """A worker cannot have the manager's port."""
        keys = [key for key, _ in self.problems(settings((8999, 2)))]
        self.assertEqual(
            keys, ["http_worker.port and http_worker.workers and manager.web_ui_port"]
        )

    def test_managers_port_unused(self) -> None:
        """Without the web UI its port is free."""
        changed = Settings(
            http_worker=HttpWorker(port=9000), manager=Manager(web_ui_enabled=False)
        )
        self.assertEqual(len(desired(changed)), 4)

    def test_beyond_the_last_port(self) -> None:
        """Ports end at 65535."""
        self.assertEqual(
            self.problems(settings((65535, 2))),
            [
                (
                    "http_worker.port and http_worker.workers",
                    "expected ports up to 65535; http-2 would need 65536",
                )
            ],
        )

    def test_every_problem_is_named(self) -> None:
        """All problems are told at once, one a line."""
        error = self.assertRaises(
            ConfigError, desired, settings((9000, 1), (9000, 1), 9000)
        )
        self.assertEqual(len(str(error).splitlines()), 3)
        self.assertIn("manager.web_ui_port", str(error))

    def test_different_hosts(self) -> None:
        """On different addresses the same port is two ports."""
        apart = Settings(
            http_worker=HttpWorker(host="10.0.0.1", port=8000),
            ws_worker=WsWorker(host="10.0.0.2", port=8000),
        )
        self.assertEqual(len(desired(apart)), 4)

    def test_every_address_is_every_host(self) -> None:
        """All addresses include the other worker's; localhost is 127.0.0.1."""
        for host, other in (("0.0.0.0", "10.0.0.2"), ("localhost", "127.0.0.1")):
            same = Settings(
                http_worker=HttpWorker(host=host, port=8000),
                ws_worker=WsWorker(host=other, port=8000),
            )
            self.assertRaises(ConfigError, desired, same)

    @given(
        st.tuples(st.integers(1, 65535), st.integers(0, 50)),
        st.tuples(st.integers(1, 65535), st.integers(0, 50)),
    )
    def test_no_port_twice(self, http: tuple[int, int], ws: tuple[int, int]) -> None:
        """Either the settings are refused, or every worker has a port of its own."""
        try:
            specs = desired(settings(http, ws))
        except ConfigError:
            return
        ports = [spec.address.port for spec in specs if spec.address is not None]
        self.assertEqual(len(ports), http[1] + ws[1])
        self.assertEqual(len({*ports, 9000}), len(ports) + 1)
        self.assertLessEqual(max(ports, default=0), 65535)
