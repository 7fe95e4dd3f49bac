"""From a WSGI server's thread to where the core runs, and back.

A WSGI thread waits for its answer. Whatever happens there, it must not wait for
ever: not when the client leaves, not when the loop is stuck, and not when the
reactor stops underneath it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tbtwist.errors import DeadlinePassed, Refused

_log = Logger()

T = TypeVar("T")
Work = Coroutine[Any, Any, T]
GONE: Final = "tbtwist.client_gone"
"""The key under which our own server puts a `ClientGone` into the environ."""


class ClientGone:
    """Tells when the client of a request has left. On the reactor's thread only."""

    def __init__(self, finished: Deferred[None]) -> None:
        self._gone = False
        self._listener: Callable[[], object] | None = None
        _ = finished.addErrback(self._left)

    def _left(self, _failure: Failure) -> None:
        self._gone = True
        if self._listener is not None:
            self._listener()

    @property
    def left(self) -> bool:
        """Whether the client has left."""
        return self._gone

    def watch(self, listener: Callable[[], object]) -> None:
        """Call ``listener`` when the client leaves, at once if it has left."""
        self._listener = listener
        if self._gone:
            listener()


class Bridge(Protocol):
    """Runs a coroutine of the core for a thread that waits for the answer."""

    def __call__(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Return what ``work`` returns, or raise what it raises."""

    def wait(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Do the same without a deadline."""


@implementer(IReactorFromThreads)
class ThreadDoor:
    """A reactor's ``callFromThread``, also for the time after the reactor.

    Twisted's queue of calls from threads is not looked at any more once the
    reactor has stopped, so a thread in ``blockingCallFromThread`` would hang and
    keep the process alive. Here everything that was handed in is called: by the
    reactor, or, when that has stopped, by us.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], object]] = deque()
        self._closed = False
        IReactorCore(reactor).addSystemEventTrigger("after", "shutdown", self._close)

    @property
    def closed(self) -> bool:
        """Whether the reactor has stopped."""
        return self._closed

    def callFromThread(
        self,
        callable: Callable[..., object],  # noqa: A002 - the interface's name
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Call ``callable`` on the reactor's thread, or here if that is gone."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._waiting.append(partial(callable, *args, **kwargs))
        if closed:
            callable(*args, **kwargs)
        else:
            self._reactor.callFromThread(self._call_next)

    def _call_next(self) -> None:
        with self._lock:
            call = self._waiting.popleft() if self._waiting else None
        if call is not None:
            call()

    def _close(self) -> None:
        with self._lock:
            self._closed = True
        while self._waiting:
            with _log.failuresHandled("a call from a thread"):
                self._call_next()


@attrs.define(eq=False)
class _Call(Generic[T]):
    """One request on its way through the reactor."""

    work: Work[T]
    gone: ClientGone | None
    outcome: Future[T] = attrs.field(factory=Future)
    _running: Deferred[T] | None = None

    def start(self) -> None:
        """Run the work."""
        self._running = running = Deferred.fromCoroutine(self.work)
        _ = running.addCallbacks(self.outcome.set_result, self._failed)
        if self.gone is not None:
            self.gone.watch(self.cancel)

    def refuse(self) -> None:
        """Answer that there is nobody left to do the work."""
        self.work.close()
        self.outcome.set_exception(Refused(503, "The server is stopping"))

    def cancel(self) -> None:
        """Stop the work; its thread gets a CancelledError."""
        if self._running is not None:
            self._running.cancel()

    def _failed(self, failure: Failure) -> None:
        self.outcome.set_exception(failure.value)


class ReactorBridge:
    """Runs the core on the reactor. ``timeout_s`` is for a reactor that is stuck."""

    def __init__(self, reactor: Any, timeout_s: float) -> None:
        self._door = ThreadDoor(reactor)
        self._timeout_s = timeout_s
        self._calls: set[_Call[Any]] = set()
        IReactorCore(reactor).addSystemEventTrigger("after", "shutdown", self._close)

    def __call__(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Return what ``work`` returns.

        Raises:
            DeadlinePassed: there was no answer in ``timeout_s``.
            Refused: 503, the reactor has stopped.
            CancelledError: the client has left.
        """
        call = self._called(work, gone)
        try:
            return call.outcome.result(self._timeout_s)
        except TimeoutError:
            if call.outcome.done():
                raise
            self._door.callFromThread(call.cancel)
            raise DeadlinePassed(timeout_s=self._timeout_s) from None

    def wait(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Do the same without a deadline; the client and the reactor can end it."""
        return self._called(work, gone).outcome.result()

    def _called(self, work: Work[T], gone: ClientGone | None) -> _Call[T]:
        call = _Call(work, gone)
        self._door.callFromThread(self._start, call)
        return call

    def _start(self, call: _Call[Any]) -> None:
        if self._door.closed:
            call.refuse()
            return
        self._calls.add(call)
        call.outcome.add_done_callback(lambda _: self._calls.discard(call))
        call.start()

    def _close(self) -> None:
        for call in tuple(self._calls):
            call.cancel()


def reactor_bridge(reactor: Any, timeout_s: float) -> ReactorBridge:
    """Return a bridge to ``reactor`` that lets its threads go when that stops."""
    return ReactorBridge(reactor, timeout_s)


@attrs.define(eq=False)
class LoopBridge:
    """Runs the core on an asyncio loop in a thread of its own.

    The thread starts with the first request, so a server may fork before.
    """

    _timeout_s: float
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)

    def __call__(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Return what ``work`` returns; `DeadlinePassed` if that takes too long."""
        del gone  # other servers do not say when a client leaves
        running = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return running.result(self._timeout_s)
        except TimeoutError:
            if running.done():
                raise
            running.cancel()
            raise DeadlinePassed(timeout_s=self._timeout_s) from None

    def wait(self, work: Work[T], gone: ClientGone | None = None) -> T:
        """Return what ``work`` returns, however long that takes."""
        del gone  # as above
        return asyncio.run_coroutine_threadsafe(work, self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="tbtwist-core", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Stop the loop and its thread; what still runs there is cancelled."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def loop_bridge(timeout_s: float = 60.0) -> LoopBridge:
    """Return a bridge to a background asyncio loop, for other WSGI servers."""
    return LoopBridge(timeout_s)
