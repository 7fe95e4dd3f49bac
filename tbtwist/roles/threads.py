"""Pools of threads that no process waits for at its end, however long they take."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from tbtwist.services import wait_until

_log = Logger()


class _Daemon(threading.Thread):
    """A thread that Python does not join at its exit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class Threads(ThreadPool):
    """A pool of threads, none of which keeps the process from ending."""

    threadFactory: type[threading.Thread] = _Daemon  # noqa: N815 - Twisted's name


async def ended(clock: Any, pools: Sequence[Threads], timeout_s: float) -> None:
    """Stop pools, off the reactor's thread; give up on work that takes longer."""
    enders = [threading.Thread(target=each.stop, daemon=True) for each in pools]
    for ender in enders:
        ender.start()
    if not await wait_until(
        clock, lambda: not any(each.is_alive() for each in enders), timeout_s
    ):
        _log.warn("threads still run after {seconds:g} s", seconds=timeout_s)
