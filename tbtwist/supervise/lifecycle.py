"""One worker's life, as a table: what may happen in which state, and what follows.

Pure: processes, sockets and the clock are behind `Hands` and ``IReactorTime``.

==========  ====================================================================
state       leaves it when
==========  ====================================================================
stopped     ``spawn`` → starting
starting    ``ready`` → running; too late → condemned
running     ``stopping`` (unasked) → leaving; silent → condemned
leaving     it drains by itself; too slow → condemned
condemned   it is killed in a moment, its end is still to be reported
draining    asked to stop; killed when it takes too long → stopped
backoff     ``backoff_over`` → starting
failed      it died too often; ``stop_requested`` → stopped
==========  ====================================================================

The end of the process leads from every state with a process to backoff
(``exited``) or failed (``exhausted``), and from draining to stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import attrs
from automat import TypeMachineBuilder
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tbtwist.status import WorkerState
from tbtwist.supervise.policy import Policy

_CHECKS_PER_SILENCE: Final = 4
_LAST_WORDS_S: Final = 0.5
"""How long a process that is going to be killed has to say what it was doing."""


class Hands(Protocol):
    """What a life needs done in the world."""

    def spawn(self) -> None:
        """Start the process; its end, or that it cannot start, is reported later."""

    def terminate(self) -> None:
        """Ask the process to drain and leave (SIGTERM)."""

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""

    def examine(self) -> None:
        """Have the process say what it is doing; it may not be able to."""

    def entered(self, state: WorkerState) -> None:
        """Learn that the worker is now in ``state``."""


class _Inputs(Protocol):
    """What can happen to a worker."""

    def spawn(self) -> None: ...
    def ready(self) -> None: ...
    def stopping(self) -> None: ...
    def exited(self) -> None: ...
    def exhausted(self) -> None: ...
    def stop_requested(self, kill_after_s: float) -> None: ...
    def backoff_over(self) -> None: ...
    def start_timed_out(self) -> None: ...
    def went_silent(self) -> None: ...
    def drain_timed_out(self) -> None: ...


@attrs.define(eq=False)
class _Life:
    """What a worker's states share; at most one timer runs at a time."""

    clock: IReactorTime
    policy: Policy
    hands: Hands
    state: WorkerState = "stopped"
    verdict: str = ""
    ready_at: float | None = None
    quick_deaths: int = 0
    backoff_s: float = 0.0
    missed_checks: int = 0
    timer: IDelayedCall | None = None

    def enter(self, state: WorkerState) -> None:
        self.disarm()
        self.state = state
        self.hands.entered(state)

    def disarm(self) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        self.timer = None

    def arm(self, delay_s: float, then: Callable[[], None]) -> None:
        self.disarm()
        self.timer = self.clock.callLater(delay_s, then)

    def condemn(self, verdict: str) -> None:
        self.verdict = verdict
        self.disarm()
        if self.state != "draining":
            self.enter("draining")
        self.hands.examine()
        self.arm(_LAST_WORDS_S, self.hands.kill)

    def note_death(self) -> bool:
        """Count a death; whether the worker deserves another start."""
        lived = 0.0 if self.ready_at is None else self.clock.seconds() - self.ready_at
        if self.ready_at is not None and lived >= self.policy.stable_after_s:
            self.quick_deaths = 0
        self.quick_deaths += 1
        return self.quick_deaths <= self.policy.max_restart_attempts


_machine = TypeMachineBuilder(_Inputs, _Life)
_stopped = _machine.state("stopped")
_starting = _machine.state("starting")
_running = _machine.state("running")
_leaving = _machine.state("leaving")
_condemned = _machine.state("condemned")
_draining = _machine.state("draining")
_backoff = _machine.state("backoff")
_failed = _machine.state("failed")


@_stopped.upon(_Inputs.spawn).to(_starting)
@_backoff.upon(_Inputs.backoff_over).to(_starting)
def _launch(inputs: _Inputs, life: _Life) -> None:
    life.verdict = ""
    life.ready_at = None
    life.enter("starting")
    life.arm(life.policy.start_timeout_s, inputs.start_timed_out)
    life.hands.spawn()


@_starting.upon(_Inputs.ready).to(_running)
def _come_up(inputs: _Inputs, life: _Life) -> None:
    life.ready_at = life.clock.seconds()
    life.missed_checks = 0
    life.enter("running")
    _watch(inputs, life)


def _watch(inputs: _Inputs, life: _Life) -> None:
    """Count checks without a word in between.

    Several checks, not one long timer: after the machine slept or the manager
    was held up, the first check comes at once and must not condemn anybody.
    """
    if life.policy.silence_s <= 0:
        return

    def check() -> None:
        life.missed_checks += 1
        if life.missed_checks > _CHECKS_PER_SILENCE:
            inputs.went_silent()
        else:
            _watch(inputs, life)

    life.arm(life.policy.silence_s / _CHECKS_PER_SILENCE, check)


@_starting.upon(_Inputs.start_timed_out).to(_condemned)
def _too_late(_inputs: _Inputs, life: _Life) -> None:
    life.condemn(f"not ready within {life.policy.start_timeout_s:g} s")


@_running.upon(_Inputs.went_silent).to(_condemned)
def _too_silent(_inputs: _Inputs, life: _Life) -> None:
    life.condemn(f"said nothing for {life.policy.silence_s:g} s")


