"""One process per purpose and data directory: a lock that dies with its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tbtwist.errors import AlreadyRunning


class ProcessLock:
    """An advisory lock on a file that holds the owner's pid.

    The kernel releases it when the owner ends, however it ends, so there is no
    stale pid to be mistaken for somebody else's process.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(
        cls, path: Path, *, what: str, pid: int, shared: bool = False
    ) -> ProcessLock:
        """Take the lock at ``path``; ``shared`` with others who take it so.

        Raises:
            AlreadyRunning: somebody holds it; the error names their pid, of several
                the last one's.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunning(
                what=what,
                data_dir=str(path.parent),
                pid=int(holder) if holder.isdigit() else 0,
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{pid}\n".encode(), 0)
        return cls(descriptor)

    def fileno(self) -> int:
        """Return the descriptor; a process that inherits it shares the lock."""
        return self._descriptor

    def release(self) -> None:
        """Give the lock back; calling this twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
