"""The whole supervisor, without a process, a socket or a second of waiting."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.errors import AlreadyRunning, CannotBind, ConfigError, DataDirUnusable
from tbtwist.net.runtime import runtime_dir
from tbtwist.status import WorkerStatus
from tbtwist.supervise.keeping import take_workers_lock
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.world import Hooks
from tests.supervise.fakes import (
    Console,
    FakeNetwork,
    FakeProcess,
    FakeReactor,
    fake_world,
)

EVERYBODY = ["broker", "http-1", "http-2", "ws-1"]


class SupervisorCase(SynchronousTestCase):
    """Has a supervisor of one broker, two http workers and one ws worker."""

    def setUp(self) -> None:
        """Make it, in a data directory of its own."""
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.reactor = FakeReactor()
        self.network = FakeNetwork()
        self.console = Console()
        self.supervisor = self.another()

    def another(self, hooks: Hooks | None = None, **sections: Any) -> Supervisor:
        """Return a supervisor for the same data directory."""
        settings = Settings(data_dir=str(self.data_dir), **sections)
        world = fake_world(self.reactor, self.network)
        return Supervisor(settings, world, hooks or self.console.hooks())

    def latest(self, worker_id: str) -> FakeProcess:
        """Return the newest process of a worker."""
        return self.reactor.latest(worker_id)

    def start(self) -> None:
        """Bind and start."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        self.addCleanup(self.end)

    def start_all(self) -> None:
        """Start, and let every worker come up."""
        self.start()
        for worker_id in EVERYBODY:
            self.latest(worker_id).ready()

    def end(self) -> None:
        """Stop whatever runs."""
        stopping = self.supervisor.stop(0)
        self.kill_alive()
        self.successResultOf(stopping)

    def kill_alive(self) -> None:
        """Let every process end, in the order of their start reversed."""
        while self.reactor.alive():
            for process in reversed(self.reactor.processes):
                if process.pid is not None:
                    process.killed()

    def live(self, seconds: int) -> None:
        """Let time pass while everybody gives signs of life."""
        for _ in range(seconds):
            self.reactor.advance(1)
            for process in self.reactor.processes:
                if process.pid is not None:
                    process.tell(WATCHDOG=1)

    def worker(self, worker_id: str) -> WorkerStatus:
        """Return the status of one worker."""
        workers = self.supervisor.status().workers
        return next(each for each in workers if each.id == worker_id)

    def states(self) -> list[str]:
        """Return the state of every worker."""
        return [each.state for each in self.supervisor.status().workers]


