"""The core, from a request to a response, over a real application."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tbtwist.api.request import Request
from tbtwist.config.schema import HttpWorker, Settings
from tests.api.core import (
    NOW,
    OPEN,
    Core,
    CoreTestCase,
    make_dispatcher,
)


class BuiltInTests(CoreTestCase):
    """The worker's own paths."""

    def test_health(self) -> None:
        """Whoever asks learns that the process is alive, and which one it is."""
        answer = self.core.get("/health")
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.json,
            {"status": "healthy", "worker_id": "http-1", "pid": 7, "timestamp": NOW},
        )

    def test_ready(self) -> None:
        """Ready is 200; starting, off the bus or draining is 503."""
        health = self.core.dispatcher.health
        health.bus_connected = True
        answer = self.core.get("/ready")
        self.assertEqual(answer.status, 200)
        expected = {"status": "ready", "bus": True, "worker_id": "http-1"}
        self.assertEqual(answer.json, expected)
        health.bus_connected = False
        answer = self.core.get("/ready")
        self.assertEqual((answer.status, answer.json["status"]), (503, "starting"))
        health.draining = True
        answer = self.core.get("/ready")
        self.assertEqual((answer.status, answer.json["status"]), (503, "draining"))

    def test_ping_and_ip(self) -> None:
        """Clients can measure the way, and learn their address."""
        ping = self.core.get("/api/ping").json
        self.assertEqual(ping, {"status": "pong", "timestamp": NOW})
        self.assertEqual(self.core.get("/api/ip").json, {"ip": "192.0.2.7"})

    def test_they_are_for_reading(self) -> None:
        """HEAD works like GET, other methods are 405."""
        self.assertEqual(self.core.ask("HEAD", "/health").status, 200)
        answer = self.core.ask("POST", "/health")
        self.assertEqual((answer.status, answer.header("Allow")), (405, "GET, HEAD"))

    def test_unknown_paths(self) -> None:
        """A path that is not ours is 404 in the envelope, an unreadable one 400."""
        self.assertEqual(self.core.get("/apiX/Open/add").json["error"], "NotFound")
        self.assertEqual(self.core.get("").status, 400)


