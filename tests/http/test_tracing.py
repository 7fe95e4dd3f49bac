"""W3C Trace Context over HTTP, on both lanes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.dispatch import Dispatcher
from tbtwist.apps.registry import App
from tbtwist.apps.request import RequestData
from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import loop_bridge
from tbtwist.observe.logs import observer
from tbtwist.observe.records import Source
from tbtwist.tracing import current_trace
from tests.api.core import OPEN, make_dispatcher
from tests.http.cores import Core
from tests.http.memory import MemoryServer, limited, request_bytes
from tests.http.mounting import MountedCase

_log = Logger(namespace="shop")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OURS = f"00-{TRACE_ID}-abababababababab-01"
"""Our own span: the random bytes of `make_dispatcher` are all alike."""
SOURCE = Source("http-1", "http", lambda: 7)
PATH = "/api/Open/trace"


def traced_app() -> App:
    """Return an application that tells which trace it works under."""
    app = App()

    @app.tb(mod_name="Open", name="trace", api=True)
    async def trace(request: RequestData) -> object:
        _log.info("tracing")
        found = current_trace()
        return {
            "request": request.traceparent,
            "came": request.headers.traceparent,
            "current": found and found.traceparent,
            "state": found and found.state,
        }

    @app.tb(mod_name="Open", name="fails", api=True)
    async def fails() -> None:
        raise ZeroDivisionError

    return app


class Heard:
    """What a worker logs, as JSON."""

    def __init__(self, case: Any) -> None:
        self._stream = io.StringIO()
        listener = observer(self._stream, "json", "INFO", SOURCE)
        globalLogPublisher.addObserver(listener)
        case.addCleanup(globalLogPublisher.removeObserver, listener)

    def records(self, logger: str) -> list[dict[str, Any]]:
        """Return the records of a logger."""
        lines = self._stream.getvalue().splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if record["logger"] == logger]


class Lane:
    """The same for both lanes."""

    lane = "auto"

    def serve(self: Any, log_format: str = "json") -> None:
        """Serve the application."""
        settings = limited(lane=self.lane, access_log_format=log_format)
        self.server = MemoryServer(settings, traced_app())
        self.heard = Heard(self)

    def ask(self: Any, path: str = PATH, **headers: str) -> Any:
        """Return the data of an answer."""
        reply = self.server.ask("GET", path, headers)
        return reply.json["result"]["data"] if reply.status == 200 else reply.status

    def access(self: Any) -> list[dict[str, Any]]:
        """Return the records of the access log."""
        self.server.reactor.advance(1)
        return list(self.heard.records("tbtwist.access"))

    def test_handler(self: Any) -> None:
        """A handler works in a span of our own, below the client's."""
        self.serve()
        self.assertEqual(
            self.ask(traceparent=PARENT, tracestate="a=1"),
            {"request": OURS, "came": PARENT, "current": OURS, "state": "a=1"},
        )

    def test_none(self: Any) -> None:
        """Without a trace, and with one that is none, there is none."""
        self.serve()
        for headers in ({}, {"traceparent": "00-x"}, {"tracestate": "a=1"}):
            data = self.ask(**headers)
            self.assertEqual(
                (data["request"], data["current"], data["state"]), (None, None, None)
            )
        for record in [*self.access(), *self.heard.records("shop")]:
            self.assertNotIn("trace_id", record)
            self.assertNotIn("span_id", record)

    def test_logs(self: Any) -> None:
        """The access log and what a handler logs name trace and span."""
        self.serve()
        self.ask(traceparent=PARENT)
        (access,), (written,) = self.access(), self.heard.records("shop")
        for record in (access, written):
            self.assertEqual(record["trace_id"], TRACE_ID)
            self.assertEqual(record["span_id"], "ab" * 8)
        self.assertEqual(written["message"], "tracing")

    def test_text_log(self: Any) -> None:
        """In text they are at the end of the line."""
        self.serve("text")
        lines: list[str] = []
        self.patch(self.server.site.house.access_log, "_format", _spy(self, lines))
        self.ask(traceparent=PARENT)
        self.ask()
        self.server.reactor.advance(1)
        traced, plain = "".join(lines).splitlines()
        end = f" trace_id={TRACE_ID} span_id=abababababababab"
        self.assertTrue(traced.endswith(end), traced)
        self.assertNotIn("trace_id", plain)

    def test_failure(self: Any) -> None:
        """What a failing handler raised is logged under the request's trace."""
        self.serve()
        self.assertEqual(self.ask("/api/Open/fails", traceparent=PARENT), 500)
        (record,) = self.heard.records("tbtwist.apps.calls")
        self.assertEqual(record["trace_id"], TRACE_ID)
        self.assertIn("ZeroDivisionError", record["traceback"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_core_failure(self: Any) -> None:
        """So is what went wrong in ourselves."""
        self.serve()

        async def fail(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(Dispatcher, "_answer", fail)
        self.assertEqual(self.ask(traceparent=PARENT), 500)
        (record,) = self.heard.records("tbtwist.api.dispatch")
        self.assertEqual(record["trace_id"], TRACE_ID)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_next_request(self: Any) -> None:
        """The next request on the connection, also a pipelined one, is no part of it."""
        self.serve()
        connection = self.server.connect()
        connection.send(
            request_bytes("GET", PATH, {"traceparent": PARENT})
            + request_bytes("GET", PATH)
            + request_bytes("GET", PATH, {"traceparent": PARENT.replace("4bf", "5bf")})
        )
        found = [r.json["result"]["data"]["current"] for r in connection.replies()]
        self.assertEqual(found, [OURS, None, OURS.replace("4bf", "5bf")])
        self.assertIsNone(current_trace())


def _spy(case: Any, lines: list[str]) -> Any:
    """Return the access log's format, which keeps what it makes."""
    made = case.server.site.house.access_log._format

    def form(records: Any) -> str:
        text: str = made(records)
        lines.append(text)
        return text

    return form


class FastLaneTests(Lane, SynchronousTestCase):
    """Calls that are answered on the reactor."""

    def test_broken_off(self) -> None:
        """An answer that breaks off is logged under its trace."""
        self.serve()
        server: MemoryServer = self.server
        core = Core.before(server)
        core.answer = Deferred()
        connection = server.connect()
        connection.send(request_bytes("GET", "/api/Open/x", {"traceparent": PARENT}))
        core.answer.errback(ZeroDivisionError())
        (record,) = self.heard.records("tbtwist.http.fastlane")
        self.assertEqual(record["trace_id"], TRACE_ID)
        self.flushLoggedErrors(ZeroDivisionError)


class WsgiLaneTests(Lane, SynchronousTestCase):
    """Calls that are answered through WSGI."""

    lane = "wsgi"


class ForeignServerTests(SynchronousTestCase):
    """The application under another WSGI server."""

    def test_traced(self) -> None:
        """A call has a span of its own there, too."""
        bridge = loop_bridge(30)
        self.addCleanup(bridge.close)
        application = WsgiApplication(make_dispatcher(traced_app(), OPEN), bridge)
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": PATH,
            "HTTP_TRACEPARENT": PARENT,
        }
        body = b"".join(application(environ, lambda *_: None))
        data = json.loads(body)["result"]["data"]
        self.assertEqual((data["came"], data["current"]), (PARENT, data["request"]))
        self.assertTrue(data["request"].startswith(f"00-{TRACE_ID}-"))
        self.assertNotEqual(data["request"], PARENT)


class MountTests(MountedCase):
    """Applications of others."""

    async def test_mount(self) -> None:
        """A mounted application gets the header as it came, and logs under the trace."""
        heard = Heard(self)
        seen: list[Any] = []

        def blocks() -> Iterator[bytes]:
            seen.append(current_trace())
            _log.info("in the middle")
            yield b"ok"

        def application(environ: Any, start_response: Any) -> Iterator[bytes]:
            seen.append(environ.get("HTTP_TRACEPARENT"))
            start_response("200 OK", [])
            return blocks()

        self.serve({"/shop": application})
        await self.ask("GET", "/shop/", {"traceparent": PARENT})
        await self.ask("GET", "/shop/")
        came, trace, *nothing = seen
        self.assertEqual((came, trace.trace_id), (PARENT, TRACE_ID))
        self.assertEqual(nothing, [None, None])
        traced, plain = heard.records("shop")
        self.assertEqual(traced["trace_id"], TRACE_ID)
        self.assertNotIn("trace_id", plain)

    async def test_broken_resource(self) -> None:
        """What an application of somebody else raises is logged under the trace."""
        heard = Heard(self)

        def application(environ: Any, start_response: Any) -> Iterator[bytes]:
            raise ZeroDivisionError

        self.serve({"/shop": application})
        await self.ask("GET", "/shop/", {"traceparent": PARENT})
        (record,) = heard.records("tbtwist.http.mounts")
        self.assertEqual(record["trace_id"], TRACE_ID)
        self.flushLoggedErrors(ZeroDivisionError)