class StartTests(SupervisorCase):
    """Coming up."""

    def test_listens_before_anything_starts(self) -> None:
        """All ports are taken before the first process is started."""
        self.supervisor.privilegedStartService()
        self.addCleanup(self.end)
        self.assertEqual(sorted(self.network.open), [8000, 8001, 8010])
        self.assertEqual(self.reactor.processes, [])

    def test_broker_first(self) -> None:
        """The broker comes first; http and ws workers when it is ready, in order."""
        self.start()
        self.assertEqual(self.reactor.alive(), ["broker"])
        self.latest("broker").ready()
        self.assertEqual(self.reactor.alive(), EVERYBODY)

    def test_up_when_all_are_ready(self) -> None:
        """The system is up when every worker has said that it is ready."""
        self.start()
        up = self.supervisor.when_up()
        for worker_id in EVERYBODY:
            self.assertNoResult(up)
            self.latest(worker_id).ready()
        self.assertIsNone(self.successResultOf(up))
        self.assertEqual(self.states(), ["running"] * 4)

    def test_what_a_child_gets(self) -> None:
        """A child gets its slot's listener, the lifeline, and the workers' lock."""
        self.start_all()
        ws = self.latest("ws-1")
        self.assertEqual(ws.env["LISTEN_FDNAMES"], "ws:lifeline:family")
        self.assertEqual(ws.descriptors[3], self.network.open[8010].fileno())
        self.assertEqual(self.latest("broker").env["LISTEN_FDNAMES"], "lifeline:family")
        self.assertEqual(ws.env["HOME"], "/home/ada")

    def test_people_see_every_state(self) -> None:
        """The console hears of every change, in order."""
        self.start_all()
        self.assertEqual(
            self.console.states[:2], [("broker", "starting"), ("broker", "running")]
        )
        self.assertEqual(self.console.states[-1], ("ws-1", "running"))

    def test_people_see_every_line(self) -> None:
        """What a worker writes arrives with the worker's id, and is kept."""
        self.start_all()
        self.latest("http-2").writes(b"hello\n")
        self.assertEqual(self.console.lines, [("http-2", "hello")])
        self.assertEqual(self.supervisor.last_lines("http-2"), ("hello",))
        self.assertEqual(self.supervisor.last_lines("http-9"), ())

    def test_broken_console(self) -> None:
        """A console that breaks does not keep workers from starting."""

        def broken(_status: WorkerStatus) -> None:
            raise BrokenPipeError

        self.supervisor = self.another(Hooks(changed=broken))
        self.start_all()
        self.assertEqual(self.states(), ["running"] * 4)
        self.end()
        self.assertGreater(len(self.flushLoggedErrors(BrokenPipeError)), 0)

    def test_any_free_port(self) -> None:
        """Port 0 gives every worker a port of its own, and the status names it."""
        self.supervisor = self.another(
            http_worker=HttpWorker(port=0), ws_worker=WsWorker(port=0)
        )
        self.start_all()
        ports = [each.port for each in self.supervisor.status().workers[1:]]
        self.assertEqual(ports, sorted(self.network.open))

    def test_broker_given_up(self) -> None:
        """If the broker never comes up, the others are started all the same."""
        self.start()
        while self.worker("broker").state != "failed":
            self.latest("broker").exits(1)
            self.live(10)
        self.assertEqual(self.reactor.alive(), EVERYBODY[1:])

    def test_unserved_ports_refuse(self) -> None:
        """While the broker does not come up, clients are refused, not left waiting."""
        self.start()
        self.latest("broker").exits(1)
        self.assertEqual(list(self.network.open), [])
        self.reactor.advance(0.3)
        self.latest("broker").ready()
        self.assertEqual(sorted(self.network.open), [8000, 8001, 8010])


class RefusedStartTests(SupervisorCase):
    """What keeps a manager from starting."""

    def refused(self, kind: type[Exception]) -> str:
        """Try to start; return why not, having checked that nothing was started."""
        error = self.assertRaises(kind, self.supervisor.privilegedStartService)
        self.assertEqual(self.reactor.processes, [])
        return str(error)

    def test_port_taken(self) -> None:
        """A port that is taken is an error before anything starts, and frees the rest."""
        self.network.taken_by_others.add(8001)
        error = self.refused(CannotBind)
        self.assertIn("127.0.0.1:8001", error)
        self.assertEqual(list(self.network.open), [])
        self.network.taken_by_others.clear()
        self.start_all()
        self.assertEqual(self.states(), ["running"] * 4)

    def test_ports_collide(self) -> None:
        """Settings whose ports collide are refused."""
        self.supervisor = self.another(http_worker=HttpWorker(workers=11))
        self.refused(ConfigError)

    def test_one_manager(self) -> None:
        """A second manager of the same data directory learns who the first is."""
        self.start_all()
        second = self.another(manager=Manager(web_ui_port=0))
        error = self.assertRaises(AlreadyRunning, second.privilegedStartService)
        self.assertEqual(error.pid, 42)

    def test_damaged_data_directory(self) -> None:
        """A data directory that cannot be used is named."""
        (self.data_dir / "generations.json").write_text("?")
        error = self.refused(DataDirUnusable)
        self.assertIn(str(self.data_dir), error)

    def test_side_by_side(self) -> None:
        """Two managers with different data directories do not disturb each other."""
        self.start_all()
        other_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, other_dir)
        settings = Settings(
            data_dir=str(other_dir),
            http_worker=HttpWorker(port=8100),
            ws_worker=WsWorker(port=8110),
        )
        other = Supervisor(settings, fake_world(self.reactor, self.network), Hooks())
        other.startService()
        self.latest("broker").ready()
        self.assertEqual(len(self.reactor.alive()), 8)
        stopping = other.stopService()
        for process in self.reactor.processes[4:]:
            if process.pid is not None and process.worker_id != "broker":
                process.exits(0)
        self.latest("broker").exits(0)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), ["running"] * 4)


