"""Streams on a reactor, where Deferreds wait for an application's generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - the real one
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from tbtwist.api.streams import Stream, Streams
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.runner import ReactorRunner
from tbtwist.errors import StreamStopped
from tbtwist.tracing import Trace, current_trace, within

reactor: Any = _reactor


class ReactorStreamTests(TestCase):
    """The same promises as on an asyncio loop."""

    def setUp(self) -> None:
        """Make a runner and a pool that end with the test."""
        self.runner = ReactorRunner(reactor)
        self.runner.startService()
        self.addCleanup(self.runner.stopService)
        self.pool = SyncPool(threads=1, queue=5)
        self.addCleanup(self.stop_pool)
        self.streams = Streams(self.runner, lambda: self.pool)
        self.ended: list[str] = []

    def stop_pool(self) -> Deferred[None]:
        """Fires when the pool's threads have ended."""
        done: Deferred[None] = Deferred()
        self.pool.stop(lambda: reactor.callFromThread(done.callback, None))
        return done

    def stream(self, source: object) -> Stream:
        """Return a stream that notes when it is cleaned up."""
        return self.streams.make(source, cleanups=(lambda: self.ended.append("done"),))

    async def test_under_a_trace(self) -> None:
        """All of a stream is under the trace of the request that it answers."""
        trace = Trace("ab" * 16, "cd" * 8)

        async def asynchronous() -> AsyncIterator[str]:
            for _ in range(2):
                await asyncio.sleep(0)
                yield str(current_trace() is trace)

        def synchronous() -> Iterator[str]:
            yield str(current_trace() is trace)
            yield str(current_trace() is trace)

        for source in (asynchronous(), synchronous()):
            body = within(trace, self.stream, source)
            pieces = [await body.next() for _ in range(3)]
            self.assertEqual(pieces, [b"True", b"True", None])
            await body.close()
        self.assertIsNone(current_trace())

    async def test_both_kinds(self) -> None:
        """Generators of either kind give their pieces one by one."""

        async def asynchronous() -> AsyncIterator[str]:
            for text in "ab":
                await asyncio.sleep(0)
                yield text

        def synchronous() -> Iterator[str]:
            yield from "ab"

        for source in (asynchronous(), synchronous()):
            body = self.stream(source)
            pieces = [await body.next() for _ in range(3)]
            self.assertEqual(pieces, [b"a", b"b", None])
            await body.close()
        self.assertEqual(self.ended, ["done", "done"])

    async def test_client_leaves(self) -> None:
        """Cancelled while it waits and then closed, a stream is cleaned up after."""

        async def waits() -> AsyncIterator[str]:
            try:
                yield "a"
                await asyncio.sleep(3600)
            finally:
                self.ended.append("generator")

        body = self.stream(waits())
        self.assertEqual(await body.next(), b"a")
        asking = Deferred.fromCoroutine(body.next())
        asking.cancel()
        await self.assertFailure(asking, CancelledError)
        await body.close()
        self.assertEqual(self.ended, ["generator", "done"])
        self.assertEqual(self.streams.count, 0)

    async def test_worker_stops(self) -> None:
        """When the worker stops, whoever waits for a piece learns that none comes."""

        async def waits() -> AsyncIterator[str]:
            await asyncio.sleep(3600)
            yield "never"

        asking = Deferred.fromCoroutine(self.stream(waits()).next())
        while not self.streams.count:
            await self.turn()
        await self.streams.close()
        await self.assertFailure(asking, StreamStopped)
        self.assertEqual(self.ended, ["done"])

    def turn(self) -> Deferred[None]:
        """Fires when the reactor has had a turn."""
        done: Deferred[None] = Deferred()
        reactor.callLater(0, done.callback, None)
        return done