@_leaving.upon(_Inputs.drain_timed_out).to(_condemned)
def _too_slow(_inputs: _Inputs, life: _Life) -> None:
    life.condemn(f"did not finish draining within {life.policy.drain_timeout_s:g} s")


@_starting.upon(_Inputs.stopping).to(_leaving)
@_running.upon(_Inputs.stopping).to(_leaving)
def _leave(inputs: _Inputs, life: _Life) -> None:
    life.enter("draining")
    life.arm(life.policy.kill_after_s, inputs.drain_timed_out)


@_starting.upon(_Inputs.stop_requested).to(_draining)
@_running.upon(_Inputs.stop_requested).to(_draining)
def _drain(inputs: _Inputs, life: _Life, kill_after_s: float) -> None:
    life.enter("draining")
    life.hands.terminate()
    life.arm(kill_after_s, inputs.drain_timed_out)


@_condemned.upon(_Inputs.stop_requested).to(_draining)
def _end_now(inputs: _Inputs, life: _Life, kill_after_s: float) -> None:
    life.hands.kill()
    life.arm(kill_after_s, inputs.drain_timed_out)


@_leaving.upon(_Inputs.stop_requested).to(_draining)
@_draining.upon(_Inputs.stop_requested).loop()
def _wait_for_end(inputs: _Inputs, life: _Life, kill_after_s: float) -> None:
    """It drains already: a second SIGTERM would make it drop what it has."""
    life.arm(kill_after_s, inputs.drain_timed_out)


@_draining.upon(_Inputs.drain_timed_out).loop()
def _end_it(_inputs: _Inputs, life: _Life) -> None:
    life.verdict = "killed: it did not stop in time"
    life.hands.kill()


@_draining.upon(_Inputs.exited).to(_stopped)
@_draining.upon(_Inputs.exhausted).to(_stopped)
def _ended(_inputs: _Inputs, life: _Life) -> None:
    life.enter("stopped")


@_backoff.upon(_Inputs.stop_requested).to(_stopped)
@_failed.upon(_Inputs.stop_requested).to(_stopped)
@_stopped.upon(_Inputs.stop_requested).loop()
def _rest(_inputs: _Inputs, life: _Life, kill_after_s: float) -> None:  # noqa: ARG001
    if life.state != "stopped":
        life.enter("stopped")


@_starting.upon(_Inputs.exited).to(_backoff)
@_running.upon(_Inputs.exited).to(_backoff)
@_leaving.upon(_Inputs.exited).to(_backoff)
@_condemned.upon(_Inputs.exited).to(_backoff)
def _back_off(inputs: _Inputs, life: _Life) -> None:
    life.backoff_s = life.policy.backoff_s(life.quick_deaths)
    life.enter("backoff")
    life.arm(life.backoff_s, inputs.backoff_over)


@_starting.upon(_Inputs.exhausted).to(_failed)
@_running.upon(_Inputs.exhausted).to(_failed)
@_leaving.upon(_Inputs.exhausted).to(_failed)
@_condemned.upon(_Inputs.exhausted).to(_failed)
def _give_up(_inputs: _Inputs, life: _Life) -> None:
    life.enter("failed")


for _state in (_running, _leaving, _condemned, _draining):
    _state.upon(_Inputs.ready).loop().returns(None)
for _state in (_leaving, _condemned, _draining):
    _state.upon(_Inputs.stopping).loop().returns(None)

_build = _machine.build()


class Lifecycle:
    """One worker's life: reports go in, `Hands` are told what to do."""

    def __init__(self, clock: IReactorTime, policy: Policy, hands: Hands) -> None:
        self._life = _Life(clock, policy, hands)
        self._machine = _build(self._life)

    @property
    def state(self) -> WorkerState:
        """Return the state as an operator sees it."""
        return self._life.state

    @property
    def verdict(self) -> str:
        """Return why we killed the process, or the empty string if we did not."""
        return self._life.verdict

    @property
    def backoff_s(self) -> float:
        """Return how long the last wait before a restart is."""
        return self._life.backoff_s

    @property
    def quick_deaths(self) -> int:
        """Return how often in a row it died young."""
        return self._life.quick_deaths

    def adopt(self, policy: Policy) -> None:
        """Be as patient as ``policy`` from the next timer on."""
        self._life.policy = policy

    def spawn(self) -> None:
        """Start a worker that was never started or has been stopped."""
        self._machine.spawn()

    def ready(self) -> None:
        """Take note: it serves."""
        self._machine.ready()

    def stopping(self) -> None:
        """Take note: it drains, whoever asked it to."""
        self._machine.stopping()

    def heard(self) -> None:
        """Take note: it gave a sign of life."""
        self._life.missed_checks = 0

    def exited(self) -> None:
        """Take note: the process is gone, or could not be started."""
        if self._life.note_death():
            self._machine.exited()
        else:
            self._machine.exhausted()

    def stop(self, kill_after_s: float) -> None:
        """Drain and stop; kill it after ``kill_after_s``. Again: a new deadline."""
        self._machine.stop_requested(kill_after_s)

    def hurry(self, kill_after_s: float) -> None:
        """If it drains, kill it after ``kill_after_s``, unless that is due sooner."""
        life = self._life
        if life.state != "draining":
            return
        latest = life.clock.seconds() + kill_after_s
        timer = life.timer
        if timer is None or not timer.active() or timer.getTime() > latest:
            self.stop(kill_after_s)
