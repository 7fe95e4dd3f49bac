"""What is done to the manager, by whom, and what came of it.

`Actor` is a `ManagerPort` for one caller: the command line, a program, a browser.
Everything that it changes becomes an `Action`, which the page shows live and the
audit log keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar

import attrs
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tbtwist.boundaries import ManagerPort
from tbtwist.status import Role, Status, UpdateStep

T = TypeVar("T")

_KEPT: Final = 50
_MOST_STEPS: Final = 2000
ActionState = Literal["running", "done", "failed"]


class Action(msgspec.Struct, kw_only=True):
    """Something that was asked for; ``error`` is why it failed, in words."""

    id: int
    what: str
    who: str
    at: float
    state: ActionState = "running"
    error: str = ""
    ended_at: float | None = None
    steps: list[UpdateStep] = []


class Actions:
    """The last 50 actions. ``listeners`` get each one at every change."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._number = 0
        self.latest: deque[Action] = deque(maxlen=_KEPT)
        self.listeners: list[Callable[[Action], None]] = []

    def find(self, number: int) -> Action | None:
        """Return the action with this id, unless it is forgotten."""
        return next((each for each in self.latest if each.id == number), None)

    def begin(self, what: str, who: str) -> Action:
        """Take note of what somebody wants."""
        self._number += 1
        action = Action(id=self._number, what=what, who=who, at=self._now())
        self.latest.append(action)
        self._tell(action)
        return action

    def step(self, action: Action, step: UpdateStep) -> None:
        """Take note of how far it has come."""
        if len(action.steps) < _MOST_STEPS:
            action.steps.append(step)
        self._tell(action)

    def end(self, action: Action, failure: Failure | None = None) -> None:
        """Take note of its outcome."""
        action.ended_at = self._now()
        action.state = "done" if failure is None else "failed"
        if failure is not None:
            given_up = failure.check(CancelledError) is not None
            action.error = "given up" if given_up else _words(failure)
        self._tell(action)

    def _tell(self, action: Action) -> None:
        for listener in self.listeners:
            listener(action)


def _words(failure: Failure) -> str:
    text = failure.getErrorMessage()
    return text if text else str(failure.type.__name__ if failure.type else "it failed")


@attrs.frozen(eq=False)
class Actor:
    """A `ManagerPort` whose changes are ``who``'s actions."""

    port: ManagerPort
    actions: Actions
    who: str

    def status(self) -> Status:
        """As `ManagerPort.status`."""
        return self.port.status()

    def plan(self, roles: Sequence[Role]) -> Sequence[str]:
        """As `ManagerPort.plan`."""
        return self.port.plan(roles)

    def stop(self, timeout_s: float) -> Deferred[None]:
        """As `ManagerPort.stop`."""
        return self._follow("stop everything", lambda _: self.port.stop(timeout_s))

    def update(
        self, say: Callable[[UpdateStep], None], roles: Sequence[Role]
    ) -> Deferred[None]:
        """As `ManagerPort.update`."""
        return self._follow(
            f"update {' and '.join(roles)}",
            lambda action: self.port.update(self._both(action, say), roles),
        )

    def start_worker(self, role: Role) -> Deferred[str]:
        """As `ManagerPort.start_worker`."""
        what = f"start one more {role} worker"
        return self._follow(what, lambda _: self.port.start_worker(role))

    def stop_worker(self, worker_id: str, *, graceful: bool = True) -> Deferred[None]:
        """As `ManagerPort.stop_worker`."""
        return self._follow(
            f"{'stop' if graceful else 'kill'} {worker_id}",
            lambda _: self.port.stop_worker(worker_id, graceful=graceful),
        )

    def restart_worker(
        self, say: Callable[[UpdateStep], None], worker_id: str
    ) -> Deferred[None]:
        """As `ManagerPort.restart_worker`."""
        return self._follow(
            f"restart {worker_id}",
            lambda action: self.port.restart_worker(self._both(action, say), worker_id),
        )

    def scale(self, role: Role, count: int) -> Deferred[None]:
        """As `ManagerPort.scale`."""
        what = f"scale {role} to {count}"
        return self._follow(what, lambda _: self.port.scale(role, count))

    def do(self, what: str, work: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Follow something that is no `ManagerPort`'s business."""
        return self._follow(what, lambda _: work())

    def _both(
        self, action: Action, say: Callable[[UpdateStep], None]
    ) -> Callable[[UpdateStep], None]:
        def tell(step: UpdateStep) -> None:
            self.actions.step(action, step)
            say(step)

        return tell

    def _follow(self, what: str, begin: Callable[[Action], Deferred[T]]) -> Deferred[T]:
        action = self.actions.begin(what, self.who)

        def ended(outcome: Any) -> Any:
            failed = isinstance(outcome, Failure)
            self.actions.end(action, outcome if failed else None)
            return outcome

        return begin(action).addBoth(ended)
