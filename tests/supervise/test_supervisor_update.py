"""Updates and scaling, without a process or a second of waiting."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tbtwist.config.schema import HttpWorker, Logging, WsWorker, Zmq
from tbtwist.errors import (
    CannotBind,
    ConfigError,
    ManagerBusy,
    UnknownWorker,
    WorkerNotReady,
)
from tbtwist.status import Role, UpdateStep
from tests.supervise.cases import SupervisorCase
from tests.supervise.fakes import FakeProcess


class UpdateCase(SupervisorCase):
    """A supervisor that was up for a while."""

    def setUp(self) -> None:
        """Start everybody."""
        super().setUp()
        self.steps: list[UpdateStep] = []
        self.start_all()
        self.live(60)

    def update(self, *roles: Role) -> Deferred[None]:
        """Begin an update."""
        return self.supervisor.update(self.steps.append, roles or ("http", "ws"))

    def begin(self, *roles: Role) -> None:
        """Begin an update that the end of the test cuts off."""

        def cut_off(why: Failure) -> None:
            why.trap(CancelledError)

        self.update(*roles).addErrback(cut_off)

    def told(self) -> list[tuple[str, str, int]]:
        """Return the steps that were told, and forget them."""
        told = [(step.worker, step.step, step.generation) for step in self.steps]
        self.steps.clear()
        return told

    def of(self, worker_id: str) -> list[FakeProcess]:
        """Return the living processes of a worker, the oldest first."""
        return [
            process
            for process in self.reactor.processes
            if process.worker_id == worker_id and process.pid is not None
        ]

    def change(self, **sections: object) -> None:
        """Write other settings."""
        self.settings = msgspec.structs.replace(self.settings, **sections)


class RollingTests(UpdateCase):
    """One worker after another is replaced."""

    def replace(self, worker_id: str) -> None:
        """Let the successor get ready and the old one leave."""
        old, new = self.of(worker_id)
        new.ready()
        self.assertEqual((old.signals, new.signals), (["TERM"], []))
        old.exits(0)

    def test_one_after_another(self) -> None:
        """Each new one is ready before its old one leaves, and that before the next."""
        updating = self.update()
        for worker_id in ("http-1", "http-2", "ws-1"):
            self.assertNoResult(updating)
            self.assertEqual(self.states(), ["running"] * 4)
            self.assertEqual(len(self.reactor.alive()), 5)
            self.replace(worker_id)
        self.assertIsNone(self.successResultOf(updating))
        self.assertEqual(
            self.told(),
            [
                (worker_id, step, generation)
                for worker_id in ("http-1", "http-2", "ws-1")
                for step, generation in (
                    ("starting", 2),
                    ("ready", 2),
                    ("draining", 1),
                    ("gone", 1),
                )
            ],
        )
        found = [
            (each.id, each.generation) for each in self.supervisor.status().workers
        ]
        self.assertEqual(
            found, [("broker", 1), ("http-1", 2), ("http-2", 2), ("ws-1", 2)]
        )

    def test_same_listener(self) -> None:
        """Both generations have the listener that was there before."""
        before = self.network.open[8000]
        self.begin("http")
        old, new = self.of("http-1")
        self.assertIs(self.network.open[8000], before)
        self.assertEqual(old.descriptors[3], new.descriptors[3])
        new.ready()
        old.exits(0)
        self.assertIs(self.network.open[8000], before)

    def test_on_trial(self) -> None:
        """Only a successor must prove itself, and not when it comes back later."""
        self.begin("http")
        old, new = self.of("http-1")
        self.assertNotIn("TB_PROBING", old.env)
        self.assertEqual(new.env["TB_PROBING"], "1")
        new.ready()
        old.exits(0)
        new.killed()
        self.reactor.advance(0.3)
        self.assertNotIn("TB_PROBING", self.latest("http-1").env)

    def test_its_end_is_no_accident(self) -> None:
        """The last exit says who took over; it is no restart and no flapping."""
        self.begin("http")
        self.replace("http-1")
        status = self.worker("http-1")
        assert status.last_exit is not None
        self.assertEqual(status.last_exit.reason, "replaced by generation 2")
        self.assertEqual(status.restarts, 0)

    def test_hurry(self) -> None:
        """Whoever was replaced and still drains is hurried with the others."""
        self.begin("http")
        old, new = self.of("http-1")
        new.ready()
        stopping = self.supervisor.stop(60)
        self.supervisor.stop(1)
        self.reactor.advance(1)
        self.assertEqual((old.signals, new.signals), (["TERM", "KILL"], []))
        self.kill_alive()
        self.successResultOf(stopping)

    def test_only_one_role(self) -> None:
        """The others are left alone."""
        updating = self.update("ws")
        self.replace("ws-1")
        self.successResultOf(updating)
        self.assertEqual(len(self.reactor.processes), 5)

    def test_slow_drain_ends(self) -> None:
        """An old one that does not leave in time is killed, and the update goes on."""
        updating = self.update("ws")
        old, new = self.of("ws-1")
        new.ready()
        self.live(60)
        self.assertEqual(old.signals, ["TERM", "KILL"])
        old.killed()
        self.successResultOf(updating)

    def test_rescue(self) -> None:
        """A worker that was given up is replaced as well, and its port comes back."""
        for _ in range(6):
            self.latest("http-1").exits(1)
            self.live(10)
        self.assertNotIn(8000, self.network.open)
        updating = self.update("http")
        self.assertIn(8000, self.network.open)
        self.latest("http-1").ready()
        self.replace("http-2")
        self.successResultOf(updating)
        self.assertEqual(self.states(), ["running"] * 4)


class FailingUpdateTests(UpdateCase):
    """A new version that does not work."""

    def assert_untouched(self, updating: Deferred[None], reason: str) -> None:
        """Assert that the update failed and everybody is as before."""
        error = self.failureResultOf(updating, WorkerNotReady).value
        self.assertEqual((error.worker, error.reason), ("http-1", reason))
        self.assertEqual(self.states(), ["running"] * 4)
        self.assertEqual(
            [w.generation for w in self.supervisor.status().workers], [1] * 4
        )
        self.assertEqual([p.signals for p in self.of("http-1")], [[]])
        self.assertIn(8000, self.network.open)
        self.assertEqual(len(self.reactor.processes), 5)
        self.assertEqual(self.told()[-1], ("http-1", "failed", 2))

    def test_dies_at_once(self) -> None:
        """The first that dies ends the update; it gets no second try."""
        updating = self.update()
        new = self.of("http-1")[1]
        new.writes(b"ImportError: no module named shop\n", 2)
        new.exits(1)
        reason = "exit status 1: ImportError: no module named shop"
        self.assert_untouched(updating, reason)

    def test_never_ready(self) -> None:
        """One that takes too long is killed."""
        updating = self.update()
        new = self.of("http-1")[1]
        self.live(31)
        self.assertEqual(new.signals, ["USR2", "KILL"])
        new.killed()
        self.assert_untouched(updating, "not ready within 30 s")

    def test_cannot_be_started(self) -> None:
        """No process at all is a reason, too."""
        self.reactor.cannot_spawn = OSError(11, "no more processes")
        updating = self.update()
        error = self.failureResultOf(updating, WorkerNotReady).value
        self.assertIn("no more processes", error.reason)
        self.assertEqual(self.states(), ["running"] * 4)

    def test_again(self) -> None:
        """After a failed update the next one may succeed."""
        updating = self.update("ws")
        self.of("ws-1")[1].exits(1)
        self.failureResultOf(updating, WorkerNotReady)
        updating = self.update("ws")
        old, new = self.of("ws-1")
        new.ready()
        old.exits(0)
        self.successResultOf(updating)

    def test_old_one_dies_meanwhile(self) -> None:
        """The old one comes back as ever; then the successor takes over."""
        updating = self.update("ws")
        old, new = self.of("ws-1")
        old.killed()
        self.reactor.advance(0.3)
        again = self.latest("ws-1")
        again.ready()
        new.ready()
        again.exits(0)
        self.successResultOf(updating)
        self.assertEqual((self.worker("ws-1").pid, new.signals), (new.pid, []))

    def test_one_at_a_time(self) -> None:
        """A second order is refused while one is carried out."""
        self.begin()
        for order in (self.update(), self.supervisor.scale("http", 3)):
            error = self.failureResultOf(order, ManagerBusy).value
            self.assertEqual(error.doing, "an update")

    def test_not_while_it_starts(self) -> None:
        """Before everybody was up once there is nothing to replace."""
        self.end()
        self.supervisor = self.another()
        self.start()
        order = self.update()
        self.failureResultOf(order, ManagerBusy)

    def test_stop_in_the_middle(self) -> None:
        """Stopping everything ends an update, and both generations."""
        updating = self.update()
        stopping = self.supervisor.stop(15)
        self.failureResultOf(updating, CancelledError)
        self.kill_alive()
        self.successResultOf(stopping)
        self.assertEqual(self.network.open, {})


class SettingsTests(UpdateCase):
    """An update brings the settings that are in the file now."""

    def test_plan(self) -> None:
        """What would be done is told in words, and not done."""
        self.change(
            http_worker=HttpWorker(workers=3, port=8000), ws_worker=WsWorker(port=8050)
        )
        self.assertEqual(
            self.supervisor.plan(("http", "ws")),
            (
                "replace http-1",
                "replace http-2",
                "replace ws-1, moving to 127.0.0.1:8050",
                "start http-3 on 127.0.0.1:8002",
            ),
        )
        self.assertEqual(len(self.reactor.processes), 4)

    def test_more_workers(self) -> None:
        """A higher number in the file brings another worker."""
        self.change(ws_worker=WsWorker(workers=2))
        updating = self.update("ws")
        old, new = self.of("ws-1")
        new.ready()
        old.exits(0)
        self.latest("ws-2").ready()
        self.successResultOf(updating)
        self.assertEqual(self.worker("ws-2").port, 8011)

    def test_fewer_workers(self) -> None:
        """A lower number lets the last ones go, when the others are new."""
        self.change(http_worker=HttpWorker(workers=1))
        updating = self.update("http")
        old, new = self.of("http-1")
        new.ready()
        old.exits(0)
        self.latest("http-2").exits(0)
        self.successResultOf(updating)
        self.assertEqual(
            [each.id for each in self.supervisor.status().workers],
            ["broker", "http-1", "ws-1"],
        )
        self.assertNotIn(8001, self.network.open)

    def test_another_port(self) -> None:
        """A worker whose port has changed is there on the new one before it leaves."""
        self.change(ws_worker=WsWorker(port=8050))
        updating = self.update("ws")
        self.assertEqual({8010, 8050} - set(self.network.open), set())
        old, new = self.of("ws-1")
        new.ready()
        old.exits(0)
        self.successResultOf(updating)
        self.assertEqual(self.worker("ws-1").port, 8050)
        self.assertNotIn(8010, self.network.open)

    def test_broken_file(self) -> None:
        """Settings that cannot be used change nothing."""
        self.change(http_worker=HttpWorker(workers=100, port=8000))
        self.failureResultOf(self.update(), ConfigError)
        self.assertEqual(len(self.reactor.processes), 4)

    def test_needs_a_restart(self) -> None:
        """What all processes must agree on is refused, with its name."""
        self.change(zmq=Zmq(hwm_send=7))
        error = self.failureResultOf(self.update(), ConfigError).value
        self.assertIn("zmq: this takes effect with tbtwist restart", str(error))

    def test_manager_needs_a_restart(self) -> None:
        """So is what the manager itself has taken at its start."""
        manager = msgspec.structs.replace(self.settings.manager, web_ui_port=9999)
        self.change(manager=manager, logging=Logging(kept_files=3))
        error = self.failureResultOf(self.update(), ConfigError).value
        for key in ("manager.web_ui_port", "logging"):
            self.assertIn(f"{key}: this takes effect with tbtwist restart", str(error))
        self.assertEqual(4, len(self.reactor.processes))


class ScalingTests(UpdateCase):
    """More workers, or fewer."""

    def test_one_more(self) -> None:
        """It gets the next number and port, and its id is told when it serves."""
        starting = self.supervisor.start_worker("http")
        self.assertNoResult(starting)
        self.latest("http-3").ready()
        self.assertEqual(self.successResultOf(starting), "http-3")
        self.assertEqual(self.worker("http-3").port, 8002)
        self.assertEqual(
            [each.id for each in self.supervisor.status().workers],
            ["broker", "http-1", "http-2", "http-3", "ws-1"],
        )

    def test_does_not_come_up(self) -> None:
        """One that is given up is gone again."""
        starting = self.supervisor.start_worker("http")
        for _ in range(6):
            self.latest("http-3").exits(1)
            self.live(10)
        error = self.failureResultOf(starting, WorkerNotReady).value
        self.assertEqual(error.reason, "exit status 1")
        self.assertEqual(self.states(), ["running"] * 4)
        self.assertNotIn(8002, self.network.open)

    def test_port_taken(self) -> None:
        """A port that is not to be had is the reason."""
        self.network.taken_by_others.add(8002)
        self.failureResultOf(self.supervisor.start_worker("http"), CannotBind)
        self.assertEqual(self.states(), ["running"] * 4)

    def test_one_less(self) -> None:
        """A worker drains and leaves, and its number is free for the next."""
        stopping = self.supervisor.stop_worker("http-1")
        self.assertNotIn(8000, self.network.open)
        self.assertEqual(self.latest("http-1").signals, ["TERM"])
        self.latest("http-1").exits(0)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), ["running"] * 3)
        self.supervisor.start_worker("http")
        self.latest("http-1").ready()
        self.assertEqual(self.worker("http-1").port, 8000)

    def test_unknown(self) -> None:
        """Nobody of that name, and the broker, cannot be stopped."""
        for worker_id in ("http-9", "broker"):
            error = self.failureResultOf(
                self.supervisor.stop_worker(worker_id), UnknownWorker
            ).value
            self.assertEqual(error.known, "http-1, http-2, ws-1")

    def test_kill_one(self) -> None:
        """One that is not to be waited for is killed at once."""
        stopping = self.supervisor.stop_worker("http-1", graceful=False)
        self.reactor.advance(0)
        self.assertEqual("KILL", self.latest("http-1").signals[-1])
        self.latest("http-1").killed()
        self.successResultOf(stopping)
        self.assertIsNone(self.supervisor.status().workers[1].last_exit)

    def test_restart_one(self) -> None:
        """One worker gets a successor beside it; the others are left alone."""
        restarting = self.supervisor.restart_worker(self.steps.append, "http-2")
        old, new = self.of("http-2")
        new.ready()
        old.exits(0)
        self.successResultOf(restarting)
        self.assertEqual(["starting", "ready", "draining", "gone"], self.step_names())
        self.assertEqual(5, len(self.reactor.processes))
        self.assertEqual(2, self.worker("http-2").generation)

    def test_restart_one_that_cannot(self) -> None:
        """If the new one does not come up the old one serves on; a broker has no twin."""
        restarting = self.supervisor.restart_worker(self.steps.append, "http-2")
        old, new = self.of("http-2")
        new.exits(1)
        self.failureResultOf(restarting, WorkerNotReady)
        self.assertEqual(([], "running"), (old.signals, self.worker("http-2").state))
        refused = self.supervisor.restart_worker(self.steps.append, "broker")
        self.failureResultOf(refused, UnknownWorker)

    def step_names(self) -> list[str]:
        """Return the names of the steps that were told."""
        return [step.step for step in self.steps]

    def test_scale(self) -> None:
        """Up and down, the last ones first."""
        scaling = self.supervisor.scale("ws", 3)
        self.latest("ws-2").ready()
        self.latest("ws-3").ready()
        self.successResultOf(scaling)
        scaling = self.supervisor.scale("ws", 1)
        self.latest("ws-3").exits(0)
        self.latest("ws-2").exits(0)
        self.successResultOf(scaling)
        self.assertEqual(self.states(), ["running"] * 4)

    def test_update_keeps_the_number(self) -> None:
        """Who has scaled is not undone by an update, unless the file says otherwise."""
        scaling = self.supervisor.scale("ws", 2)
        self.latest("ws-2").ready()
        self.successResultOf(scaling)
        self.assertEqual(
            self.supervisor.plan(("ws",)), ("replace ws-1", "replace ws-2")
        )
        self.change(ws_worker=WsWorker(workers=3))
        self.assertEqual(len(self.supervisor.plan(("ws",))), 3)
