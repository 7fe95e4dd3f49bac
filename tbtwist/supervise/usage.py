"""What a process uses, from psutil; the one place that asks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import psutil

_FRESH_S: Final = 0.5
_FORGET_S: Final = 60.0


@attrs.frozen
class Usage:
    """Resident memory in bytes; CPU in percent of one core since the last look."""

    memory_bytes: int
    cpu_percent: float


Measure = Callable[[int], Usage | None]
"""Returns what a process uses, or None if there is no such process."""


@attrs.define(eq=False)
class _Watched:
    process: psutil.Process
    asked_at: float
    usage: Usage | None


class UsageMeter:
    """A `Measure` that looks at a process at most twice a second."""

    def __init__(
        self,
        seconds: Callable[[], float],
        open_process: Callable[[int], psutil.Process] = psutil.Process,
    ) -> None:
        self._seconds = seconds
        self._open = open_process
        self._watched: dict[int, _Watched] = {}

    def __call__(self, pid: int) -> Usage | None:
        """Return what ``pid`` uses, at most half a second old."""
        now = self._seconds()
        self._forget_before(now - _FORGET_S)
        watched = self._watched.get(pid)
        if watched is not None and now - watched.asked_at < _FRESH_S:
            return watched.usage
        try:
            process = self._open(pid) if watched is None else watched.process
            usage = Usage(process.memory_info().rss, process.cpu_percent())
        except psutil.Error:
            self._watched.pop(pid, None)
            return None
        self._watched[pid] = _Watched(process, now, usage)
        return usage

    def _forget_before(self, limit: float) -> None:
        old = [pid for pid, each in self._watched.items() if each.asked_at < limit]
        for pid in old:
            del self._watched[pid]


def oom_kills(path: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for want of memory; 0: unknown."""
    try:
        found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
