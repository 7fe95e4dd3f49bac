"""The manager's API: R5.2's paths and keys, and ours."""

from __future__ import annotations

from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred, fail

from tbtwist.api.response import Response
from tbtwist.errors import (
    CannotBind,
    ConfigError,
    ConfigProblem,
    ManagerBusy,
    Refused,
    UnknownWorker,
    WorkerNotReady,
)
from tbtwist.status import LastExit, UpdateStep, WorkerStatus
from tbtwist.webui.asked import Asked
from tests.control.fakes import STATUS
from tests.webui.cases import SECRET, Answered, DoorCase

WORKER_KEYS = {
    *("worker_id", "worker_type", "pid", "port", "socket_path", "state"),
    *("started_at", "restart_count", "last_health_check", "health_latency_ms"),
    *("healthy", "node", "uptime", "metrics"),
}
METRIC_KEYS = {"requests", "connections", "errors", "avg_latency_ms", "memory_mb"}


def full() -> tuple[WorkerStatus, ...]:
    """Return a broker, an http and a ws worker that run."""
    return (
        WorkerStatus(id="broker", role="broker", state="running", generation=1),
        WorkerStatus(
            id="http-1",
            role="http",
            state="running",
            generation=2,
            pid=41,
            port=8000,
            started_at="2026-01-01T00:00:00+00:00",
            uptime_s=12.5,
            restarts=1,
            memory_bytes=64 * 1024 * 1024,
            cpu_percent=3.5,
            last_exit=LastExit(
                at="2026-01-01T00:00:00+00:00", code=None, signal="SIGKILL", reason="k"
            ),
        ),
        WorkerStatus(
            id="ws-1", role="ws", state="running", generation=1, pid=42, port=8010
        ),
    )


class ReadingCase(DoorCase):
    """A manager with three workers that have counted something."""

    def setUp(self) -> None:
        """Let them count."""
        super().setUp()
        self.manager.answer = structs.replace(STATUS, workers=full())
        http = {
            "REQUESTS_TOTAL": 10,
            "STATUS_2XX": 7,
            "STATUS_5XX": 1,
            "LATENCY_US": 16_000,
            "HTTP_CONNECTIONS": 4,
            "LAG_US": 2500,
        }
        self.feed.counted("http-1", 2, http)
        self.feed.counted("ws-1", 1, {"CONNECTIONS": 5, "WS_IN": 9})

    def read(self, path: str) -> object:
        """Return what is answered."""
        answer = self.program("GET", path)
        self.assertEqual(200, answer.status)
        found: object = answer.json
        return found


class ReadingTests(ReadingCase):
    """How everything is, with ToolBoxV2's keys."""

    def test_status(self) -> None:
        """``/api/status`` has R5.2's keys; the workers are those that serve."""
        answer = self.program("GET", "/api/status").json
        self.assertEqual(
            {
                *("running", "platform", "platform_warning", "broker_alive", "p2p"),
                *("workers", "nginx", "cluster", "manager"),
            },
            set(answer),
        )
        self.assertEqual({"leader", "topology_workers"}, set(answer["p2p"]))
        self.assertEqual(
            {"installed", "ssl_available", "version"}, set(answer["nginx"])
        )
        self.assertEqual({"nodes": 0, "healthy_nodes": 0}, answer["cluster"])
        self.assertEqual(["http-1", "ws-1"], list(answer["workers"]))
        self.assertIs(True, answer["broker_alive"])

    def test_worker(self) -> None:
        """A worker has R5.2's keys and true figures."""
        answer = self.program("GET", "/api/workers").json
        http, ws = answer
        self.assertLessEqual(WORKER_KEYS, set(http))
        self.assertLessEqual(METRIC_KEYS, set(http["metrics"]))
        self.assertEqual((1_767_225_600.0, 12.5), (http["started_at"], http["uptime"]))
        self.assertEqual((True, 1, 2.5), tuple(http[k] for k in _HTTP_KEYS))
        self.assertEqual(10, http["metrics"]["requests"])
        self.assertEqual(1, http["metrics"]["errors"])
        self.assertEqual(2.0, http["metrics"]["avg_latency_ms"])
        self.assertEqual(64.0, http["metrics"]["memory_mb"])
        self.assertEqual("SIGKILL", http["last_exit"]["signal"])
        self.assertEqual(
            (9, 5), (ws["metrics"]["requests"], ws["metrics"]["connections"])
        )

    def test_metrics(self) -> None:
        """``/api/metrics`` adds all workers up."""
        expected = {
            "total_workers": 2,
            "http_workers": 1,
            "ws_workers": 1,
            "total_requests": 10,
            "total_connections": 5,
            "total_errors": 1,
            "avg_latency_ms": 2.0,
        }
        self.assertEqual(expected, self.read("/api/metrics"))

    def test_health(self) -> None:
        """``/api/health`` says whether everything runs, and what does not."""
        answer = self.program("GET", "/api/health").json
        self.assertIs(True, answer["healthy"])
        self.assertEqual({"alive": True, "leader_id": "broker"}, answer["broker"])
        about = {"healthy": True, "state": "running", "latency_ms": 2.5}
        self.assertEqual(about, answer["workers"]["http-1"])
        self.assertEqual({"installed": False, "ssl": False}, answer["nginx"])
        broken = [structs.replace(w, state="backoff") for w in full()]
        self.manager.answer = structs.replace(STATUS, workers=tuple(broken))
        answer = self.program("GET", "/api/health").json
        self.assertIs(False, answer["healthy"])
        self.assertEqual({"alive": False, "leader_id": None}, answer["broker"])

    def test_verify(self) -> None:
        """``/api/cluster/verify`` says that the secret is right."""
        self.assertEqual({"status": "ok"}, self.read("/api/cluster/verify"))

    def test_plan(self) -> None:
        """``/api/plan`` says what an update would do."""
        self.assertEqual(
            {"plan": ["replace http-1", "replace ws-1"]}, self.read("/api/plan")
        )

    def test_old_prefix(self) -> None:
        """ToolBoxV2's prefix still works."""
        self.assertEqual(
            self.read("/api/metrics"), self.read("/admin/manager/api/metrics")
        )

    def test_unknown(self) -> None:
        """A path that does not exist is a 404, a wrong method a 405 that names the right."""
        answer = self.program("GET", "/api/nothing")
        self.assertEqual((404, "NotFound"), (answer.status, answer.json["error"]))
        answer = self.program("GET", "/api/scale")
        self.assertEqual((405, "POST"), (answer.status, answer.header("Allow")))

    def test_surprise(self) -> None:
        """When something is broken the client learns no inside, and gets an answer."""
        self.manager.trouble = ValueError("the inside")
        answer = self.program("GET", "/api/status")
        self.assertEqual(500, answer.status)
        self.assertNotIn("inside", answer.json["message"])
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))


