"""A manager that only remembers what it was asked."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tbtwist.errors import ControlFailed
from tbtwist.status import ManagerInfo, Status, WorkerStatus

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


REFUSED = ControlFailed(reason="it is Sunday")
