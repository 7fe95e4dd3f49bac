"""A log that is a pipe: whoever reads it may stop reading, and nobody waits for that.

A pipe takes 64 KiB; then a write blocks until the reader goes on. A manager that
hangs, or that somebody stopped, would so bring all its workers to a halt within a
thousand requests.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from typing import Final

from twisted.logger import Logger

_log = Logger()

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
_LAST_WORDS_S: Final = 1.0


def is_pipe(descriptor: int) -> bool:
    """Whether there is somebody at the other end who may stop reading."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class PatientStream:
    """Writes from a thread of its own; what is too much meanwhile is lost, and told.

    Lines keep their order. Any thread may write; nobody ever waits but `settle`.
    """

    def __init__(
        self, descriptor: int, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._max_waiting_bytes = max_waiting_bytes
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Take whole lines."""
        data = text.encode(errors="backslashreplace")
        with self._changed:
            told = self._take(data)
        if told:
            _log.warn("{lost} lines were lost: nobody read the log", lost=told)

    def _take(self, data: bytes) -> int:
        """Keep ``data`` to be written; return how many lines were lost before it."""
        if self._waiting_bytes and self._too_much(len(data)):
            self._lost += data.count(b"\n")
            return 0
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._write_all, name="log", daemon=True
            )
            self._thread.start()
        self._changed.notify_all()
        lost, self._lost = self._lost, 0
        return lost

    def _too_much(self, more: int) -> bool:
        return self._waiting_bytes + more > self._max_waiting_bytes

    def flush(self) -> None:
        """Do nothing: what waits is written as soon as it can be."""

    def settle(self, timeout_s: float = _LAST_WORDS_S) -> bool:
        """Wait until everything is written; return whether it was in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting_bytes, timeout=timeout_s
            )

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces)
                data = b"".join(self._pieces)
                self._pieces.clear()
            self._put(data)
            with self._changed:
                self._waiting_bytes -= len(data)
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError:
                return  # the reader is gone, and there is nobody left to tell
