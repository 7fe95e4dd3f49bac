"""``start``, ``stop`` and ``restart`` as people type them."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

import tbtwist
from tbtwist.errors import ControlFailed
from tests.cli.worlds import CliTestCase, FakeManager, status, worker


class StartTests(CliTestCase):
    """``start``."""

    def test_becomes_the_manager(self) -> None:
        """It turns into a twistd process that reads the file that was found."""
        path = self.write_config("http_worker: {port: 8100}")
        self.assertEqual(self.succeed("start"), "")
        (argv,) = self.world.became
        self.assertEqual(argv[0], "/usr/bin/python3")
        self.assertEqual(argv[-3:], ("--console", "--config", str(path)))
        self.assertEqual(self.world.connected, [self.data_dir])

    def test_without_a_file(self) -> None:
        """Without a file it starts with the defaults."""
        self.succeed("start")
        self.assertEqual(self.world.became[0][-1], "--console")
        self.assertTrue(self.data_dir.is_dir())

    def test_same_verbs_under_workers(self) -> None:
        """``tb workers start`` works, with options before and after the verb."""
        self.write_config("", "a.yaml")
        self.succeed("workers", "start", "-c", "a.yaml", "-v")
        self.succeed("-v", "-c", "a.yaml", "workers", "start")
        first, second = self.world.became
        self.assertEqual(first, second)
        expected = ("--verbose", "--config", str(self.world.cwd / "a.yaml"))
        self.assertEqual(first[-3:], expected)

    def test_already_running(self) -> None:
        """If it runs already, that is said and nothing happens."""
        self.world.manager = FakeManager(status())
        self.assertEqual(
            self.succeed("start"),
            "Already running: manager pid 4711, http://127.0.0.1:8000. "
            "Stop it with: tbtwist stop\n",
        )
        self.assertEqual(self.world.became, [])

    def test_wrong_configuration(self) -> None:
        """A wrong configuration is told before anything is started."""
        self.write_config("debug: maybe")
        said = self.fail_with(1, "start")
        self.assertTrue(said.startswith("config.yaml:1:8: debug: expected true or"))
        self.assertEqual(self.world.became, [])
        self.assertEqual(self.world.connected, [])

    def test_warnings(self) -> None:
        """Warnings go to stderr."""
        self.write_config("auth: {jwt_expiry: 5}")
        result = self.run_verb("start")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("Warning: config.yaml:1:8: auth.jwt_expiry", result.stderr)

    def test_demo(self) -> None:
        """``--demo`` uses the bundled configuration."""
        self.succeed("start", "--demo")
        bundled = Path(tbtwist.__file__).parent / "demo" / "config.yaml"
        self.assertEqual(self.world.became[0][-1], str(bundled))

    def test_demo_with_a_file(self) -> None:
        """``--demo`` and ``-c`` exclude each other."""
        said = self.fail_with(2, "start", "--demo", "-c", "x.yaml")
        self.assertIn("leave out -c", said)

    def test_manager_that_cannot_answer(self) -> None:
        """A manager that is there but does not answer is an error, not a second one."""
        self.world.manager = FakeManager(ControlFailed(reason="no answer"))
        said = self.fail_with(1, "start")
        self.assertEqual(said, "The manager did not do it: no answer.\n")
        self.assertEqual(self.world.became, [])


class DaemonTests(CliTestCase):
    """``start --daemon``."""

    def test_serves(self) -> None:
        """It comes back with the address and the table when everything runs."""
        absent = FakeManager().answers[0]
        self.world.manager = FakeManager(absent, status(worker("http-1")))
        said = self.succeed("start", "--daemon")
        self.assertTrue(said.startswith("Serving on http://127.0.0.1:8000\n"))
        self.assertNotIn("Web UI", said)
        self.assertIn("\nhttp-1  http", said)
        self.assertEqual(self.world.spawned[0][-1], "--files")
        self.assertEqual(self.world.became, [])

    def test_web_ui(self) -> None:
        """With a web UI, a link that lets a browser in is printed."""
        absent = FakeManager().answers[0]
        running = status(worker("http-1"))
        manager = structs.replace(running.manager, ui_url="http://127.0.0.1:9000")
        full = structs.replace(running, manager=manager)
        self.world.manager = FakeManager(absent, full)
        said = self.succeed("start", "--daemon")
        self.assertIn("Web UI: http://127.0.0.1:9000/#login=once (works once)", said)

    def test_dies(self) -> None:
        """If the manager dies, its last sentence is told."""
        self.world.child.code = 1
        self.world.on_spawn = lambda log: log.write(b"Port 8000 is taken.")
        said = self.fail_with(1, "start", "-d")
        log = self.data_dir / "logs" / "manager.out"
        self.assertEqual(
            said, f"The manager ended (code 1): Port 8000 is taken. (log: {log})\n"
        )

    def test_not_ready(self) -> None:
        """If a worker does not come up, it is named, and what can be done."""
        self.write_config("manager: {start_timeout_s: 3}")
        absent = FakeManager().answers[0]
        self.world.manager = FakeManager(absent, status(worker("ws-1", "starting")))
        said = self.fail_with(1, "start", "-d")
        self.assertIn("Not everything runs: ws-1 is starting. The manager goes", said)
        self.assertGreaterEqual(self.world.paused_s, 3)


class StopTests(CliTestCase):
    """``stop`` and ``restart``."""

    def test_stop(self) -> None:
        """It says what was stopped."""
        self.world.manager = FakeManager(status(worker("http-1"), worker("http-2")))
        self.assertEqual(
            self.succeed("stop"), "Stopped: http-1, http-2, manager (pid 4711).\n"
        )
        self.assertEqual(self.world.manager.stopped, [15.0])

    def test_timeout(self) -> None:
        """``--timeout`` goes before the configuration, also when it is zero."""
        self.world.manager = FakeManager(status())
        self.succeed("stop", "--timeout", "0")
        self.assertEqual(self.world.manager.stopped, [0.0])

    def test_bad_timeout(self) -> None:
        """A timeout that is none is wrong usage."""
        self.fail_with(2, "stop", "--timeout", "-1")

    def test_no_manager(self) -> None:
        """Without a manager the exit code is 3, with a friendly sentence."""
        said = self.fail_with(3, "stop")
        self.assertIn("No manager is running", said)
        self.assertIn("tbtwist start", said)
        self.assertFalse(self.data_dir.exists())

    def test_stays(self) -> None:
        """If it does not go away, that is a failure."""
        self.world.manager = FakeManager(status())
        self.world.manager.after_stop = [status()]
        self.assertIn("is still there", self.fail_with(1, "stop"))

    def test_restart(self) -> None:
        """``restart`` stops, then starts."""
        self.world.manager = FakeManager(status(worker("http-1")))
        said = self.succeed("restart", "--timeout", "2")
        self.assertEqual(said, "Stopped: http-1, manager (pid 4711).\n")
        self.assertEqual(self.world.manager.stopped, [2.0])
        self.assertEqual(len(self.world.became), 1)

    def test_restart_of_nothing(self) -> None:
        """``restart`` starts when nothing runs."""
        self.assertEqual(self.succeed("restart"), "No manager was running.\n")
        self.assertEqual(len(self.world.became), 1)

    def test_restart_with_a_wrong_configuration(self) -> None:
        """A wrong configuration stops nothing."""
        self.write_config("debug: maybe")
        self.world.manager = FakeManager(status())
        self.fail_with(1, "restart")
        self.assertEqual(self.world.manager.stopped, [])
