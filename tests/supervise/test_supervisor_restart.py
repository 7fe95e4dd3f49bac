"""The supervisor keeps workers alive, without a process or a second of waiting."""

from __future__ import annotations

import os

from tests.supervise.cases import EVERYBODY, SupervisorCase


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

    def test_the_broker_hears_of_an_end(self) -> None:
        """The bus knows of a dead worker at once, though its output is still open."""
        self.start_all()
        pipe = self.latest("broker").descriptors[3]
        victim = self.latest("http-1")
        failure = victim.reaped(None, 9)
        self.assertEqual(os.read(pipe, 99), b"http-1.1\n")
        victim.child.processEnded(failure)

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
        self.assertEqual(process.signals, ["USR2"])
        process.writes(b'  File "shop.py", line 7 in wait\n', 2)
        self.reactor.advance(0.5)
        self.assertEqual(process.signals, ["USR2", "KILL"])
        process.killed()
        last_exit = self.worker("http-1").last_exit
        assert last_exit is not None
        self.assertEqual(last_exit.reason, "not ready within 30 s")
        self.assertEqual(last_exit.lines, ('  File "shop.py", line 7 in wait',))

    def test_silent_worker(self) -> None:
        """A worker that no longer gives signs of life is killed; talkers are not."""
        self.start_all()
        for _ in range(6):
            self.reactor.advance(5)
            for worker_id in ("broker", "http-2", "ws-1"):
                self.latest(worker_id).tell(WATCHDOG=1)
        self.assertEqual(self.latest("http-1").signals, ["USR2", "KILL"])
        self.assertEqual(self.latest("http-2").signals, [])

    def test_story(self) -> None:
        """The last ends are kept, with what was going on, the newest last."""
        self.start_all()
        for number in range(7):
            process = self.latest("http-1")
            process.tell(X_IN_FLIGHT=number)
            process.writes(b"request %d\n" % number)
            process.killed()
            self.reactor.advance(1)
            self.latest("http-1").ready()
            self.live(40)
        exits = self.worker("http-1").exits
        self.assertEqual([end.in_flight for end in exits], [2, 3, 4, 5, 6])
        self.assertEqual(exits[-1].lines, ("request 6",))
        self.assertEqual(self.worker("http-1").last_exit, exits[-1])

    def test_out_of_memory(self) -> None:
        """A kill while the kernel was short of memory is called by its name."""
        self.start_all()
        self.oom_kills = 1
        self.latest("http-1").killed()
        self.latest("http-2").exits(1)
        ends = [self.worker(name).last_exit for name in ("http-1", "http-2")]
        reasons = [end.reason for end in ends if end is not None]
        self.assertEqual(
            reasons,
            ["killed by SIGKILL; the system was out of memory", "exit status 1"],
        )

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
