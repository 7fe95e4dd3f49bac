"""The WSGI callable keeps PEP 3333 to the letter."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import attrs
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.apps.registry import App
from tbtwist.apps.result import Result
from tbtwist.errors import DeadlinePassed
from tbtwist.http.application import StreamBlocks, WsgiApplication
from tbtwist.http.bridges import GONE, Bridge, ClientGone, Work, loop_bridge
from tests.api.core import OPEN, make_dispatcher
from tests.api.sample import sample_app
from tests.api.test_bodies import FORM_DATA, Part, form

T = TypeVar("T")
WsgiCallable = Callable[..., Iterable[bytes]]


@attrs.frozen
class Got:
    """What a WSGI server got."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def run(application: WsgiCallable, **values: Any) -> Got:
    """Do what a WSGI server does with one request."""
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(values.pop("body", b""))}
    setup_testing_defaults(environ)
    environ.update({"QUERY_STRING": "", **values})
    started: list[Any] = []
    blocks = application(environ, lambda *args: started.append(args))
    try:
        body = b"".join(blocks)
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()
    return Got(started[-1][0], started[-1][1], body)


class FailingBridge:
    """A bridge on which something happens."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Raise."""
        work.close()
        raise self.error

    wait = __call__


class WsgiTestCase(SynchronousTestCase):
    """Has an application over the sample."""

    def setUp(self) -> None:
        """Make the application."""
        self.app = sample_app()
        self.addCleanup(self.app.pool.stop, lambda: None)
        self.bridge = loop_bridge()
        self.addCleanup(self.bridge.close)
        self.wsgi = self.over(self.bridge)

    def over(self, bridge: Bridge, app: App | None = None) -> WsgiApplication:
        """Return the application over another bridge."""
        return WsgiApplication(make_dispatcher(app or self.app, OPEN), bridge)


class ValidatorTests(WsgiTestCase):
    """The standard library's validator finds nothing."""

    def test_every_kind_of_answer(self) -> None:
        """Whatever is asked for, the protocol is kept."""
        path = Path(self.mktemp())
        path.write_bytes(b"file")

        @self.app.tb(mod_name="Open", name="file")
        async def file() -> Result:
            return Result.file_path(path)

        rows: list[tuple[str, dict[str, Any]]] = [
            ("200", {"PATH_INFO": "/health"}),
            ("200", {"PATH_INFO": "/health", "REQUEST_METHOD": "HEAD"}),
            ("204", {"PATH_INFO": "/api/Open/add", "REQUEST_METHOD": "OPTIONS"}),
            ("200", {"PATH_INFO": "/api/Open/add", "QUERY_STRING": "a=1"}),
            ("400", {"PATH_INFO": "/api/Open/add"}),
            ("401", {"PATH_INFO": "/api/Closed/mine"}),
            ("404", {"PATH_INFO": "/elsewhere"}),
            ("200", {"PATH_INFO": "/api/Open/page"}),
            ("200", {"PATH_INFO": "/api/Open/file"}),
            ("200", {"PATH_INFO": "/api/Open/file", "REQUEST_METHOD": "HEAD"}),
            ("413", {"PATH_INFO": "/api/Open/add", "CONTENT_LENGTH": str(10**9)}),
        ]
        for status, values in rows:
            got = run(validator(self.wsgi), **values)
            self.assertEqual(got.status[:3], status, values)
            length = dict(got.headers).get("Content-Length")
            if values.get("REQUEST_METHOD") != "HEAD" and length is not None:
                self.assertEqual(int(length), len(got.body))

    def test_body(self) -> None:
        """A body is read and given to the function."""
        got = run(
            validator(self.wsgi),
            PATH_INFO="/api/Open/add",
            REQUEST_METHOD="POST",
            CONTENT_TYPE="application/json",
            CONTENT_LENGTH="14",
            body=b'{"a":40,"b":2}GARBAGE',
        )
        self.assertIn(b'"data":42', got.body)


