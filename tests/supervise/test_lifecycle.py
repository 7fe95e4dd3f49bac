"""One worker's life, without a process and without waiting."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.status import WorkerState
from tbtwist.supervise.lifecycle import Lifecycle
from tests.supervise.fakes import patient


class RecordingHands:
    """Writes down what it is told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def spawn(self) -> None:
        """Take note."""
        self.done.append("spawn")

    def terminate(self) -> None:
        """Take note."""
        self.done.append("terminate")

    def kill(self) -> None:
        """Take note."""
        self.done.append("kill")

    def examine(self) -> None:
        """Take note."""
        self.done.append("examine")

    def entered(self, state: WorkerState) -> None:
        """Take note."""
        self.done.append(state)


class LifecycleTests(SynchronousTestCase):
    """What may happen in which state, and what follows."""

    def setUp(self) -> None:
        """Have a worker that nobody has started yet."""
        self.clock = Clock()
        self.hands = RecordingHands()
        self.life = Lifecycle(self.clock, patient(), self.hands)

    def running(self) -> None:
        """Bring the worker up and forget what was done for it."""
        self.life.spawn()
        self.life.ready()
        self.hands.done.clear()

    def quick_death(self) -> None:
        """Let the worker come up, die young, and come back."""
        self.life.exited()
        self.clock.advance(self.life.backoff_s)

    def test_comes_up(self) -> None:
        """A started worker is starting until it says that it is ready."""
        self.life.spawn()
        self.assertEqual(self.life.state, "starting")
        self.life.ready()
        self.assertEqual(self.hands.done, ["starting", "spawn", "running"])

    def test_ready_twice(self) -> None:
        """A worker may repeat that it is ready."""
        self.running()
        self.life.ready()
        self.assertEqual(self.hands.done, [])

    def test_killed_worker_is_back_soon(self) -> None:
        """A worker that was killed is started again 0.2 s later."""
        self.running()
        self.life.exited()
        self.assertEqual(self.life.state, "backoff")
        self.clock.advance(0.19)
        self.assertEqual(self.hands.done, ["backoff"])
        self.clock.advance(0.02)
        self.assertEqual(self.hands.done, ["backoff", "starting", "spawn"])

    def test_backoff_doubles(self) -> None:
        """Every quick death in a row doubles the wait before the next start."""
        self.life.spawn()
        waits = []
        for _ in range(4):
            self.life.exited()
            waits.append(self.life.backoff_s)
            self.clock.advance(self.life.backoff_s)
        self.assertEqual(waits, [0.2, 0.4, 0.8, 1.6])

    def test_flapping_worker_is_given_up(self) -> None:
        """After five restarts in vain the sixth quick death is the last."""
        self.life.spawn()
        for _ in range(5):
            self.quick_death()
        self.life.exited()
        self.assertEqual(self.life.state, "failed")
        self.assertEqual(self.life.quick_deaths, 6)
        self.assertEqual(self.hands.done.count("spawn"), 6)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stable_worker_starts_afresh(self) -> None:
        """A worker that served for 30 s has all its attempts again."""
        self.life.spawn()
        for _ in range(5):
            self.quick_death()
        self.life.ready()
        for _ in range(30):
            self.life.heard()
            self.clock.advance(1)
        self.life.exited()
        self.assertEqual((self.life.state, self.life.backoff_s), ("backoff", 0.2))

    def test_long_start_is_not_stability(self) -> None:
        """Time spent starting does not count as having served."""
        self.life.spawn()
        self.quick_death()
        self.clock.advance(29)
        self.life.exited()
        self.assertEqual(self.life.quick_deaths, 2)

    def test_never_ready(self) -> None:
        """A worker that is not ready in time is killed, and it says why."""
        self.life.spawn()
        self.clock.advance(30)
        self.assertEqual(self.hands.done[-1], "examine")
        self.clock.advance(0.5)
        self.assertEqual(self.hands.done[-1], "kill")
        self.assertEqual(self.life.verdict, "not ready within 30 s")
        self.life.exited()
        self.assertEqual(self.life.state, "backoff")

    def test_ready_just_after_the_kill(self) -> None:
        """A worker that was killed for being late stays dead, whatever it says."""
        self.life.spawn()
        self.clock.advance(30)
        self.life.ready()
        self.life.stopping()
        self.assertEqual(self.life.state, "draining")

    def test_silent_worker_is_killed(self) -> None:
        """A ready worker that says nothing for 20 s is killed, and it says why."""
        self.running()
        for _ in range(4):
            self.clock.advance(5)
        self.assertEqual(self.hands.done, [])
        self.clock.advance(5)
        self.clock.advance(0.5)
        self.assertEqual(self.hands.done, ["draining", "examine", "kill"])
        self.assertEqual(self.life.verdict, "said nothing for 20 s")

    def test_heartbeats_keep_it_alive(self) -> None:
        """A worker that gives signs of life is left alone."""
        self.running()
        for _ in range(100):
            self.clock.advance(4)
            self.life.heard()
        self.assertEqual(self.hands.done, [])

    def test_sleeping_machine(self) -> None:
        """When the machine slept for an hour, no worker is killed for its silence."""
        self.running()
        self.clock.advance(3600)
        self.life.heard()
        self.clock.advance(5)
        self.assertEqual(self.hands.done, [])

    def test_silence_may_be_switched_off(self) -> None:
        """Without a health check interval nobody watches."""
        life = Lifecycle(self.clock, patient(silence_s=0), self.hands)
        life.spawn()
        life.ready()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_drains(self) -> None:
        """A worker that is stopped gets SIGTERM, drains, and stays away."""
        self.running()
        self.life.stop(10)
        self.assertEqual(self.hands.done, ["draining", "terminate"])
        self.life.stopping()
        self.life.exited()
        self.assertEqual(self.life.state, "stopped")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_starting(self) -> None:
        """A worker can be stopped before it is ready; becoming ready changes nothing."""
        self.life.spawn()
        self.life.stop(10)
        self.life.ready()
        self.assertEqual(self.life.state, "draining")

    def test_straggler_is_killed(self) -> None:
        """A worker that does not drain in time is killed, and it says why."""
        self.running()
        self.life.stop(10)
        self.clock.advance(10)
        self.assertEqual(self.hands.done, ["draining", "terminate", "kill"])
        self.assertEqual(self.life.verdict, "killed: it did not stop in time")

    def test_hurry(self) -> None:
        """Stopped again with less time, the nearer deadline counts; no second SIGTERM."""
        self.running()
        self.life.stop(10)
        self.life.stop(1)
        self.clock.advance(1)
        self.assertEqual(self.hands.done, ["draining", "terminate", "kill"])

    def test_hurry_only_who_drains(self) -> None:
        """Hurrying stops nobody, and gives nobody more time."""
        self.running()
        self.life.hurry(1)
        self.assertEqual(self.life.state, "running")
        self.life.stop(3)
        self.life.hurry(10)
        self.clock.advance(3)
        self.assertEqual(self.hands.done, ["draining", "terminate", "kill"])

    def test_stop_in_backoff(self) -> None:
        """A worker that waits for its restart is stopped at once, for good."""
        self.running()
        self.life.exited()
        self.life.stop(10)
        self.assertEqual(self.life.state, "stopped")
        self.clock.advance(100)
        self.assertEqual(self.life.state, "stopped")

    def test_stop_when_failed(self) -> None:
        """A worker that was given up is stopped at once."""
        life = Lifecycle(self.clock, patient(max_restart_attempts=0), self.hands)
        life.spawn()
        life.exited()
        self.assertEqual(life.state, "failed")
        life.stop(10)
        self.assertEqual(life.state, "stopped")

    def test_stop_twice(self) -> None:
        """Stopping what is stopped does nothing."""
        self.life.stop(10)
        self.assertEqual(self.hands.done, [])

    def test_draining_unasked(self) -> None:
        """A worker that somebody else told to drain is replaced once it has left."""
        self.running()
        self.life.stopping()
        self.life.stopping()
        self.assertEqual(self.hands.done, ["draining"])
        self.life.exited()
        self.assertEqual(self.life.state, "backoff")

    def test_draining_unasked_for_ever(self) -> None:
        """A worker that drains by itself and never ends is killed."""
        self.running()
        self.life.stopping()
        self.clock.advance(15)
        self.clock.advance(0.5)
        self.assertEqual(self.hands.done, ["draining", "examine", "kill"])
        self.assertEqual(self.life.verdict, "did not finish draining within 10 s")

    def test_stop_while_draining_unasked(self) -> None:
        """Stopping a worker that drains already does not tell it a second time."""
        self.running()
        self.life.stopping()
        self.life.stop(10)
        self.life.exited()
        self.assertEqual(self.hands.done, ["draining", "stopped"])

    def test_stop_while_it_has_its_last_words(self) -> None:
        """Stopping a worker that is about to be killed kills it at once."""
        self.life.spawn()
        self.clock.advance(30)
        self.life.stop(10)
        self.assertEqual(self.hands.done[-1], "kill")
        self.life.exited()
        self.assertEqual(self.life.state, "stopped")

    def test_old_verdict_is_forgotten(self) -> None:
        """Why the last process was killed is not said of the next one."""
        self.life.spawn()
        self.clock.advance(30)
        self.life.exited()
        self.clock.advance(1)
        self.assertEqual(self.life.verdict, "")

    def test_started_again(self) -> None:
        """A worker that was stopped can be started again."""
        self.running()
        self.life.stop(10)
        self.life.exited()
        self.life.spawn()
        self.assertEqual(self.life.state, "starting")

    @given(
        st.lists(st.sampled_from(["ready", "stopping", "heard", "die", "stop", "wait"]))
    )
    def test_never_two_processes(self, events: list[str]) -> None:
        """Whatever happens, there is never more than one process for a worker."""
        clock, hands = Clock(), RecordingHands()
        life = Lifecycle(clock, patient(), hands)
        life.spawn()
        ends = 0
        for event in events:
            alive = hands.done.count("spawn") - ends
            self.assertIn(alive, (0, 1))
            self.assertEqual(alive, life.state in {"starting", "running", "draining"})
            if event == "wait":
                clock.advance(40)
            elif event == "stop":
                life.stop(5)
            elif alive and event == "die":
                ends += 1
                life.exited()
            elif alive:
                getattr(life, event)()

    @given(st.lists(st.sampled_from(["ready", "stopping", "die", "wait"])))
    def test_can_always_be_stopped(self, events: list[str]) -> None:
        """Whatever happened, stop leads to stopped, and nothing is left to do."""
        clock, hands = Clock(), RecordingHands()
        life = Lifecycle(clock, patient(), hands)
        life.spawn()
        for event in events:
            alive = life.state in {"starting", "running", "draining"}
            actions: dict[str, Any] = {
                "ready": life.ready,
                "stopping": life.stopping,
                "die": life.exited,
            }
            if event == "wait":
                clock.advance(1)
            elif alive:
                actions[event]()
        life.stop(5)
        if life.state == "draining":
            life.exited()
        self.assertEqual(life.state, "stopped")
        self.assertEqual(clock.getDelayedCalls(), [])
