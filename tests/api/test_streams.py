"""Streams: backpressure, one Task, no pool thread in between, cleaned up once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tbtwist.api.streams import WrongLength
from tbtwist.apps.result import Result
from tbtwist.errors import StreamStopped
from tests.api.answering import AnsweringTestCase, header, read, run, until


class SourceTests(AnsweringTestCase):
    """What can be streamed."""

    def test_kinds(self) -> None:
        """Generators of both kinds, iterables and single items are streams."""

        async def asynchronous() -> AsyncIterator[Any]:
            yield b"a"
            yield "ä"

        def synchronous() -> Iterator[Any]:
            yield b"a"
            yield bytearray(b"b")

        rows: list[tuple[Any, bytes]] = [
            (asynchronous(), "aä".encode()),
            (synchronous(), b"ab"),
            (["a", b"", "b"], b"ab"),
            (range(3), b"012"),
            ("text", b"text"),
            (b"bytes", b"bytes"),
            ({"a": 1}, b'{"a":1}'),
        ]
        for source, expected in rows:
            response = self.respond(Result.stream(source, "text/plain"))
            self.assertEqual((response.status, response.length), (200, None))
            self.assertEqual(header(response, "Content-Type"), "text/plain")
            self.assertEqual(header(response, "X-Accel-Buffering"), "no")
            self.assertEqual(self.content(response), expected)

    def test_events(self) -> None:
        """Without another type it is events, with the headers that proxies need."""
        response = self.respond(Result.sse(["x"]))
        self.assertEqual(header(response, "Content-Type"), "text/event-stream")
        self.assertEqual(header(response, "Cache-Control"), "no-cache")
        self.assertEqual(header(response, "X-Accel-Buffering"), "no")
        self.assertIn(b"data: x\n\n", self.content(response))

    def test_headers(self) -> None:
        """The application's headers win; framing is none of its business."""
        headers = {
            "cache-control": "private",
            "Connection": "keep-alive",
            "Transfer-Encoding": "chunked",
            "X-Own": "1\r\nSet-Cookie: x",
        }
        response = self.respond(Result.stream([], headers=headers))
        names = sorted(name for name, _ in response.headers)
        self.assertEqual(
            names, ["Content-Type", "X-Accel-Buffering", "X-Own", "cache-control"]
        )
        self.assertNotIn("\n", header(response, "X-Own") or "")

    def test_events_of_toolboxv2(self) -> None:
        """A stream that is the text of events already is passed on as it is."""
        result = Result.sse(["event: x\ndata: 1\n\n"])
        result.result.data["encoded"] = True
        self.assertEqual(self.content(self.respond(result)), b"event: x\ndata: 1\n\n")

    def test_length(self) -> None:
        """A promised length is announced, and kept or the answer is broken off."""
        for items, fits in ((["12", "345"], True), (["1"], False), (["123456"], False)):
            response = self.respond(Result.file_stream(items, "a", size=5))
            self.assertEqual(response.length, 5)
            if fits:
                self.assertEqual(self.content(response), b"12345")
            else:
                self.assertRaises(WrongLength, self.content, response)


class FlowTests(AnsweringTestCase):
    """When the generator runs."""

    def test_backpressure(self) -> None:
        """A generator takes a step when a piece is asked for, and not before."""
        steps: list[int] = []

        async def numbers() -> AsyncIterator[str]:
            for number in range(5):
                steps.append(number)
                yield str(number)

        async def scenario() -> None:
            body: Any = self.respond(Result.stream(numbers(), "text/plain")).body
            self.assertEqual(steps, [])
            self.assertEqual(await body.next(), b"0")
            await asyncio.sleep(0)
            self.assertEqual(steps, [0])
            self.assertEqual(await body.next(), b"1")
            self.assertEqual(steps, [0, 1])
            await body.close()

        run(scenario())

    def test_one_task(self) -> None:
        """What is open across a yield stays in one Task: timeouts, task groups."""
        tasks = []

        async def numbers() -> AsyncIterator[str]:
            async with asyncio.timeout(60), asyncio.TaskGroup():
                for _ in range(3):
                    tasks.append(asyncio.current_task())
                    yield "x"

        body = self.respond(Result.stream(numbers(), "text/plain")).body
        self.assertEqual(run(read(body)), b"xxx")
        self.assertEqual(len(set(tasks)), 1)

    def test_no_thread_between_steps(self) -> None:
        """More streams than threads make progress side by side."""

        def numbers() -> Iterator[str]:
            yield "1"
            yield "2"

        async def scenario() -> None:
            made = [
                self.respond(Result.stream(numbers(), "a/b")).body for _ in range(9)
            ]
            bodies: list[Any] = made
            for expected in (b"1", b"2", None):
                for body in bodies:
                    self.assertEqual(await body.next(), expected)
            self.assertEqual(self.pool.busy, 0)

        run(scenario())

    def test_steps_are_in_threads(self) -> None:
        """A generator without async never runs on the loop."""

        def names() -> Iterator[str]:
            yield threading.current_thread().name

        body = self.respond(Result.stream(names(), "text/plain")).body
        self.assertTrue(run(read(body)).startswith(b"app-"))

    def test_failure(self) -> None:
        """What a generator raises reaches the carrier, which cuts the connection."""

        async def numbers() -> AsyncIterator[str]:
            yield "1"
            raise RuntimeError

        response = self.respond(Result.stream(numbers(), "text/plain"))
        self.assertRaises(RuntimeError, self.content, response)