class RestartTests(SupervisorCase):
    """Keeping workers alive."""

    def flap(self, worker_id: str, deaths: int) -> None:
        """Let a worker die so many times, coming back in between."""
        for _ in range(deaths):
            self.latest(worker_id).exits(1)
            self.live(10)

    def test_killed_worker_comes_back(self) -> None:
        """A killed worker is replaced in its slot, on its port, as a new generation."""
        self.start_all()
        before = self.worker("http-1")
        self.latest("http-1").killed()
        self.assertEqual(self.worker("http-1").state, "backoff")
        self.reactor.advance(0.25)
        self.latest("http-1").ready()
        after = self.worker("http-1")
        self.assertEqual((after.state, after.port), ("running", before.port))
        self.assertEqual((before.generation, after.generation), (1, 2))
        self.assertEqual((before.restarts, after.restarts), (0, 1))
        assert after.last_exit is not None
        self.assertEqual(after.last_exit.reason, "killed by SIGKILL")
        self.assertEqual(after.last_exit.signal, "SIGKILL")

    def test_others_are_left_alone(self) -> None:
        """Nobody else is disturbed when a worker, even the broker, is replaced."""
        self.start_all()
        self.latest("broker").killed()
        self.reactor.advance(0.3)
        self.assertEqual(
            [p.worker_id for p in self.reactor.processes], [*EVERYBODY, "broker"]
        )

    def test_listener_stays(self) -> None:
        """During a short restart connections wait in the kernel's queue."""
        self.start_all()
        listener = self.network.open[8000]
        self.latest("http-1").killed()
        self.reactor.advance(0.3)
        self.assertIs(self.network.open[8000], listener)
        self.assertEqual(self.latest("http-1").descriptors[3], listener.fileno())

    def test_long_outage_refuses(self) -> None:
        """A slot that nobody serves for 2 s refuses; it listens again for the next start."""
        self.start_all()
        for _ in range(2):
            self.latest("http-1").exits(1)
            self.assertIn(8000, self.network.open)
            self.reactor.advance(1)
        self.latest("http-1").exits(1)
        self.assertNotIn(8000, self.network.open)
        self.assertIn(8001, self.network.open)
        self.reactor.advance(2)
        self.latest("http-1").ready()
        self.assertEqual(
            self.latest("http-1").descriptors[3], self.network.open[8000].fileno()
        )

    def test_recovered_slot_has_its_two_seconds_again(self) -> None:
        """Once a worker was ready, a short restart keeps the listener again."""
        self.start_all()
        self.latest("http-1").killed()
        self.reactor.advance(1.9)
        self.latest("http-1").ready()
        self.reactor.advance(5)
        self.latest("http-1").killed()
        self.assertIn(8000, self.network.open)

    def test_flapping_worker_is_given_up(self) -> None:
        """A worker that dies again and again is failed, refuses, and says why."""
        self.start_all()
        self.flap("http-1", 6)
        failed = self.worker("http-1")
        self.assertEqual(failed.state, "failed")
        self.assertEqual(failed.detail, "gave up: it died 6 times in a row")
        assert failed.last_exit is not None
        self.assertEqual(failed.last_exit.reason, "exit status 1")
        self.assertNotIn(8000, self.network.open)
        self.assertEqual(self.states(), ["running", "failed", "running", "running"])

    def test_up_with_a_failed_worker(self) -> None:
        """The start is over when a worker was given up; the others serve."""
        self.start()
        up = self.supervisor.when_up()
        for worker_id in ("broker", "http-1", "ws-1"):
            self.latest(worker_id).ready()
        self.flap("http-2", 6)
        self.successResultOf(up)

    def test_port_lost_meanwhile(self) -> None:
        """If somebody takes the port during an outage, the slot waits and says so."""
        self.start_all()
        self.flap("http-1", 3)
        self.latest("http-1").exits(1)
        self.network.taken_by_others.add(8000)
        self.reactor.advance(2)
        waiting = self.worker("http-1")
        self.assertEqual(waiting.state, "backoff")
        assert waiting.last_exit is not None
        self.assertIn("127.0.0.1:8000", waiting.last_exit.reason)
        self.network.taken_by_others.clear()
        self.reactor.advance(5)
        self.latest("http-1").ready()
        self.assertEqual(self.worker("http-1").state, "running")

    def test_never_ready(self) -> None:
        """A worker that is not ready in 30 s is killed and started again."""
        self.start()
        self.latest("broker").ready()
        self.reactor.advance(30)
        process = self.latest("http-1")
        self.assertEqual(process.signals, ["KILL"])
        process.killed()
        last_exit = self.worker("http-1").last_exit
        assert last_exit is not None
        self.assertEqual(last_exit.reason, "not ready within 30 s")

    def test_silent_worker(self) -> None:
        """A worker that no longer gives signs of life is killed; talkers are not."""
        self.start_all()
        for _ in range(6):
            self.reactor.advance(5)
            for worker_id in ("broker", "http-2", "ws-1"):
                self.latest(worker_id).tell(WATCHDOG=1)
        self.assertEqual(self.latest("http-1").signals, ["KILL"])
        self.assertEqual(self.latest("http-2").signals, [])

    def test_generations_survive(self) -> None:
        """The next manager's workers are of higher generations."""
        self.start_all()
        self.end()
        self.supervisor = self.another()
        self.start_all()
        self.assertEqual(self.worker("http-1").generation, 2)
        self.assertEqual(self.latest("http-1").env["TB_GENERATION"], "2")

    def test_generation_cannot_be_kept(self) -> None:
        """A generation that cannot be written down is not used: the slot waits."""
        self.start_all()
        (self.data_dir / "generations.new").mkdir()
        self.latest("http-1").killed()
        self.reactor.advance(0.3)
        self.assertEqual(self.worker("http-1").state, "backoff")
        (self.data_dir / "generations.new").rmdir()
        self.reactor.advance(1)
        self.assertEqual(self.worker("http-1").generation, 2)

    def test_told_to_drain_by_hand(self) -> None:
        """A worker that somebody drains by hand is shown so, and replaced."""
        self.start_all()
        self.latest("ws-1").tell(STOPPING=1, STATUS="draining")
        self.assertEqual(self.worker("ws-1").state, "draining")
        self.latest("ws-1").exits(0)
        self.reactor.advance(0.3)
        self.assertEqual(self.worker("ws-1").state, "starting")


