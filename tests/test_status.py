"""``status --json`` as scripts read it."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.status import LastExit, ManagerInfo, Status, WorkerStatus

MANAGER = ManagerInfo(
    pid=1, version="1", started_at="2026-01-01T00:00:00Z", http_url="u", data_dir="/d"
)


def encoded(*workers: WorkerStatus) -> dict[str, object]:
    """Return the status as JSON's values."""
    status = Status(manager=MANAGER, workers=workers)
    values = msgspec.json.decode(msgspec.json.encode(status))
    assert isinstance(values, dict)
    return values


class StatusTests(SynchronousTestCase):
    """The promise of contract §1."""

    def test_top(self) -> None:
        """The answer says which version of its form it has."""
        found = encoded()
        self.assertEqual(list(found), ["schema_version", "manager", "workers"])
        self.assertEqual(found["schema_version"], 1)
        self.assertEqual(
            list(msgspec.to_builtins(MANAGER)),
            ["pid", "version", "started_at", "http_url", "data_dir", "ui_url"],
        )

    def test_worker(self) -> None:
        """Each worker has all keys; a figure that we do not know is null."""
        [worker] = msgspec.convert(
            encoded(
                WorkerStatus(
                    id="http-1",
                    role="http",
                    state="running",
                    generation=3,
                    requests_total=7,
                )
            )["workers"],
            list[dict[str, object]],
        )
        self.assertLessEqual(
            {
                "id",
                "role",
                "state",
                "generation",
                "pid",
                "port",
                "started_at",
                "uptime_s",
                "restarts",
                "memory_bytes",
                "cpu_percent",
                "requests_total",
                "last_exit",
            },
            set(worker),
        )
        self.assertIsNone(worker["last_exit"])
        self.assertIsNone(worker["memory_bytes"])

    def test_figure_of_its_role(self) -> None:
        """A ws worker has connections and no requests, an http worker the reverse."""
        found = encoded(
            WorkerStatus(
                id="http-1",
                role="http",
                state="running",
                generation=1,
                requests_total=0,
            ),
            WorkerStatus(
                id="ws-1", role="ws", state="running", generation=1, connections=0
            ),
            WorkerStatus(id="broker", role="broker", state="running", generation=1),
        )
        figures = [
            sorted({"requests_total", "connections"} & set(worker))
            for worker in msgspec.convert(found["workers"], list[dict[str, object]])
        ]
        self.assertEqual(figures, [["requests_total"], ["connections"], []])

    def test_last_exit(self) -> None:
        """How the previous process ended stands there in numbers and in words."""
        worker = WorkerStatus(
            id="ws-1",
            role="ws",
            state="backoff",
            generation=2,
            last_exit=LastExit(at="t", code=None, signal="SIGKILL", reason="killed"),
        )
        [found] = msgspec.convert(encoded(worker)["workers"], list[dict[str, object]])
        end = {"at": "t", "code": None, "signal": "SIGKILL", "reason": "killed"}
        story: dict[str, object] = {"generation": 0, "in_flight": None, "lines": []}
        self.assertEqual(found["last_exit"], {**end, **story})

    def test_read_back(self) -> None:
        """The command line reads what the manager wrote."""
        worker = WorkerStatus(id="ws-1", role="ws", state="running", generation=2)
        status = Status(manager=MANAGER, workers=(worker,))
        self.assertEqual(
            msgspec.json.decode(msgspec.json.encode(status), type=Status), status
        )
