"""Turns results into responses, and reads streams, each on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.request import NO_BODY, ParsedBody, Request
from tbtwist.api.response import Response
from tbtwist.api.results import Answering, to_response
from tbtwist.api.streams import Streams
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.result import Result
from tbtwist.apps.runner import LoopRunner

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of asyncio."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


async def read(body: Any) -> bytes:
    """Return all that a stream yields, and close it."""
    pieces = [piece async for piece in pieces_of(body)]
    await body.close()
    return b"".join(pieces)


async def pieces_of(body: Any) -> Any:
    """Yield what a stream yields."""
    while (piece := await body.next()) is not None:
        yield piece


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until ``condition`` holds; the test's own timeout bounds it."""
    while not condition():
        await asyncio.sleep(0)


class AnsweringTestCase(SynchronousTestCase):
    """Has streams, and answers requests with results."""

    def setUp(self) -> None:
        """Make a pool that ends with the test."""
        self.pool = SyncPool(threads=2, queue=5)
        self.addCleanup(self.pool.stop, lambda: None)
        self.streams = Streams(LoopRunner(), lambda: self.pool)

    def respond(
        self,
        result: Result,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        parsed: ParsedBody = NO_BODY,
    ) -> Response:
        """Return the response to a request that ``result`` is the result of."""
        request = Request(method, "/api/M/f", headers=headers or {}, parsed=parsed)
        answering = Answering(request, self.streams, lambda size: b"\xab" * size)
        return to_response(result, answering)

    def content(self, response: Response) -> bytes:
        """Return a body that is bytes, a file or a stream."""
        body = response.body
        if isinstance(body, bytes):
            return body
        if hasattr(body, "next"):
            return run(read(body))
        return body.path.read_bytes()[body.offset : body.offset + body.length]


def header(response: Response, name: str) -> str | None:
    """Return a header, or None."""
    return dict(response.headers).get(name)