_HTTP_KEYS = ("healthy", "restart_count", "health_latency_ms")


class OrdersTests(DoorCase):
    """What may be changed."""

    def test_start(self) -> None:
        """``/api/workers/start`` starts as many as asked, and returns them."""
        answer = self.program(
            "POST", "/api/workers/start", {"type": "http", "count": 2}
        )
        self.assertEqual([("start", "http")] * 2, self.manager.orders)
        self.assertEqual("ok", answer.json["status"])
        self.assertEqual(2, len(answer.json["workers"]))

    def test_stop(self) -> None:
        """``/api/workers/stop`` lets a worker drain, or kills it if asked to."""
        self.program("POST", "/api/workers/stop", {"worker_id": "http-1"})
        body = {"worker_id": "ws-1", "graceful": False}
        self.assertEqual(
            {"status": "ok"}, self.program("POST", "/api/workers/stop", body).json
        )
        self.assertEqual([("stop", "http-1"), ("kill", "ws-1")], self.manager.orders)

    def test_restart_one(self) -> None:
        """``/api/workers/restart`` replaces a worker and returns the new one."""
        answer = self.program("POST", "/api/workers/restart", {"worker_id": "http-1"})
        self.assertEqual([("restart", "http-1")], self.manager.orders)
        self.assertEqual("http-1", answer.json["worker"]["worker_id"])

    def test_scale(self) -> None:
        """``/api/scale`` says who came and who went."""
        gone = structs.replace(STATUS, workers=STATUS.workers[1:])
        scaling: Deferred[None] = Deferred()
        self.manager.outcome = scaling
        headers = {"x-cluster-secret": SECRET}
        asked = self.asked("POST", "/api/scale", {"type": "http", "count": 0}, headers)
        pending = self.pending(asked)
        self.assertNoResult(pending)
        self.manager.answer = gone
        scaling.callback(None)
        answer = self.successResultOf(pending)
        assert isinstance(answer, Response)
        expected = {"status": "ok", "started": [], "stopped": ["http-1"]}
        self.assertEqual(expected, Answered(answer).json)

    def test_update(self) -> None:
        """``/api/update`` begins at once; its progress can be read."""
        self.manager.outcome = Deferred()
        self.manager.steps = (UpdateStep("http-1", "starting", 4),)
        answer = self.program("POST", "/api/update", {"role": "http"})
        self.assertEqual(202, answer.status)
        self.assertEqual([("update", "http")], self.manager.orders)
        self.assertEqual("running", answer.json["action"]["state"])
        (action,) = self.program("GET", "/api/actions").json
        self.assertEqual("starting", action["steps"][0]["step"])
        self.manager.outcome.callback(None)
        (action,) = self.program("GET", "/api/actions").json
        self.assertEqual("done", action["state"])

    def test_update_and_wait(self) -> None:
        """With ``wait`` the answer is the outcome, and a failure is an error."""
        answer = self.program("POST", "/api/update", {"wait": True})
        self.assertEqual((200, "done"), (answer.status, answer.json["action"]["state"]))
        self.manager.outcome = fail(
            WorkerNotReady(worker="http-1", reason="no module x")
        )
        answer = self.program("POST", "/api/rolling-update", {"wait": True})
        self.assertEqual(424, answer.status)
        self.assertEqual(
            "http-1 did not get ready: no module x.", answer.json["message"]
        )

    def test_update_that_fails_later(self) -> None:
        """A failure that nobody waits for is told by the action, in words."""
        self.manager.outcome = Deferred()
        self.program("POST", "/api/update")
        self.manager.outcome.errback(WorkerNotReady(worker="ws-1", reason="it hangs"))
        (action,) = self.program("GET", "/api/actions").json
        self.assertEqual(
            ("failed", "ws-1 did not get ready: it hangs."),
            (action["state"], action["error"]),
        )

    def test_given_up(self) -> None:
        """An update that a stop of everything ends has been given up."""
        self.manager.outcome = Deferred()
        self.program("POST", "/api/update")
        self.manager.outcome.errback(CancelledError())
        self.assertEqual("given up", self.actions.latest[-1].error)

    def test_restart_everything(self) -> None:
        """``/api/restart`` replaces all workers, and nobody is without one."""
        self.assertEqual(200, self.program("POST", "/api/restart").status)
        self.assertEqual([("update", "http", "ws")], self.manager.orders)

    def test_shutdown(self) -> None:
        """``/api/shutdown`` answers before everything is gone."""
        self.assertEqual(202, self.program("POST", "/api/shutdown").status)
        self.program("POST", "/api/shutdown", {"timeout_s": 2})
        self.assertEqual([15.0, 2.0], self.manager.stops)

    def test_depth(self) -> None:
        """What is nested too deeply is refused like anything else that is no object."""
        body = b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
        asked = Asked("POST", "/api/scale", body=body)
        with self.assertRaises(Refused) as caught:
            asked.fields()
        self.assertEqual(400, caught.exception.status)

    def test_nginx(self) -> None:
        """``/api/nginx/reload`` reloads, or says what nginx had to say."""
        self.assertEqual(200, self.program("POST", "/api/nginx/reload").status)
        self.reloading = fail(Refused(502, "nginx -t: no such file"))
        answer = self.program("POST", "/api/nginx/reload")
        self.assertEqual((502, 2), (answer.status, self.reloads))
        self.assertIn("no such file", answer.json["message"])

    def test_cluster(self) -> None:
        """Clusters of machines are not offered, and that is said."""
        answer = self.program("POST", "/api/cluster/join", {"host": "b", "secret": "s"})
        self.assertEqual((501, "NotImplemented"), (answer.status, answer.json["error"]))

    def test_mistakes(self) -> None:
        """A body that makes no sense changes nothing, and its mistake is named."""
        for path, body, word in (
            ("/api/scale", {"type": "broker", "count": 1}, "broker"),
            ("/api/scale", {"type": "http"}, "count"),
            ("/api/scale", {"count": -1}, "count"),
            ("/api/scale", {"count": 1, "typ": "ws"}, "typ"),
            ("/api/workers/start", {"count": 0}, "count"),
            ("/api/workers/stop", {}, "worker_id"),
            ("/api/update", {"role": "all"}, "all"),
        ):
            answer = self.program("POST", path, body)
            self.assertEqual(422, answer.status, path)
            self.assertIn(word, answer.json["message"])
        self.assertEqual([], self.manager.orders)

    def test_reasons(self) -> None:
        """What the manager refuses has a status of its own, and the reason."""
        problem = ConfigProblem("config.yaml:3:1", "http_worker.port", "a number")
        for error, status in (
            (ManagerBusy(doing="an update"), 409),
            (CannotBind(what="http-3", address="127.0.0.1:8002", reason="taken"), 409),
            (UnknownWorker(worker="x", known="http-1"), 404),
            (ConfigError((problem,)), 422),
        ):
            self.manager.outcome = fail(error)
            answer = self.program("POST", "/api/scale", {"count": 3})
            self.assertEqual(
                (status, str(error)), (answer.status, answer.json["message"])
            )


class AuditTests(DoorCase):
    """Every change is somebody's."""

    def test_who(self) -> None:
        """A browser's and a program's changes are told apart."""
        told: list[tuple[str, str, str]] = []
        self.actions.listeners.append(lambda a: told.append((a.who, a.what, a.state)))
        self.program("POST", "/api/scale", {"type": "ws", "count": 2})
        browser = self.log_in()
        browser.post("/api/workers/stop", {"worker_id": "http-1"})
        program, person = "api 127.0.0.1", self.records[0][0]
        self.assertTrue(person.startswith("browser "))
        self.assertEqual(
            [
                (program, "scale ws to 2", "running"),
                (program, "scale ws to 2", "done"),
                (person, "stop http-1", "running"),
                (person, "stop http-1", "done"),
            ],
            told,
        )
