"""What the manager tells its broker: which process has ended.

A pipe that only the manager can write to, and that outlives the broker: what one
broker has not read, the next one will.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.logger import Logger
from typing_extensions import override

_log = Logger()

CHUNK_BYTES: Final = 4096

Ended = Callable[[str, int], None]
"""Told slot and generation of a process that has ended."""


class ExitReader(FileDescriptor):
    """Reads lines like ``http-1.7`` from ``descriptor``, which does not block."""

    def __init__(self, reactor: Any, descriptor: int, ended: Ended) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._ended = ended
        self._rest = b""
        self.startReading()

    @override
    def fileno(self) -> int:
        """Return the pipe's end."""
        return self._descriptor

    @override
    def doRead(self) -> None:
        """Take what is there; without a manager there is nothing more to come."""
        data = os.read(self._descriptor, CHUNK_BYTES)
        if not data:
            self.stopReading()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        slot, _, generation = line.decode("ascii", "replace").rpartition(".")
        if generation.isdecimal():
            self._ended(slot, int(generation))
        else:
            _log.warn("nobody is called {line}", line=line)

    def close(self) -> None:
        """Stop reading; calling this twice is fine."""
        if self._descriptor >= 0:
            self.stopReading()
            os.close(self._descriptor)
            self._descriptor = -1