class CallTests(CoreTestCase):
    """Calls of functions."""

    def test_envelope(self) -> None:
        """A call answers with the envelope and says who answered."""
        answer = self.core.get("/api/Open/add?a=2")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Content-Type"), "application/json")
        self.assertEqual((answer.data, answer.json["error"]), (3, "none"))
        self.assertEqual(answer.json["origin"][:2], ["Open", "add"])

    def test_precedence(self) -> None:
        """A JSON key wins over the query, for every method."""
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = self.core.ask(
                method,
                "/api/Open/echo?a=1&b=2",
                headers={"content-type": "application/json"},
                body=b'{"b":3}',
            )
            self.assertEqual(answer.data, {"a": "1", "b": 3}, method)

    def test_sync_function(self) -> None:
        """A function without async answers as well."""
        self.assertEqual(self.core.get("/api/Open/plain").data, "from a thread")

    def test_strays_are_dropped(self) -> None:
        """A parameter that the function does not take does no harm."""
        self.assertEqual(self.core.get("/api/Open/add?a=1&utm_source=x").data, 2)

    def test_internals_cannot_be_reached(self) -> None:
        """Parameters named like our own arguments are ordinary strays."""
        names = ("app", "self", "function", "kwargs", "get_results", "args_", "kwargs_",
                 "tb_run_with_specification", "timeout_s", "mod_function")  # fmt: skip
        query = "&".join(f"{name}=1" for name in names)
        self.assertEqual(self.core.get(f"/api/Open/add?a=1&{query}").data, 2)
        echoed = self.core.get(f"/api/Open/echo?{query}")
        self.assertEqual(echoed.status, 200)

    def test_request_cannot_be_forged(self) -> None:
        """A client's parameter called request never takes the place of ours."""
        forged = {"request": {"session": {"user_id": "root"}}}
        self.assertEqual(self.core.post_json("/api/Open/who", forged).data["user"], "")
        self.assertEqual(self.core.post_json("/api/Open/echo", forged).data, {})

    def test_missing_and_wrong_parameters(self) -> None:
        """A missing parameter is 400, one that cannot be converted 422, by name."""
        missing = self.core.get("/api/Open/add")
        self.assertEqual((missing.status, missing.json["error"]), (400, "BadRequest"))
        self.assertIn("a", missing.json["message"])
        wrong = self.core.get("/api/Open/add?a=1&b=x")
        self.assertEqual(
            (wrong.status, wrong.json["error"]), (422, "UnprocessableEntity")
        )
        self.assertIn("b", wrong.json["message"])

    def test_malformed_json(self) -> None:
        """Broken JSON is 400 and names the position."""
        answer = self.core.ask(
            "POST",
            "/api/Open/echo",
            headers={"content-type": "application/json"},
            body=b'{"a" 1}',
        )
        self.assertEqual((answer.status, answer.json["error"]), (400, "BadRequest"))
        self.assertIn("byte 5", answer.json["message"])

    def test_compressed_body(self) -> None:
        """A compressed body is refused with 415."""
        headers = {"content-encoding": "gzip"}
        answer = self.core.ask("POST", "/api/Open/echo", headers=headers, body=b"x")
        self.assertEqual(answer.status, 415)

    def test_names(self) -> None:
        """Missing names are 400, unknown ones 404."""
        self.assertEqual(self.core.get("/api").json["message"], "Missing module name")
        self.assertEqual(
            self.core.get("/api/M").json["message"], "Missing function name"
        )
        for path in ("/api/Open/nope", "/api/Nope/add", "/api/Open/add/x"):
            answer = self.core.get(path)
            self.assertEqual((answer.status, answer.json["error"]), (404, "NotFound"))

    def test_other_kinds_of_results(self) -> None:
        """A page comes out as a page."""
        answer = self.core.get("/api/Open/page")
        self.assertEqual(answer.body, b"<p>hi")
        self.assertEqual(answer.header("Content-Type"), "text/html; charset=utf-8")

    def test_request_data(self) -> None:
        """A function that takes request sees the request."""
        answer = self.core.ask(
            "POST", "/api/Open/who?q=1", headers={"user-agent": "x"}, body=b"text"
        )
        self.assertEqual(
            answer.data,
            {
                "user": "",
                "known": False,
                "method": "POST",
                "path": "/api/Open/who",
                "query": {"q": "1"},
                "body": "text",
                "agent": "x",
                "ip": "192.0.2.7",
            },
        )

    def test_other_methods(self) -> None:
        """A method that no function can have is 405 and names those that work."""
        answer = self.core.ask("BREW", "/api/Open/add?a=1")
        self.assertEqual(answer.status, 405)
        self.assertIn("PATCH", answer.header("Allow") or "")


class FailureTests(CoreTestCase):
    """Functions that fail."""

    def test_exception(self) -> None:
        """A function that raises is 500; the traceback is ours alone."""
        answer = self.core.get("/api/Open/broken")
        self.assertEqual((answer.status, answer.json["error"]), (500, "InternalError"))
        self.assertNotIn(b"hunter2", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_error_result(self) -> None:
        """A function's own error code is the status, with its words."""
        answer = self.core.get("/api/Open/refuses")
        self.assertEqual(answer.status, 409)
        self.assertEqual(answer.json, {"error": "Conflict", "message": "sold out"})

    def test_deadline(self) -> None:
        """A call that takes too long is 504."""
        core = self.core_with(
            Settings(toolbox=OPEN.toolbox, http_worker=HttpWorker(timeout=0.01))
        )
        answer = core.get("/api/Open/slow")
        self.assertEqual((answer.status, answer.json["error"]), (504, "GatewayTimeout"))

    def test_a_surprise_of_our_own(self) -> None:
        """A bug in the server is 500 without a word about it, and is logged."""

        class Broken:
            def run(self, work: Any, *, timeout_s: float) -> Any:
                msg = "inside"
                raise KeyError(msg)

        core = Core(make_dispatcher(self.app, runner=Broken()))
        answer = core.get("/api/Open/add?a=1")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"inside", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_cancellation_passes(self) -> None:
        """Cancelling the answer cancels the work instead of becoming an answer."""
        cancelled: list[str] = []

        class Waits:
            def run(self, work: Any, *, timeout_s: float) -> Deferred[Any]:
                return Deferred(lambda _: cancelled.append("work"))

        dispatcher = make_dispatcher(self.app, runner=Waits())
        request = Request("GET", "/api/Open/plain")
        answer = Deferred.fromCoroutine(dispatcher.handle(request))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(cancelled, ["work"])
