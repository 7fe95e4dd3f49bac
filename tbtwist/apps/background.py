"""Owns the Tasks that go on after an answer (`Result.task`)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from tbtwist.apps.crossing import HOME, current_loop, post
from tbtwist.apps.tasks import guarded

_log = Logger()
Work = Coroutine[Any, Any, object]


class BackgroundTasks:
    """Nothing is dropped, and failures are logged."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[object]] = set()

    def spawn(self, what: str, work: Work) -> None:
        """Run ``work`` beside the caller, on the loop that the caller belongs to.

        A caller that belongs to no loop waits for it: there is no beside.
        """
        loop, home = current_loop(), HOME.get()
        if loop is not None:
            self._start(what, work)
        elif home is not None:
            post(home.loop, self._start, what, work)
        else:
            asyncio.run(_logged(what, work))

    def cancel_all(self) -> None:
        """Cancel everything that still runs; from any thread."""
        for task in tuple(self._running):
            post(task.get_loop(), task.cancel)

    def _start(self, what: str, work: Work) -> None:
        task = asyncio.ensure_future(_logged(what, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _logged(what: str, work: Work) -> object:
    try:
        return await guarded(lambda: work)
    except Exception:  # noqa: BLE001 - nobody waits for it
        _log.failure("{what} failed", failure=Failure(), what=what)
        return None
