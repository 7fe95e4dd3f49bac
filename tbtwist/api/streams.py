"""Answers that are made while they are sent (DESIGN D6).

One asyncio Task goes through an application's generator from its start to its
end, so what a generator holds open across a ``yield`` stays in one Task. It takes
a step when somebody asks for a piece, and only then. A generator without ``async``
takes its steps in the application's pool, and holds no thread in between.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from inspect import (
    isasyncgen,
    isasyncgenfunction,
    isawaitable,
    iscoroutinefunction,
)
from typing import Any, Final

import attrs
from twisted.logger import Logger

from tbtwist.api.sse import events
from tbtwist.apps.encoding import to_json
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.result import EVENT_STREAM
from tbtwist.apps.runner import Runner
from tbtwist.errors import DeadlinePassed, PoolFull, StreamStopped
from tbtwist.tracing import CURRENT, Trace, current_trace

_log = Logger()
_CLOSE_S: Final = 5.0
_END: Final = object()
_SINGLE: Final = (str, bytes, bytearray, memoryview, Mapping)
Pieces = AsyncGenerator[bytes, None]
Call = Callable[[], object]


class WrongLength(Exception):
    """A stream has not the length that its application promised."""


@attrs.define(eq=False)
class Stream:
    """A `tbtwist.api.response.StreamBody`; ``cleanups`` are called once, in the end.

    All but `next` and `close` happens on the loop of application code, under the
    trace of the request that made it.
    """

    _pieces: Pieces
    _cleanups: tuple[Call, ...]
    _runner: Runner
    _pool: SyncPool
    _live: set[Stream]
    _trace: Trace | None = attrs.field(factory=current_trace, init=False)
    _task: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _piece: asyncio.Future[bytes] | None = attrs.field(default=None, init=False)
    _wanted: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _ending: bool = attrs.field(default=False, init=False)

    async def next(self) -> bytes | None:
        """Return the next piece; None: that was all.

        Raises:
            StreamStopped: it was closed while somebody waited for this piece.
        """
        return await self._runner.run(self._take, timeout_s=math.inf)

    async def close(self) -> None:
        """Stop the generator and clean up; from the second time on, only wait."""
        try:
            await self._runner.run(self.stop, timeout_s=_CLOSE_S)
        except DeadlinePassed:
            _log.warn("a stream did not end within {seconds} s", seconds=_CLOSE_S)

    async def _take(self) -> bytes | None:
        task = self._task
        if task is None:
            task = self._start(self._run())
        if self._piece is None and not task.done():
            self._piece = asyncio.get_running_loop().create_future()
            self._wanted.set()
        piece = self._piece
        if piece is None:
            return _end_of(task)
        await asyncio.wait((piece, task), return_when=asyncio.FIRST_COMPLETED)
        self._piece = None
        return piece.result() if piece.done() else _end_of(task)

    async def stop(self) -> None:
        """As `close`, on the loop of application code."""
        task = self._task
        if task is None:
            task = self._start(self._clean_up())
        elif not self._ending:
            task.cancel()
        await asyncio.wait((task,))

    def _start(self, work: Any) -> asyncio.Task[None]:
        self._live.add(self)
        CURRENT.set(self._trace)
        self._task = task = asyncio.get_running_loop().create_task(work)
        return task

    async def _run(self) -> None:
        try:
            while (piece := await self._made()) is not None:
                if self._piece is not None:
                    self._piece.set_result(piece)
        finally:
            await self._clean_up()

    async def _made(self) -> bytes | None:
        """Wait until a piece is wanted, and make it."""
        await self._wanted.wait()
        self._wanted.clear()
        return await anext(self._pieces, None)

    async def _clean_up(self) -> None:
        self._ending = True
        self._live.discard(self)
        for cleanup in (partial(_close, self._pieces), *self._cleanups):
            try:
                await _called(cleanup, self._pool)
            except Exception:  # noqa: BLE001 - the application's; others must follow
                _log.failure("cleaning up after a stream failed")


def _end_of(task: asyncio.Task[None]) -> bytes | None:
    """Return None for a generator that came to its end, or raise what ended it."""
    if task.cancelled():
        raise StreamStopped
    return task.result()


async def _called(cleanup: Any, pool: SyncPool) -> None:
    """Do what ``cleanup`` is for: a function of any kind, or an async generator."""
    value = cleanup
    if iscoroutinefunction(cleanup) or isasyncgenfunction(cleanup):
        value = cleanup()
    elif callable(cleanup):
        value = await _in_pool(cleanup, pool)
    if isasyncgen(value):
        async for _ in value:
            pass
    elif isawaitable(value):
        await value


async def _close(source: Any) -> None:
    await source.aclose()


async def _in_pool(work: Call, pool: SyncPool) -> object:
    """Run ``work`` in a thread; right here if there is none to be had."""
    try:
        return await pool.run(work)
    except PoolFull:
        return work()


@attrs.define(eq=False)
class Streams:
    """Makes streams, and knows those that are under way."""

    _runner: Runner
    _pool: Callable[[], SyncPool]
    _live: set[Stream] = attrs.field(factory=set, init=False)

    def make(
        self,
        source: object,
        content_type: str = "application/octet-stream",
        *,
        length: int | None = None,
        cleanups: Iterable[Call] = (),
    ) -> Stream:
        """Return the body that ``source`` yields, as events if its type says so.

        ``source`` is a generator of either kind, any iterable, or a single item.
        With a ``length``, it has that length or is cut.
        """
        pool = self._pool()
        items = _items(source, pool)
        if is_event_stream(content_type):
            pieces: Pieces = events(items)
        else:
            pieces = _encoded(items, length)
        ends = (*_closing(source), *cleanups)
        return Stream(pieces, ends, self._runner, pool, self._live)

    @property
    def count(self) -> int:
        """Return how many have begun and not ended."""
        return len(self._live)

    async def close(self) -> None:
        """Stop all streams and clean up after them."""
        try:
            await self._runner.run(self._stop, timeout_s=_CLOSE_S)
        except DeadlinePassed:
            _log.warn("{count} streams did not end", count=len(self._live))

    async def _stop(self) -> None:
        await asyncio.gather(*(stream.stop() for stream in tuple(self._live)))


def is_event_stream(content_type: str) -> bool:
    """Whether a type is that of Server-Sent Events."""
    return content_type.partition(";")[0].strip().lower() == EVENT_STREAM


async def _encoded(items: AsyncGenerator[Any, None], length: int | None) -> Pieces:
    sent = 0
    async with aclosing(items):
        async for item in items:
            piece = _bytes(item)
            sent += len(piece)
            if length is not None and sent > length:
                raise WrongLength
            if piece:
                yield piece
    if length is not None and sent != length:
        raise WrongLength


def _bytes(item: object) -> bytes:
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    return item.encode("utf-8", "replace") if isinstance(item, str) else to_json(item)


async def _items(source: Any, pool: SyncPool) -> AsyncGenerator[Any, None]:
    """Yield what ``source`` has to give."""
    if hasattr(source, "__aiter__"):
        async for item in source:
            yield item
    elif isinstance(source, list | tuple | set | frozenset):
        for item in source:
            yield item
    elif isinstance(source, Iterable) and not isinstance(source, _SINGLE):
        steps = iter(source)
        while (item := await _step(steps, pool)) is not _END:
            yield item
    else:
        yield source


def _closing(source: Any) -> tuple[Call, ...]:
    """Return what closes ``source``, if anything does."""
    if hasattr(source, "aclose"):
        return (partial(_close, source),)
    return (source.close,) if hasattr(source, "close") else ()


async def _step(source: Iterator[Any], pool: SyncPool) -> Any:
    """Take one step; one that has begun is waited for, since it cannot be stopped."""
    running = asyncio.ensure_future(pool.run(partial(next, source, _END)))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