class StreamTests(WsgiTestCase):
    """Answers that are made while they are sent."""

    def setUp(self) -> None:
        """Register streams that note how they end."""
        super().setUp()
        self.steps: list[str] = []

        @self.app.tb(mod_name="Open", name="stream")
        async def stream(kind: str = "text/plain") -> Result:
            async def pieces() -> AsyncIterator[str]:
                try:
                    for piece in "abc":
                        self.steps.append(piece)
                        yield piece
                finally:
                    self.steps.append("closed")

            end = partial(self.steps.append, "cleaned up")
            return Result.stream(pieces(), kind, cleanup_func=end)

        @self.app.tb(mod_name="Open", name="fails")
        async def fails() -> Result:
            def pieces() -> Iterator[str]:
                yield "a"
                raise RuntimeError

            return Result.stream(pieces(), "text/plain")

    def begun(self) -> Any:
        """Return the iterable of an answer that has begun."""
        environ: dict[str, Any] = {"PATH_INFO": "/api/Open/stream"}
        setup_testing_defaults(environ)
        return self.wsgi(environ, lambda *_: None)

    def test_stream(self) -> None:
        """A stream has no length, and comes piece by piece."""
        got = run(validator(self.wsgi), PATH_INFO="/api/Open/stream")
        self.assertEqual((got.status, got.body), ("200 OK", b"abc"))
        self.assertNotIn("Content-Length", dict(got.headers))
        self.assertEqual(self.steps, ["a", "b", "c", "closed", "cleaned up"])

    def test_events(self) -> None:
        """Events are a stream like any other, without headers of one hop."""
        query = "kind=text/event-stream"
        got = run(
            validator(self.wsgi), PATH_INFO="/api/Open/stream", QUERY_STRING=query
        )
        self.assertTrue(got.body.startswith(b"event: stream_start\n"))
        self.assertNotIn("Connection", dict(got.headers))

    def test_pulled(self) -> None:
        """The next piece is made when the server asks for it."""
        blocks = self.begun()
        self.assertEqual((next(blocks), self.steps), (b"a", ["a"]))
        self.assertEqual((next(blocks), self.steps), (b"b", ["a", "b"]))
        blocks.close()
        self.assertEqual(self.steps, ["a", "b", "closed", "cleaned up"])

    def test_head(self) -> None:
        """HEAD makes no piece, and cleans up."""
        got = run(
            validator(self.wsgi), PATH_INFO="/api/Open/stream", REQUEST_METHOD="HEAD"
        )
        self.assertEqual((got.status, got.body), ("200 OK", b""))
        self.assertEqual(self.steps, ["cleaned up"])

    def test_failure(self) -> None:
        """A stream that fails is broken off: the server must see it."""
        self.assertRaises(RuntimeError, run, self.wsgi, PATH_INFO="/api/Open/fails")

    def test_client_left(self) -> None:
        """A client that has left is no error; a worker that stops is one."""
        body = self.begun()._body
        left: Deferred[None] = Deferred()
        gone = ClientGone(left)
        blocks = StreamBlocks(body, FailingBridge(CancelledError()), gone)
        self.assertRaises(CancelledError, next, blocks)
        left.errback(RuntimeError())
        self.assertEqual(list(blocks), [])


class UploadTests(WsgiTestCase):
    """Files under a WSGI server."""

    def test_the_core_is_never_reached(self) -> None:
        """When there is no way to the core, uploads are removed all the same."""
        settings = msgspec.structs.replace(OPEN, data_dir=self.mktemp())
        dispatcher = make_dispatcher(self.app, settings)
        self.addCleanup(dispatcher.uploads.close)
        body = form(Part("f", b"x" * 70_000, "a"))
        answers = []
        for bridge in (self.bridge, FailingBridge(DeadlinePassed(timeout_s=35))):
            got = run(
                validator(WsgiApplication(dispatcher, bridge)),
                PATH_INFO="/api/Open/add",
                QUERY_STRING="a=1",
                REQUEST_METHOD="POST",
                CONTENT_TYPE=FORM_DATA,
                CONTENT_LENGTH=str(len(body)),
                body=body,
            )
            answers.append(got.status[:3])
            self.assertEqual(list(Path(settings.data_dir).glob("uploads/*/*")), [])
        self.assertEqual(answers, ["200", "504"])


class FailureTests(WsgiTestCase):
    """What happens when the way to the core is broken."""

    def test_client_left(self) -> None:
        """A cancelled request ends as 499, which nobody reads."""
        for error in (
            CancelledError(),
            asyncio.CancelledError(),
            concurrent.futures.CancelledError(),
        ):
            got = run(self.over(FailingBridge(error)), PATH_INFO="/api/ping")
            self.assertEqual(got.status, "499 Client Closed Request")

    def test_stuck(self) -> None:
        """A core that does not answer is 504."""
        wsgi = self.over(FailingBridge(DeadlinePassed(timeout_s=35)))
        self.assertEqual(run(wsgi, PATH_INFO="/api/ping").status[:3], "504")

    def test_file_that_went_away(self) -> None:
        """A file that is gone when it should be sent is 404."""
        path = Path(self.mktemp())
        path.write_bytes(b"file")

        class Removes:
            def __call__(
                inner,  # noqa: N805 - self is the test
                work: Work[T],
                gone: ClientGone | None = None,
            ) -> T:
                response = self.bridge(work, gone)
                path.unlink()
                return response

            wait = __call__

        @self.app.tb(mod_name="Open", name="file")
        async def file() -> Result:
            return Result.file_path(path)

        got = run(self.over(Removes()), PATH_INFO="/api/Open/file")
        self.assertEqual(got.status[:3], "404")

    def test_the_bridge_learns_who_watches(self) -> None:
        """The server's notice of a client that leaves reaches the bridge."""
        seen: list[Any] = []

        class Notes:
            def __call__(
                inner,  # noqa: N805 - self is the test
                work: Work[T],
                gone: ClientGone | None = None,
            ) -> T:
                seen.append(gone)
                return self.bridge(work)

            wait = __call__

        run(self.over(Notes()), PATH_INFO="/api/ping", **{GONE: "watch"})
        self.assertEqual(seen, ["watch"])
