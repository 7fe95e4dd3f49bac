"""How a function is run, whatever its kind, and what becomes of what it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from tbtwist.apps.crossing import (
    HOME,
    CallOnReactor,
    NoReactor,
    current_loop,
    deferred_to_future,
    on_reactor,
)
from tbtwist.apps.functions import Function
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result
from tbtwist.apps.signature import Call
from tbtwist.errors import (
    BadArgument,
    DeadlinePassed,
    FunctionNotFound,
    MissingArgument,
    PoolFull,
    TbtwistError,
)
from tbtwist.tracing import current_trace, within

_log = Logger()

INTERNAL: Final = "Internal error"
"""What clients read about an exception that is none of their business."""

_GRACE_S: Final = 1.0
"""How much longer a thread waits than its coroutine may take: the loop may be gone."""

_CALLER_ERRORS: Final[Mapping[type[TbtwistError], int]] = {
    FunctionNotFound: 404,
    MissingArgument: 400,
    BadArgument: 422,
}
_OUR_ERRORS: Final[Mapping[type[TbtwistError], int]] = {
    PoolFull: 503,
    DeadlinePassed: 504,
}


def bind(function: Function, app: object, kwargs: Mapping[str, Any]) -> Call:
    """Return the call of ``function`` with what a client sent (see `Signature.bind`).

    ``data`` that the function has no parameter for becomes ``request.data`` where
    it asked for the request (R8.3).
    """
    signature = function.signature
    call = signature.bind(app, kwargs, hidden=not function.request_as_kwarg)
    request = kwargs.get("request")
    if function.request_as_kwarg and isinstance(request, RequestData):
        request.data = kwargs.get("data")
    return call


async def perform(call: Call, pool: SyncPool) -> Any:
    """Make a call and wait for its value.

    ``async def`` runs right here, ``def`` in the pool; a Deferred is waited for.
    """
    value = await (call() if call.is_coroutine else pool.run(call))
    return await awaited(value)


async def perform_on_reactor(call: Call) -> Any:
    """Make a call on the reactor's thread, a coroutine as a Deferred's.

    Raises:
        NoReactor: there is none, because another server runs this application.
    """
    way, trace = _way_to_reactor(), current_trace()
    return await on_reactor(way, within, trace, maybeDeferred, call)


async def awaited(value: Any) -> Any:
    """Return what ``value`` stands for, if it is still to come."""
    if isinstance(value, Deferred):
        return await deferred_to_future(value)
    return await value if isawaitable(value) else value


def _way_to_reactor() -> CallOnReactor:
    home = HOME.get()
    if home is None or home.call_on_reactor is None:
        msg = "runtime='twisted' needs a worker of tbtwist"
        raise NoReactor(msg)
    return home.call_on_reactor


def result_of(function: Function, value: object) -> Result:
    """Return what ``function`` returned as a `Result` with its origin.

    The result of another function, passed on, keeps that one's.
    """
    origin = [function.module, function.name, "tb"]
    if isinstance(value, Result):
        return value if value.origin else value.of(origin, raw=value.raw)
    made = Result.ok(
        value,
        data_info="Auto generated result",
        info="Function executed successfully",
    )
    return made.of(origin, raw=function.row)


def failed(function: Function) -> Result:
    """Log the exception being handled; return what its caller may know of it."""
    _log.failure(
        "{module}/{function} failed", module=function.module, function=function.name
    )
    return result_of(function, Result.default_internal_error(INTERNAL))


def refused(error: TbtwistError) -> Result:
    """Return why a call could not be made at all."""
    for kind, code in _CALLER_ERRORS.items():
        if isinstance(error, kind):
            return Result.default_user_error(str(error), exec_code=code)
    codes = (code for kind, code in _OUR_ERRORS.items() if isinstance(error, kind))
    return Result.default_internal_error(str(error), exec_code=next(codes, -2))


def wait_for(work: Callable[[], Coroutine[Any, Any, Any]], timeout_s: float) -> Any:
    """Run a coroutine from synchronous code, and wait for it.

    In a thread of the pool it runs on the loop that the pool works for; in any
    other thread on a loop of its own.

    Raises:
        DeadlinePassed: it took longer than ``timeout_s``.
        RuntimeError: this thread's loop is running and would be blocked.
    """
    if current_loop() is not None:
        msg = "run_any() would block this thread's loop: await a_run_any()"
        raise RuntimeError(msg)
    home = HOME.get()
    bounded = _bounded(work, timeout_s)
    try:
        if home is None:
            return asyncio.run(bounded)
        running = asyncio.run_coroutine_threadsafe(bounded, home.loop)
        return running.result(timeout_s + _GRACE_S)
    except TimeoutError as error:
        raise DeadlinePassed(timeout_s) from error


async def _bounded(
    work: Callable[[], Coroutine[Any, Any, Any]], timeout_s: float
) -> Any:
    async with asyncio.timeout(timeout_s):
        return await work()
