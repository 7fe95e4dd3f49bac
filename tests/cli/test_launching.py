"""How a manager is started, watched and stopped."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.cli.launching import (
    Died,
    NotReady,
    Running,
    judge,
    last_sentence,
    log_file,
    manager_argv,
    start_in_background,
    stop_manager,
)
from tbtwist.errors import ControlFailed, NoManager
from tbtwist.status import LastExit
from tests.cli.worlds import CliTestCase, FakeManager, status, worker

_ARGV = ("python", "-c", "pass")


class ArgvTests(SynchronousTestCase):
    """The manager's command line."""

    def test_without_a_file(self) -> None:
        """It is one twistd process in the foreground, without a pid file."""
        self.assertEqual(
            manager_argv("/py", None, verbose=False),
            (
                "/py",
                "-c",
                "from twisted.scripts.twistd import run; run()",
                "-n",
                "--pidfile=",
                "tbworkers",
                "--role=manager",
                "--console",
            ),
        )

    def test_with_a_file(self) -> None:
        """The file and the wish for more words are handed on."""
        argv = manager_argv("/py", Path("/a b.yaml"), verbose=True)
        self.assertEqual(argv[-3:], ("--verbose", "--config", "/a b.yaml"))

    def test_in_the_background(self) -> None:
        """What a terminal would show is logged, in the format that was asked for."""
        argv = manager_argv(
            "/py", None, verbose=False, background=True, log_format="json"
        )
        self.assertEqual(argv[-2:], ("--files", "--log-format=json"))


class JudgeTests(SynchronousTestCase):
    """Whether everything runs."""

    def test_running(self) -> None:
        """It does when every worker is running."""
        found = status(worker("http-1"), worker("http-2"))
        self.assertEqual(judge(found), Running(found))

    def test_not_yet(self) -> None:
        """Those that are not are named, with the reason where there is one."""
        found = status(
            worker("http-1"),
            worker("http-2", "starting"),
            worker("http-3", "backoff", "again in 1 s"),
        )
        reason = "http-2 is starting, http-3 is backoff (again in 1 s)"
        self.assertEqual(judge(found), NotReady(reason))

    def test_no_workers_yet(self) -> None:
        """No worker at all is not ready."""
        self.assertEqual(judge(status()), NotReady("no worker has been started yet"))

    def test_failed(self) -> None:
        """A worker that was given up makes waiting pointless, and its exit is told."""
        failed = worker("http-1", "failed")
        exited = LastExit(at="", code=1, signal=None, reason="no module shop")
        failed = type(failed)(
            id="http-1", role="http", state="failed", generation=5, last_exit=exited
        )
        found = judge(status(failed, worker("http-2", "starting")))
        reason = "http-1 is failed (no module shop)"
        self.assertEqual(found, NotReady(reason, final=True))


