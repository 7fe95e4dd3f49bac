"""The way between asyncio code and the reactor's thread.

On a reactor that runs on an asyncio loop the two are one thread; on any other
reactor coroutines run on a loop in a background thread, and under a plain WSGI
server there is no reactor at all. Whoever starts a coroutine says which it is
(`Home`), and everything that runs on behalf of it finds that out from its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread

T = TypeVar("T")


class CallOnReactor(Protocol):
    """Calls a function on the reactor's thread, from any thread, in order."""

    def __call__(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function``: at once if this is the reactor's thread."""


def reactor_caller(reactor: IReactorFromThreads) -> CallOnReactor:
    """Return the `CallOnReactor` of a reactor."""

    def call(function: Callable[..., object], *args: Any) -> None:
        if isInIOThread():
            function(*args)
        else:
            reactor.callFromThread(function, *args)

    return call


@attrs.frozen(eq=False)
class Home:
    """Where a piece of work runs: its loop, and the way to the reactor, if any."""

    loop: asyncio.AbstractEventLoop
    call_on_reactor: CallOnReactor | None


HOME: Final[ContextVar[Home | None]] = ContextVar("tbtwist_home", default=None)


def current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class NoReactor(RuntimeError):
    """There is no reactor here: this function needs one of our own workers."""


def on_reactor(
    call: CallOnReactor, function: Callable[..., Any], *args: Any
) -> asyncio.Future[Any]:
    """Call ``function`` on the reactor's thread; the future gets what comes of it.

    ``function`` may return a Deferred or be a coroutine function. Cancelling the
    future cancels the Deferred.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    running: list[Deferred[Any]] = []

    def start() -> None:
        deferred: Deferred[Any] = maybeDeferred(function, *args)
        running.append(deferred)
        _ = deferred.addBoth(lambda outcome: post(loop, settle, future, outcome))

    def cancel() -> None:
        for deferred in running:
            deferred.cancel()

    def ended(future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            call(cancel)

    future.add_done_callback(ended)
    call(start)
    return future


def deferred_to_future(deferred: Deferred[T]) -> asyncio.Future[T]:
    """Return a future for ``deferred``, to be awaited in an application's coroutine.

    A Deferred cannot be awaited in an asyncio Task. Cancelling the future cancels
    the Deferred.
    """
    home = HOME.get()
    if home is None or home.call_on_reactor is None:
        return deferred.asFuture(asyncio.get_running_loop())
    return on_reactor(home.call_on_reactor, lambda: deferred)


def settle(future: asyncio.Future[Any] | Future[Any], outcome: object) -> None:
    """Give ``outcome`` (a value or a Failure) to a future that may be done already."""
    if future.done():
        return
    if isinstance(outcome, Failure) and outcome.value is not None:
        future.set_exception(settable(outcome.value))
    else:
        future.set_result(outcome)


def settable(error: BaseException) -> Exception:
    """Return ``error`` as something that ends one call and nothing else.

    SystemExit would end the loop, and StopIteration means something else to it.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return carried(error)


def carried(error: BaseException) -> RuntimeError:
    """Return an ordinary exception that says what a function raised."""
    carrier = RuntimeError(f"the function raised {type(error).__name__}")
    carrier.__cause__ = error
    return carrier


def post(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any
) -> None:
    """Call ``function`` on ``loop``, unless that has ended and nobody waits."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *args)
