"""The supervisor comes up, without a process or a second of waiting."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tbtwist.config.schema import HttpWorker, Manager, Settings, WsWorker
from tbtwist.errors import AlreadyRunning, CannotBind, ConfigError, DataDirUnusable
from tbtwist.status import WorkerStatus
from tbtwist.supervise.keeping import take_workers_lock
from tbtwist.supervise.supervisor import Supervisor
from tbtwist.supervise.world import Hooks
from tests.supervise.cases import EVERYBODY, SupervisorCase
from tests.supervise.fakes import (
    fake_world,
)


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
        names = self.latest("broker").env["LISTEN_FDNAMES"]
        self.assertEqual(names, "exits:lifeline:family")
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