class StopTests(SupervisorCase):
    """Going down in order."""

    def test_broker_last(self) -> None:
        """Http and ws workers drain together; the broker leaves when they are gone."""
        self.start_all()
        stopping = self.supervisor.stop(10)
        self.assertEqual(self.states(), ["running", "draining", "draining", "draining"])
        for worker_id in ("ws-1", "http-1", "http-2"):
            self.assertEqual(self.latest("broker").signals, [])
            self.assertEqual(self.latest(worker_id).signals, ["TERM"])
            self.latest(worker_id).exits(0)
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.assertNoResult(stopping)
        self.latest("broker").exits(0)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), ["stopped"] * 4)

    def test_nothing_is_left(self) -> None:
        """Afterwards ports, locks, sockets and timers are free."""
        self.start_all()
        self.end()
        self.assertEqual((self.network.open, self.reactor.notify), ({}, {}))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(list(runtime_dir(self.data_dir).iterdir()), [])
        self.supervisor = self.another()
        self.start_all()

    def test_new_clients_are_refused(self) -> None:
        """From the order to stop on, no connection waits in a queue for nobody."""
        self.start_all()
        self.supervisor.stop(10)
        self.assertEqual(list(self.network.open), [])

    def test_ended(self) -> None:
        """Who waits for the end hears of it after who asked for it."""
        self.start_all()
        heard: list[str] = []
        self.supervisor.when_ended().addCallback(lambda _: heard.append("ended"))
        self.supervisor.stop(10).addCallback(lambda _: heard.append("stopped"))
        self.kill_alive()
        self.assertEqual(heard, ["stopped", "ended"])

    def test_stragglers(self) -> None:
        """Who has not left at the deadline is killed; the broker gets a last second."""
        self.start_all()
        stopping = self.supervisor.stop(10)
        self.latest("http-1").exits(0)
        self.reactor.advance(10)
        self.assertEqual(self.latest("http-1").signals, ["TERM"])
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])
        for worker_id in ("http-2", "ws-1"):
            self.latest(worker_id).killed()
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.reactor.advance(1)
        self.assertEqual(self.latest("broker").signals, ["TERM", "KILL"])
        self.latest("broker").killed()
        self.successResultOf(stopping)
        last_exit = self.worker("ws-1").last_exit
        assert last_exit is not None
        self.assertEqual(last_exit.reason, "killed: it did not stop in time")

    def test_hurry(self) -> None:
        """Asked again with less time, the nearer deadline counts for everybody."""
        self.start_all()
        first, second = self.supervisor.stop(60), self.supervisor.stop(1)
        self.reactor.advance(1)
        self.assertEqual(self.latest("http-1").signals, ["TERM", "KILL"])
        self.kill_alive()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_more_time_is_not_given(self) -> None:
        """Asked again with more time, the first deadline still counts."""
        self.start_all()
        self.supervisor.stop(1)
        self.supervisor.stop(60)
        self.reactor.advance(1)
        self.assertEqual(self.latest("http-1").signals, ["TERM", "KILL"])

    def test_stop_while_starting(self) -> None:
        """A system that is coming up can be stopped; nothing more is started."""
        self.start()
        stopping = self.supervisor.stop(10)
        self.assertEqual(self.latest("broker").signals, ["TERM"])
        self.latest("broker").killed()
        self.successResultOf(stopping)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_stop_service(self) -> None:
        """As a service it stops within the time of the settings."""
        self.start_all()
        stopping = self.supervisor.stopService()
        self.reactor.advance(15)
        self.assertEqual(self.latest("ws-1").signals, ["TERM", "KILL"])
        self.kill_alive()
        self.successResultOf(stopping)

    def test_broker_dies_while_workers_drain(self) -> None:
        """A broker that dies during the drain is replaced: workers still need it."""
        self.start_all()
        stopping = self.supervisor.stop(10)
        self.latest("broker").killed()
        self.reactor.advance(0.3)
        self.assertEqual(self.worker("broker").state, "starting")
        self.kill_alive()
        self.successResultOf(stopping)


