"""Noticing that a child has ended, on every reactor.

Twisted learns it from SIGCHLD through ``signal.set_wakeup_fd``, of which there is
one a process. uvloop takes it when it starts to run, and then a child is reaped
only by luck. A pidfd becomes readable when its process ends, and nobody can take
it away.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.process import reapAllProcesses
from twisted.logger import Logger
from typing_extensions import override

_log = Logger()

OpenPidfd = Callable[[int], int]
"""Returns a pidfd, as ``os.pidfd_open``."""


class ExitWatch(FileDescriptor):
    """Has the reactor reap a child as soon as it ends."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self.startReading()

    @classmethod
    def begin(cls, reactor: Any, pid: int, open_pidfd: OpenPidfd) -> ExitWatch | None:
        """Watch ``pid``, a child that was not reaped; None where that is impossible.

        Kernels before Linux 5.3 have no pidfd; there SIGCHLD has to do.
        """
        try:
            return cls(reactor, open_pidfd(pid))
        except OSError as error:
            _log.debug("no pidfd for {pid}: {error}", pid=pid, error=error)
            return None

    @override
    def fileno(self) -> int:
        """Return the pidfd."""
        return self._descriptor

    @override
    def doRead(self) -> None:
        """The process has ended."""
        self.close()
        reapAllProcesses()

    def close(self) -> None:
        """Stop watching; calling this twice is fine."""
        if self._descriptor >= 0:
            self.stopReading()
            os.close(self._descriptor)
            self._descriptor = -1