class CleanupTests(AnsweringTestCase):
    """Cleaning up."""

    def setUp(self) -> None:
        """Note what is cleaned up."""
        super().setUp()
        self.ended: list[str] = []

    async def numbers(self) -> AsyncIterator[str]:
        """Yield for ever; note the end."""
        try:
            while True:
                yield "x"
        finally:
            self.ended.append("generator")

    def stream(self, source: Any, *, kind: str = "text/plain") -> Any:
        """Return a body that notes when it is cleaned up."""
        cleanup = lambda: self.ended.append("cleanup")  # noqa: E731 - it is one
        result = Result.stream(source, kind, cleanup_func=cleanup)
        return self.respond(result).body

    def test_at_the_end(self) -> None:
        """When all has been sent, cleanup is done before the end is told."""

        async def scenario() -> None:
            for kind in ("text/plain", "text/event-stream"):
                body = self.stream(["x"], kind=kind)
                while await body.next() is not None:
                    self.assertEqual(self.ended, [])
                self.assertEqual(self.ended, ["cleanup"])
                await body.close()
                await body.close()
                self.assertEqual(self.ended, ["cleanup"])
                self.ended.clear()

        run(scenario())

    def test_when_the_client_leaves(self) -> None:
        """The generator is closed and cleaned up after, once."""

        async def scenario() -> None:
            for kind in ("text/plain", "text/event-stream"):
                body = self.stream(self.numbers(), kind=kind)
                await body.next()
                await body.next()
                await body.close()
                await body.close()
                self.assertEqual(self.ended, ["generator", "cleanup"])
                self.ended.clear()

        run(scenario())

    def test_while_a_piece_is_awaited(self) -> None:
        """A generator that waits for something is stopped there."""

        async def waits() -> AsyncIterator[str]:
            try:
                await asyncio.sleep(3600)
                yield "never"
            finally:
                self.ended.append("generator")

        async def scenario() -> None:
            body = self.stream(waits())
            asking = asyncio.ensure_future(body.next())
            await until(lambda: self.streams.count == 1)
            await asyncio.sleep(0)
            await body.close()
            with self.assertRaises(StreamStopped):
                await asking
            self.assertEqual(self.ended, ["generator", "cleanup"])

        run(scenario())

    def test_asking_is_given_up(self) -> None:
        """Who gives up asking, and asks again, loses no piece."""
        go = asyncio.Event()

        async def waits() -> AsyncIterator[str]:
            await go.wait()
            yield "1"
            yield "2"

        async def scenario() -> None:
            body = self.stream(waits())
            asking = asyncio.ensure_future(body.next())
            await until(lambda: self.streams.count == 1)
            asking.cancel()
            await asyncio.wait([asking])
            go.set()
            self.assertEqual([await body.next(), await body.next()], [b"1", b"2"])
            await body.close()

        run(scenario())

    def test_never_begun(self) -> None:
        """A stream that nobody asks (HEAD) is cleaned up as well."""
        run(self.stream(self.numbers()).close())
        self.assertEqual(self.ended, ["cleanup"])

    def test_after_a_failure(self) -> None:
        """A generator that fails is cleaned up after."""

        def numbers() -> Iterator[str]:
            yield "x"
            raise RuntimeError

        self.assertRaises(RuntimeError, run, read(self.stream(numbers())))
        self.assertEqual(self.ended, ["cleanup"])

    def test_threads(self) -> None:
        """A step in a thread cannot be stopped: its generator is closed after it."""
        began, go = threading.Event(), threading.Event()

        def numbers() -> Iterator[str]:
            try:
                began.set()
                go.wait(60)
                yield "x"
            finally:
                self.ended.append("generator")

        async def scenario() -> None:
            body = self.stream(numbers())
            asking = asyncio.ensure_future(body.next())
            await until(began.is_set)
            closing = asyncio.ensure_future(body.close())
            await asyncio.sleep(0)
            go.set()
            await closing
            await asyncio.wait([asking])
            self.assertEqual(self.ended, ["generator", "cleanup"])

        run(scenario())

    def test_kinds_of_cleanup(self) -> None:
        """A cleanup may be async, or even an async generator."""

        async def coroutine() -> None:
            self.ended.append("coroutine")

        async def generator() -> AsyncIterator[None]:
            self.ended.append("generator")
            yield

        for cleanup in (coroutine, generator, generator()):
            result = Result.stream([], "a/b", cleanup_func=cleanup)  # type: ignore[arg-type]
            run(read(self.respond(result).body))
        self.assertEqual(self.ended, ["coroutine", "generator", "generator"])

    def test_failing_cleanup(self) -> None:
        """A cleanup that fails is logged, and hurts nobody."""

        def fails() -> None:
            raise RuntimeError

        result = Result.stream(["x"], "a/b", cleanup_func=fails)
        self.assertEqual(run(read(self.respond(result).body)), b"x")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_no_thread_left(self) -> None:
        """Cleaning up happens also when the pool takes nothing any more."""

        async def scenario() -> None:
            body = self.stream(self.numbers())
            await body.next()
            self.pool.stop(lambda: None)
            await body.close()
            self.assertEqual(self.ended, ["generator", "cleanup"])

        run(scenario())

    def test_all(self) -> None:
        """When a worker stops, every stream is stopped and cleaned up after."""

        async def scenario() -> None:
            bodies = [self.stream(self.numbers()) for _ in range(3)]
            for body in bodies:
                await body.next()
            self.assertEqual(self.streams.count, 3)
            await self.streams.close()
            self.assertEqual(self.streams.count, 0)
            self.assertEqual(self.ended.count("cleanup"), 3)
            with self.assertRaises(StreamStopped):
                await bodies[0].next()

        run(scenario())