class PreviousManagerTests(SupervisorCase):
    """Starting while the workers of a killed manager are still leaving."""

    def setUp(self) -> None:
        """Let old workers hold their lock and a port."""
        super().setUp()
        lock = take_workers_lock(self.data_dir, 7)
        assert lock is not None
        self.old_workers = lock
        self.addCleanup(lock.release)
        self.network.taken_by_others.add(8000)

    def test_waits_for_them(self) -> None:
        """It says so, waits for them, and takes the ports when they are gone."""
        self.start()
        self.assertEqual(self.console.lines[0][0], "manager")
        self.assertIn("still leaving", self.console.lines[0][1])
        self.reactor.advance(5)
        self.assertEqual(self.reactor.processes, [])
        self.network.taken_by_others.clear()
        self.old_workers.release()
        self.reactor.advance(0.1)
        self.assertEqual(self.reactor.alive(), ["broker"])
        self.assertEqual(sorted(self.network.open), [8000, 8001, 8010])

    def test_they_never_leave(self) -> None:
        """It does not wait for ever: then the port that is taken is the error."""
        self.start()
        up, ended = self.supervisor.when_up(), self.supervisor.when_ended()
        for _ in range(20):
            self.reactor.advance(1)
        self.failureResultOf(up, CannotBind)
        self.failureResultOf(ended, CannotBind)
        self.assertEqual(self.reactor.processes, [])

    def test_stopped_meanwhile(self) -> None:
        """The wait can be broken off."""
        self.start()
        self.successResultOf(self.supervisor.stop(5))
        self.reactor.advance(60)
        self.assertEqual(self.reactor.processes, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_only_a_lock(self) -> None:
        """If they hold nothing but their lock, it starts after the wait all the same."""
        self.network.taken_by_others.clear()
        self.start()
        for _ in range(20):
            self.reactor.advance(1)
        self.assertEqual(self.reactor.alive(), ["broker"])


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
        self.latest("ws-1").tell(X_CONNECTIONS=5)
        ws, broker = self.worker("ws-1"), self.worker("broker")
        self.assertEqual((ws.connections, ws.requests_total), (5, msgspec.UNSET))
        self.assertIs(broker.connections, msgspec.UNSET)
        self.assertIsNone(self.worker("http-1").requests_total)

    def test_nonsense_is_passed_over(self) -> None:
        """A figure that is no number changes nothing."""
        self.start_all()
        self.latest("ws-1").tell(X_CONNECTIONS="many", X_="", READY="perhaps")
        self.assertIsNone(self.worker("ws-1").connections)

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

    def test_before_the_start(self) -> None:
        """Before it is bound there is a manager, and no workers."""
        self.assertEqual(self.supervisor.status().workers, ())
