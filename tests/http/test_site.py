"""Our own server, from the first byte to the last."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.api.core import NOW, OPEN
from tests.http.memory import MemoryServer, limited, request_bytes


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
        self.server.application.owns = None  # type: ignore[assignment]
        reply = self.server.ask("GET", "/health")
        self.assertEqual(reply.status, 500)
        self.assertNotIn(b"Traceback", reply.body)
        self.assertNotIn(b"NoneType", reply.body)
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
        """A drain closes what is idle and leaves what is busy."""
        busy = self.server.connect()
        busy.send(
            b"POST /api/Open/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        )
        self.server.site.close_idle()
        self.assertTrue(self.connection.closing)
        self.assertFalse(busy.closing)
        self.server.health.draining = True
        busy.send(b"hello")
        (reply,) = busy.replies()
        self.assertEqual((reply.status, reply.header("Connection")), (200, "close"))

    def test_lost_connections_are_forgotten(self) -> None:
        """A closed connection leaves nothing behind."""
        self.connection.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.server.site.house.channels, set())
        self.assertEqual(self.server.reactor.getDelayedCalls(), [])

    def test_malformed(self) -> None:
        """Nonsense is 400 and the end of the connection, without internals."""
        self.connection.send(b"nonsense\r\n\r\n")
        self.assertEqual(
            self.connection.transport.value(), b"HTTP/1.1 400 Bad Request\r\n\r\n"
        )
        self.assertTrue(self.connection.closing)

    def test_too_many_headers(self) -> None:
        """More than 64 headers are refused."""
        self.connection.send(
            request_bytes("GET", "/", {f"h{n}": "x" for n in range(65)})
        )
        self.assertIn(b" 400 ", self.connection.transport.value())
        self.assertTrue(self.connection.closing)


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
        connection.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            (server.health.in_flight, server.health.requests_total), (0, 2)
        )

    def test_full(self) -> None:
        """More requests than the worker can queue are 503 with Retry-After."""
        server = MemoryServer(limited(backlog=1))
        waiting = server.connect()
        waiting.send(request_bytes("POST", "/api/Open/echo", {"Content-Length": "2"}))
        reply = server.ask("GET", "/api/ping")
        self.assertEqual((reply.status, reply.header("Retry-After")), (503, "1"))
        self.assertEqual(reply.json["error"], "ServiceUnavailable")
        waiting.send(b"{}")
        self.assertEqual(server.ask("GET", "/api/ping").status, 200)

    def access_events(self, server: MemoryServer, *targets: str) -> list[Any]:
        """Return the access log's events."""
        with capturedLogs() as events:
            for target in targets:
                server.ask("GET", target, {"X-Request-ID": "r1"})
        return [e for e in events if e["log_namespace"] == "tbtwist.access"]

    def test_access_log(self) -> None:
        """One event a request: who, what, how it ended; never the query."""
        server = MemoryServer()
        called, missing = self.access_events(server, "/api/ip?token=secret", "/x%0Ay")
        self.assertEqual(
            {key: called[key] for key in ("client", "method", "path", "status", "bytes")},
            {"client": "192.0.2.1", "method": "GET", "path": "/api/ip", "status": 200,
             "bytes": len(b'{"ip":"192.0.2.1"}')},
        )  # fmt: skip
        self.assertEqual(called["request_id"], "r1")
        self.assertNotIn("secret", repr(called))
        self.assertEqual((missing["status"], missing["path"]), (404, "/x%0Ay"))

    def test_access_log_of_those_who_leave(self) -> None:
        """A client that left is logged as 499."""
        server = MemoryServer()
        connection = server.connect()
        connection.send(request_bytes("POST", "/api/M/f", {"Content-Length": "2"}))
        with capturedLogs() as events:
            connection.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([e["status"] for e in events if "status" in e], [499])

    def test_off(self) -> None:
        """The access log can be switched off."""
        server = MemoryServer(limited(access_log=False))
        self.assertEqual(self.access_events(server, "/health"), [])
