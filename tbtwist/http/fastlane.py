"""API calls answered on the reactor: no thread, no WSGI, one write (DESIGN D3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, Final, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.api.request import NO_BODY, Request
from tbtwist.api.response import FileBody, Response, StreamBody
from tbtwist.errors import Refused
from tbtwist.http.exchange import Exchange
from tbtwist.http.outflow import PIECE
from tbtwist.http.writing import LAST_CHUNK, chunk
from tbtwist.tracing import within

_log = Logger()
T = TypeVar("T")
Threads = Callable[[Callable[[], T]], Deferred[T]]
_GONE: Final = Refused(404, "The file is not there any more")


class ApiLane:
    """Hands one request to the core, and its response to the client."""

    def __init__(self, exchange: Exchange) -> None:
        head = exchange.head
        self._exchange = exchange
        self._dispatcher = exchange.house.dispatcher
        self._request = Request(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=exchange.headers,
            client_ip=exchange.client_ip,
            secure=exchange.secure,
            id=exchange.request_id,
            trace=exchange.trace,
        )
        self._reader = (
            self._dispatcher.body_reader(self._request) if head.length else None
        )
        self._running: Deferred[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        assert self._reader is not None
        self._reader.feed(data)

    def complete(self) -> None:
        """Read the body; `Refused` if it is no good."""
        if self._reader is not None:
            parsed = self._reader.finish()
            self._request = attrs.evolve(self._request, parsed=parsed)

    def start(self) -> None:
        """Run the core."""
        self._running = running = Deferred.fromCoroutine(self._run())
        _ = running.addErrback(self._failed)

    def cancel(self) -> None:
        """Stop the core, or the sending of its response."""
        if self._reader is not None:
            self._reader.discard()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        self._clean()

    async def _run(self) -> None:
        answering = self._dispatcher.handle(self._request)
        if self._request.trace is None:
            response = await answering
        else:  # in a context of its own: what comes after is no part of the trace
            response = await Deferred.fromCoroutine(answering)
        self._exchange.has_run()
        if isinstance(response.body, bytes):
            self._clean()
            self._exchange.answer(response)
        else:
            await self._send(response)

    def _failed(self, failure: Failure) -> None:
        """The client has left, or an answer broke off in the middle: cut it."""
        self._clean()
        if not failure.check(CancelledError):
            trace = self._request.trace
            within(trace, _log.failure, "an answer broke off", failure)
        self._exchange.line.abort()

    def _clean(self) -> None:
        if self._request.parsed is not NO_BODY:
            self._request.parsed.close()

    # --- bodies that come piece by piece -------------------------------------

    async def _send(self, response: Response) -> None:
        """Send a file or a stream, each piece when the client has taken the last."""
        body = response.body
        assert not isinstance(body, bytes)
        exchange = self._exchange
        try:
            source = await self._source(body)
        except OSError:
            exchange.answer(self._dispatcher.refuse(self._request, _GONE))
            return
        try:
            head = exchange.begin(response.status, response.headers, response.length)
            exchange.line.out.write(head)
            if not exchange.silent:
                await self._send_body(source)
        finally:
            await source.close()
            self._clean()
        exchange.finish()

    async def _source(self, body: FileBody | StreamBody) -> StreamBody:
        if not isinstance(body, FileBody):
            return body
        house = self._exchange.house

        def in_thread(work: Callable[[], T]) -> Deferred[T]:
            return deferToThreadPool(house.reactor, house.files, work)

        return await FilePieces.open(body, in_thread)

    async def _send_body(self, source: StreamBody) -> None:
        exchange = self._exchange
        out = exchange.line.out
        while (piece := await source.next()) is not None:
            exchange.sent_bytes += len(piece)
            out.write(chunk(piece) if exchange.chunked else piece)
            await out.drained()
        if exchange.chunked:
            out.write(LAST_CHUNK)


@attrs.define(eq=False)
class FilePieces:
    """A part of a file, 64 KiB at a time, read in a thread."""

    _file: BinaryIO
    _left: int
    _in_thread: Threads[Any]

    @classmethod
    async def open(cls, body: FileBody, in_thread: Threads[Any]) -> FilePieces:
        """Open the file; OSError if it went away."""

        def opened() -> BinaryIO:
            file = body.path.open("rb")
            file.seek(body.offset)
            return file

        return cls(await in_thread(opened), body.length, in_thread)

    async def next(self) -> bytes | None:
        """Return the next piece.

        Raises:
            OSError: the file is shorter than was announced.
        """
        if not self._left:
            return None
        size = min(self._left, PIECE)
        piece: bytes = await self._in_thread(lambda: self._file.read(size))
        if not piece:
            msg = "a file shrank while it was sent"
            raise OSError(msg)
        self._left -= len(piece)
        return piece

    async def close(self) -> None:
        """Close the file."""
        self._file.close()


class StarLane:
    """Answers ``OPTIONS *``: the server is there (RFC 9110 §9.3.7)."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def feed(self, data: bytes) -> None:
        """Ignore the body."""

    def complete(self) -> None:
        """Need nothing."""

    def start(self) -> None:
        """Say which methods there are."""
        methods = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        identity = ("X-Request-ID", self._exchange.request_id)
        self._exchange.answer(Response(204, (methods, identity)))

    def cancel(self) -> None:
        """Hold nothing."""
