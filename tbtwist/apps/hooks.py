"""Functions that run at the start and at the end of an application (R8.3).

``initial=True`` runs before the worker is ready, ``exit_f=True`` on an orderly stop,
each one after another, in the order in which they were registered.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.apps.application import Application
from tbtwist.apps.calls import bind, perform, perform_on_reactor
from tbtwist.apps.functions import Function
from tbtwist.apps.loading import place_of
from tbtwist.apps.result import Result
from tbtwist.apps.runner import Runner
from tbtwist.errors import StartFailed

_log = Logger()

EXIT_TIMEOUT_S: Final = 5.0
"""How long they have at the end, in equal shares; the process is about to go."""


def has_initial(app: Application) -> bool:
    """Whether anything is to run at the start."""
    return any(function.initial for function in _all(app))


async def run_initial(
    app: Application, runner: Runner, *, timeout_s: float, cwd: Path
) -> None:
    """Run what is to run at the start; ``timeout_s`` is for each.

    Raises:
        StartFailed: one failed, took too long, or returned an error.
    """
    for function in _all(app):
        if function.initial:
            await _start(function, app, runner, timeout_s, cwd)


async def _start(
    function: Function, app: Application, runner: Runner, timeout_s: float, cwd: Path
) -> None:
    name = f"{function.module}/{function.name}"
    try:
        value = await runner.run(partial(_ran, function, app), timeout_s=timeout_s)
    except CancelledError:
        raise
    except Exception as error:
        where = place_of(function.func.__module__, error, cwd)
        reason = f"{type(error).__name__}: {error}".rstrip(": .")
        raise StartFailed(name, where, reason) from error
    if isinstance(value, Result) and value.is_error():
        raise StartFailed(name, "it returned an error", value.info.help_text)


async def run_exit(app: Application, runner: Runner) -> None:
    """Run what is to run at the end; failures are logged."""
    ending = [function for function in _all(app) if function.exit_f]
    for function in ending:
        await _exit(function, app, runner, EXIT_TIMEOUT_S / len(ending))


async def _exit(
    function: Function, app: Application, runner: Runner, timeout_s: float
) -> None:
    try:
        await runner.run(partial(_ran, function, app), timeout_s=timeout_s)
    except CancelledError:
        raise
    except Exception:  # noqa: BLE001 - the next one has its own chance
        _log.failure(
            "{module}/{name}, which runs at the end, failed",
            failure=Failure(),
            module=function.module,
            name=function.name,
        )


async def _ran(function: Function, app: Application) -> Any:
    call = bind(function, app, {})
    if function.runtime == "twisted":
        return await perform_on_reactor(call)
    return await perform(call, app.pool)


def _all(app: Application) -> list[Function]:
    """Return all functions; they may register more while they run."""
    return [f for found in app.functions.values() for f in found.values()]
