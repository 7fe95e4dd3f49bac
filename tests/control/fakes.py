"""A manager that only remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed

from tbtwist.errors import ControlFailed
from tbtwist.status import ManagerInfo, Role, Status, UpdateStep, WorkerStatus

STATUS = Status(
    manager=ManagerInfo(
        pid=42,
        version="0.1.0",
        started_at="2026-01-01T00:00:00+00:00",
        http_url="http://127.0.0.1:8000",
        data_dir="/data",
    ),
    workers=(
        WorkerStatus(
            id="http-1",
            role="http",
            state="running",
            generation=3,
            pid=4711,
            port=8000,
            requests_total=17,
        ),
        WorkerStatus(id="broker", role="broker", state="starting", generation=1),
    ),
)


class FakeManager:
    """A `ManagerPort` whose answers the test decides."""

    def __init__(self) -> None:
        self.answer: Status = STATUS
        self.trouble: Exception | None = None
        self.stops: list[float] = []
        self.stopping: Deferred[None] = Deferred()
        self.asked_to_stop: Deferred[None] = Deferred()
        self.orders: list[tuple[object, ...]] = []
        self.steps: tuple[UpdateStep, ...] = ()
        self.outcome: Deferred[None] = succeed(None)

    def status(self) -> Status:
        """Return what is to be returned, or raise."""
        if self.trouble is not None:
            raise self.trouble
        return self.answer

    def stop(self, timeout_s: float) -> Deferred[None]:
        """Take note; the test says when it is done."""
        self.stops.append(timeout_s)
        if not self.asked_to_stop.called:
            self.asked_to_stop.callback(None)
        return self.stopping

    def plan(self, roles: Sequence[Role]) -> Sequence[str]:
        """Return a line for each role."""
        return [f"replace {role}-1" for role in roles]

    def update(
        self, say: Callable[[UpdateStep], None], roles: Sequence[Role]
    ) -> Deferred[None]:
        """Say the steps; the test says what comes of it."""
        self.orders.append(("update", *roles))
        for step in self.steps:
            say(step)
        return self.outcome

    def start_worker(self, role: Role) -> Deferred[str]:
        """Take note."""
        self.orders.append(("start", role))
        return self.outcome.addCallback(lambda _: f"{role}-3")

    def stop_worker(self, worker_id: str, *, graceful: bool = True) -> Deferred[None]:
        """Take note."""
        self.orders.append(("stop" if graceful else "kill", worker_id))
        return self.outcome

    def restart_worker(
        self, say: Callable[[UpdateStep], None], worker_id: str
    ) -> Deferred[None]:
        """Say the steps; the test says what comes of it."""
        self.orders.append(("restart", worker_id))
        for step in self.steps:
            say(step)
        return self.outcome

    def scale(self, role: Role, count: int) -> Deferred[None]:
        """Take note."""
        self.orders.append(("scale", role, count))
        return self.outcome


REFUSED = ControlFailed(reason="it is Sunday")
