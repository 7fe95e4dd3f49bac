"""Our own server, from the first byte to the last."""

from __future__ import annotations

import json

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.result import Result
from tests.api.core import NOW, OPEN
from tests.http.memory import MemoryServer, PatientRunner, limited, request_bytes


class AnswerTests(SynchronousTestCase):
    """Requests get their answers."""

    def setUp(self) -> None:
        """Start the server."""
        self.server = MemoryServer()

    def test_health(self) -> None:
        """GET /health answers with the worker's state."""
        reply = self.server.ask("GET", "/health")
        self.assertEqual((reply.status, reply.reason), (200, "OK"))
        self.assertEqual(
            reply.json,
            {"status": "healthy", "worker_id": "http-1", "pid": 7, "timestamp": NOW},
        )

    def test_call(self) -> None:
        """A function is called with query, form and JSON."""
        reply = self.server.ask("GET", "/api/Open/add?a=2&b=3")
        self.assertEqual(reply.json["result"]["data"], 5)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.server.ask("POST", "/api/Open/add?a=2", headers, b"b=4")
        self.assertEqual(reply.json["result"]["data"], 6)
        headers = {"Content-Type": "application/json"}
        reply = self.server.ask("POST", "/api/Open/add?a=2", headers, b'{"b":5}')
        self.assertEqual(reply.json["result"]["data"], 7)

    def test_paths(self) -> None:
        """Percent-encoding is undone once; /apiX is not /api."""
        reply = self.server.ask("PUT", "/api/Open/only%2Fput")
        self.assertEqual(reply.json["result"]["data"], "put")
        self.assertEqual(self.server.ask("GET", "/api/Open/ad%2564?a=1").status, 404)
        outside = self.server.ask("GET", "/apiX/Open/add?a=1")
        self.assertEqual(outside.status, 404)
        self.assertIn("text/html", outside.header("Content-Type") or "")
        self.assertEqual(self.server.ask("GET", "/api/%FF/x").status, 400)

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body."""
        got = self.server.ask("GET", "/api/Open/add?a=1")
        head = self.server.ask("HEAD", "/api/Open/add?a=1")
        self.assertEqual(head.body, b"")
        self.assertEqual(head.header("Content-Length"), got.header("Content-Length"))

    def test_options(self) -> None:
        """A preflight is 204 with the origin echoed."""
        origin = {"Origin": "http://localhost:3000"}
        reply = self.server.ask("OPTIONS", "/api/Open/add", origin)
        self.assertEqual(reply.status, 204)
        allowed = reply.header("Access-Control-Allow-Origin")
        self.assertEqual(allowed, "http://localhost:3000")

    def test_login(self) -> None:
        """A login's cookie opens closed functions."""
        reply = self.server.ask("GET", "/api/Open/login?user=u1")
        cookie = (reply.header("Set-Cookie") or "").partition(";")[0]
        reply = self.server.ask("GET", "/api/Closed/trusted", {"Cookie": cookie})
        self.assertEqual(reply.json["result"]["data"], "yours")
        self.assertEqual(self.server.ask("GET", "/api/Closed/trusted").status, 401)

    def test_headers_of_ours(self) -> None:
        """We call ourselves tbtwist and nothing more, and repeat the request id."""
        reply = self.server.ask("GET", "/health", {"X-Request-ID": "r-1"})
        self.assertEqual(reply.header("Server"), "tbtwist")
        self.assertEqual(reply.header("X-Request-ID"), "r-1")
        self.assertIsNotNone(reply.header("Date"))
        for target in ("/nothing", "/api/Open/broken", "/health"):
            reply = self.server.ask("GET", target, {"X-Request-ID": "no good"})
            self.assertRegex(reply.header("X-Request-ID") or "", r"\A[0-9a-f]{16}\Z")
            self.assertEqual(reply.header("Server"), "tbtwist")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_chunked(self) -> None:
        """A body without a length arrives whole."""
        connection = self.server.connect()
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        connection.send(request_bytes("POST", "/api/Open/echo", headers))
        connection.send(b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
        (reply,) = connection.replies()
        self.assertEqual(reply.json["result"]["data"], {"a": 1})

    def test_client_address(self) -> None:
        """A client cannot choose its address, not even with an underscore."""
        for name in ("X-Forwarded-For", "X_Forwarded_For"):
            reply = self.server.ask("GET", "/api/ip", {name: "6.6.6.6"})
            self.assertEqual(reply.json, {"ip": "192.0.2.1"})
        trusting = MemoryServer(limited(trusted_proxies=("192.0.2.0/24",)))
        headers = {"X-Forwarded-For": "198.51.100.7", "X_Forwarded_For": "6.6.6.6"}
        reply = trusting.ask("GET", "/api/ip", headers)
        self.assertEqual(reply.json, {"ip": "198.51.100.7"})

    def test_a_bug_in_a_resource(self) -> None:
        """A failure of the server itself is a plain 500 page."""
        server = MemoryServer(limited(lane="wsgi"))
        server.application.owns = None  # type: ignore[assignment]
        reply = server.ask("GET", "/health")
        self.assertEqual(reply.status, 500)
        self.assertNotIn(b"Traceback", reply.body)
        self.assertNotIn(b"NoneType", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_bug_in_a_channel(self) -> None:
        """A failure before anybody answers is a 500 as well, and ends the connection."""
        self.server.site.house.answers_api = None  # type: ignore[assignment]
        connection = self.server.connect()
        connection.send(request_bytes("GET", "/health"))
        (reply,) = connection.replies()
        self.assertEqual(reply.status, 500)
        self.assertNotIn(b"NoneType", reply.body)
        self.assertTrue(connection.closing)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class ConnectionTests(SynchronousTestCase):
    """Connections live as long as they should."""

    def setUp(self) -> None:
        """Start the server and connect."""
        self.server = MemoryServer()
        self.connection = self.server.connect()

    def test_keep_alive(self) -> None:
        """One connection carries many requests, also when they come at once."""
        self.connection.send(request_bytes("GET", "/api/ping") * 3)
        self.assertEqual([r.status for r in self.connection.replies()], [200] * 3)
        self.assertFalse(self.connection.closing)

    def test_close_on_request(self) -> None:
        """A client that wants to close is answered with close."""
        self.connection.send(request_bytes("GET", "/health", {"Connection": "close"}))
        (reply,) = self.connection.replies()
        self.assertEqual(reply.header("Connection"), "close")
        self.assertTrue(self.connection.closing)

    def test_idle(self) -> None:
        """A connection on which nothing happens is closed after keepalive."""
        self.server.reactor.advance(OPEN.http_worker.keepalive - 1)
        self.assertFalse(self.connection.closing)
        self.server.reactor.advance(2)
        self.assertTrue(self.connection.closing)

    def test_draining(self) -> None:
        """While draining, an answer closes its connection and says so."""
        self.server.health.draining = True
        self.connection.send(request_bytes("GET", "/health"))
        (reply,) = self.connection.replies()
        self.assertEqual((reply.status, reply.header("Connection")), (200, "close"))
        self.assertTrue(self.connection.closing)

    def test_close_idle(self) -> None:
        """A drain closes what stays idle for its grace, and leaves what is busy."""
        busy, quick = self.server.connect(), self.server.connect()
        busy.send(
            b"POST /api/Open/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        )
        self.server.health.draining = True
        self.server.site.close_idle()
        quick.send(request_bytes("GET", "/api/ping"))
        (reply,) = quick.replies()
        self.assertEqual((reply.status, reply.header("Connection")), (200, "close"))
        self.assertFalse(self.connection.closing)
        self.server.reactor.advance(0.6)
        self.assertTrue(self.connection.closing)
        self.assertFalse(busy.closing)
        busy.send(b"hello")
        (reply,) = busy.replies()
        self.assertEqual((reply.status, reply.header("Connection")), (200, "close"))
        self.assertTrue(busy.closing)

    def test_late_connections(self) -> None:
        """Who comes during a drain is answered, or gets the same grace."""
        self.server.health.draining = True
        late = self.server.connect()
        self.server.reactor.advance(0.6)
        self.assertTrue(late.closing)
        self.assertEqual(self.server.ask("GET", "/api/ping").status, 200)

    def test_lost_connections_are_forgotten(self) -> None:
        """A closed connection leaves nothing behind."""
        self.assertEqual(self.server.site.connections, 1)
        self.connection.leave()
        self.assertEqual(self.server.site.connections, 0)
        self.assertEqual(self.server.left_behind(), [])


class CountingTests(SynchronousTestCase):
    """Counters and the access log."""

    def test_in_flight(self) -> None:
        """A request is in flight from its head to the end of its answer."""
        server = MemoryServer()
        connection = server.connect()
        head = request_bytes("POST", "/api/Open/echo", {"Content-Length": "2"})
        connection.send(head)
        self.assertEqual(
            (server.health.in_flight, server.health.requests_total), (1, 1)
        )
        connection.send(b"{}")
        self.assertEqual(
            (server.health.in_flight, server.health.requests_total), (0, 1)
        )
        connection.send(head)
        connection.leave()
        self.assertEqual(
            (server.health.in_flight, server.health.requests_total), (0, 2)
        )

    def test_full(self) -> None:
        """More requests than may run and wait are 503 with Retry-After."""
        runner = PatientRunner()
        settings = limited(lane="auto", max_concurrent=1, max_queued=1)
        server = MemoryServer(settings, runner=runner)
        running, queued = server.connect(), server.connect()
        for connection in (running, queued):
            connection.send(request_bytes("GET", "/api/Open/echo"))
        reply = server.ask("GET", "/api/ping")
        self.assertEqual((reply.status, reply.header("Retry-After")), (503, "1"))
        self.assertEqual(reply.json["error"], "ServiceUnavailable")
        self.assertEqual(server.ask("GET", "/health").status, 200)
        runner.waiting.pop().callback(Result.ok("first"))
        self.assertEqual(running.replies()[0].json["result"]["data"], "first")
        self.assertEqual(queued.replies(), [])
        runner.waiting.pop().callback(Result.ok("second"))
        self.assertEqual(queued.replies()[0].json["result"]["data"], "second")

    def test_waiting_in_vain(self) -> None:
        """Who waits too long for a turn is told so; who leaves does not wait."""
        settings = limited(lane="auto", max_concurrent=1, timeout=5)
        server = MemoryServer(settings, runner=PatientRunner())
        first, second, third = (server.connect() for _ in range(3))
        for connection in (first, second, third):
            connection.send(request_bytes("GET", "/api/Open/echo"))
        third.leave()
        server.reactor.advance(5.5)
        (reply,) = second.replies()
        self.assertEqual(reply.status, 503)
        first.leave()
        self.assertEqual(server.ask("GET", "/api/ping").status, 200)
        self.assertEqual(server.health.in_flight, 0)

    def access_lines(self, server: MemoryServer, *targets: str) -> list[str]:
        """Return the access log's lines."""
        with capturedLogs() as events:
            for target in targets:
                server.ask("GET", target, {"X-Request-ID": "r1"})
            server.site.stopFactory()
        texts = [e["log_lines"] for e in events if "log_lines" in e]
        return "".join(texts).splitlines()

    def test_access_log(self) -> None:
        """One line a request: when, who, what, how it ended; never the query."""
        server = MemoryServer()
        called, missing = self.access_lines(server, "/api/ip?token=secret", "/x%0Ay")
        self.assertEqual(
            called,
            "2023-11-14T22:13:20.000Z info [tbtwist.access] "
            "192.0.2.1 GET /api/ip 200 18 0.0ms r1",
        )
        self.assertIn(" GET /x%0Ay 404 ", missing)

    def test_access_log_as_json(self) -> None:
        """The same as JSON, for machines."""
        server = MemoryServer(limited(access_log_format="json"))
        (line,) = self.access_lines(server, "/api/ip?token=secret")
        self.assertEqual(
            json.loads(line),
            {"time": "2023-11-14T22:13:20.000Z", "level": "info",
             "logger": "tbtwist.access", "client": "192.0.2.1", "method": "GET",
             "path": "/api/ip", "status": 200, "bytes": 18, "duration_ms": 0.0,
             "request_id": "r1"},
        )  # fmt: skip

    def test_access_log_is_written_soon(self) -> None:
        """Lines are gathered for a tenth of a second, and written together."""
        server = MemoryServer()
        with capturedLogs() as events:
            for _ in range(3):
                server.ask("GET", "/health")
            self.assertEqual([e for e in events if "log_lines" in e], [])
            server.reactor.advance(0.1)
        (event,) = [e for e in events if "log_lines" in e]
        self.assertEqual(event["log_lines"].count("\n"), 3)

    def test_access_log_of_those_who_leave(self) -> None:
        """A client that left is logged as 499."""
        server = MemoryServer()
        connection = server.connect()
        connection.send(request_bytes("POST", "/api/M/f", {"Content-Length": "2"}))
        connection.leave()
        (line,) = self.access_lines(server)
        self.assertIn("POST /api/M/f 499 0 ", line)

    def test_off(self) -> None:
        """The access log can be switched off."""
        server = MemoryServer(limited(access_log=False))
        self.assertEqual(self.access_lines(server, "/health"), [])