class BackgroundTests(CliTestCase):
    """``start --daemon``."""

    def start(self, timeout_s: float = 1.0) -> Running | Died | NotReady:
        """Start in the background."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        return start_in_background(self.world, _ARGV, self.data_dir, timeout_s)

    def test_waits_until_all_run(self) -> None:
        """It comes back when the last worker runs, not before."""
        ready = status(worker("http-1"))
        self.world.manager = FakeManager(
            NoManager(data_dir="/data"),
            ControlFailed(reason="busy"),
            status(worker("http-1", "starting")),
            ready,
        )
        self.assertEqual(self.start(), Running(ready))
        self.assertEqual(self.world.spawned, [_ARGV])
        self.assertGreater(self.world.paused_s, 0)

    def test_log(self) -> None:
        """The manager writes to a log of ours alone, after what stands there."""
        self.world.on_spawn = lambda log: log.write(b"hello\n")
        self.world.manager = FakeManager(status(worker("http-1")))
        self.start()
        self.start()
        log = log_file(self.data_dir)
        self.assertEqual(log.read_text(), "hello\nhello\n")
        self.assertEqual(log.stat().st_mode & 0o777, 0o600)
        self.assertEqual(log.parent.stat().st_mode & 0o777, 0o700)

    def test_log_has_an_end(self) -> None:
        """What many managers have written there is no burden for ever."""
        log = log_file(self.data_dir)
        log.parent.mkdir(parents=True)
        log.write_bytes(b"x" * 2_000_000)
        self.world.on_spawn = lambda out: out.write(b"hello\n")
        self.world.manager = FakeManager(status(worker("http-1")))
        self.start()
        self.assertEqual(log.read_text(), "hello\n")

    def test_dies(self) -> None:
        """If the manager dies, its last words are told, not those of an earlier one."""
        log = log_file(self.data_dir)
        log.parent.mkdir(parents=True)
        log.write_text("an old sentence\n")
        self.world.child.code = 1
        self.assertEqual(self.start(), Died(1, "It said nothing."))
        self.world.on_spawn = lambda out: out.write(b"x\nPort taken.\n\n")
        self.assertEqual(self.start(), Died(1, "Port taken."))

    def test_time_is_up(self) -> None:
        """Waiting has an end; the state then is told."""
        self.world.manager = FakeManager(status(worker("http-1", "starting")))
        self.assertEqual(self.start(2.0), NotReady("http-1 is starting"))
        self.assertGreaterEqual(self.world.paused_s, 2.0)

    def test_given_up(self) -> None:
        """A worker that failed for good ends the waiting at once."""
        self.world.manager = FakeManager(status(worker("http-1", "failed")))
        self.assertEqual(self.start(), NotReady("http-1 is failed", final=True))
        self.assertEqual(self.world.paused_s, 0)

    def test_another_manager(self) -> None:
        """The answer of another manager is not taken for ours."""
        self.world.manager = FakeManager(status(worker("http-1"), pid=1))
        self.assertEqual(self.start(), NotReady("another manager answers"))

    def test_silent_manager(self) -> None:
        """A manager that never answers is told."""
        self.assertEqual(self.start(), NotReady("the manager does not answer yet"))

    def test_last_sentence(self) -> None:
        """The last line that is not empty counts; bytes that are no text are shown."""
        log = self.world.cwd / "log"
        log.write_bytes(b"one\n\xff two \n  \n")
        self.assertEqual(last_sentence(log, 0), "\ufffd two")


class StopTests(CliTestCase):
    """``stop``."""

    def stop(self) -> object:
        """Stop the manager."""
        return stop_manager(self.world, self.world.manager, 5.0)

    def test_waits_for_the_process(self) -> None:
        """It comes back when neither socket nor process are there any more."""
        found = status(worker("http-1"))
        self.world.manager = FakeManager(found)
        self.world.manager.after_stop = [
            found,
            ControlFailed(reason="closing"),
            NoManager(data_dir="/data"),
        ]
        self.world.living = 2
        self.assertEqual(self.stop(), found)
        self.assertEqual(self.world.manager.stopped, [5.0])
        self.assertAlmostEqual(self.world.paused_s, 0.4)

    def test_no_manager(self) -> None:
        """Without a manager there is nothing to stop."""
        self.assertRaises(NoManager, self.stop)

    def test_refused(self) -> None:
        """A refusal is told."""
        self.world.manager = FakeManager(status())
        self.world.manager.after_stop = [status()]
        self.world.manager.refusal = ControlFailed(reason="not now")
        self.assertRaises(ControlFailed, self.stop)

    def test_gone_before_it_could_answer(self) -> None:
        """A manager that ends before it answers has stopped nevertheless."""
        self.world.manager = FakeManager(status())
        self.world.manager.refusal = ControlFailed(reason="connection ended")
        self.assertEqual(self.stop(), status())

    def test_stays(self) -> None:
        """Waiting has an end, also when the process stays."""
        self.world.manager = FakeManager(status())
        self.world.living = 10_000
        self.assertIsNone(self.stop())
        self.assertLess(self.world.paused_s, 11)
