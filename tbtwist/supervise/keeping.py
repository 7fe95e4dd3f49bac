"""What a manager keeps in its data directory, and leaves to the next one.

``manager.lock`` says that a manager runs here. ``workers.lock`` is held by the
manager *and* by every worker that it started, through an inherited descriptor:
it is free only when all of them are gone, however the manager ended.
``generations.json`` counts the processes that ever filled a slot. Two pipes lead
from the manager to its children: the lifeline, and what the broker reads of exits.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec
from twisted.logger import Logger

from tbtwist.errors import AlreadyRunning, DataDirUnusable
from tbtwist.net.locking import ProcessLock
from tbtwist.net.runtime import PEER_PREFIX

_log = Logger()

NOTIFY_PREFIX: Final = "notify-"


def take_manager_lock(data_dir: Path, pid: int) -> ProcessLock:
    """Become the one manager of ``data_dir``; `AlreadyRunning` if there is one."""
    return ProcessLock.take(data_dir / "manager.lock", what="manager", pid=pid)


def take_workers_lock(data_dir: Path, pid: int) -> ProcessLock | None:
    """Return the lock to share with new workers; None while old ones still live."""
    try:
        return ProcessLock.take(data_dir / "workers.lock", what="workers", pid=pid)
    except AlreadyRunning:
        return None


def sweep_sockets(runtime_dir: Path) -> None:
    """Remove what a killed manager and its workers left.

    Nobody can be listening there any more, or is about to leave.
    """
    for prefix in (NOTIFY_PREFIX, PEER_PREFIX):
        for left in runtime_dir.glob(f"{prefix}*"):
            left.unlink(missing_ok=True)


def sweep_peer(runtime_dir: Path, worker_id: str, generation: int) -> None:
    """Remove the socket of a process that has ended; most do so by themselves."""
    for left in runtime_dir.glob(f"{PEER_PREFIX}{worker_id}.{generation}.*"):
        left.unlink(missing_ok=True)


class Generations:
    """Counts the processes of every slot; survives the manager, however it ends."""

    def __init__(self, path: Path, used: dict[str, int]) -> None:
        self._path = path
        self._used = used

    @classmethod
    def load(cls, data_dir: Path) -> Generations:
        """Read what was used before.

        Raises:
            DataDirUnusable: the file is there but cannot be read.
        """
        path = data_dir / "generations.json"
        used: dict[str, int] = {}
        try:
            with contextlib.suppress(FileNotFoundError):
                used = msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError) as error:
            reason = f"generations.json: {error}"
            raise DataDirUnusable(path=str(data_dir), reason=reason) from error
        return cls(path, used)

    def next(self, worker_id: str) -> int:
        """Return a generation that ``worker_id`` never had, and remember it.

        Raises:
            OSError: it cannot be written down, so it must not be used.
        """
        used = {**self._used, worker_id: self._used.get(worker_id, 0) + 1}
        scratch = self._path.with_suffix(".new")
        scratch.write_bytes(msgspec.json.encode(used))
        os.replace(scratch, self._path)  # noqa: PTH105 - the atomic one, by its name
        self._used = used
        return used[worker_id]


class ExitPipe:
    """Tells the broker which child has ended: ``http-1.7``, a line each.

    Only the manager can write to it. What no broker has read yet waits in the pipe
    for the next one; it never blocks the manager.
    """

    def __init__(self, read_end: int, write_end: int) -> None:
        self.read_end = read_end
        self._write_end = write_end

    @classmethod
    def open(cls) -> ExitPipe:
        """Return a pipe for all brokers of one manager."""
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        return cls(*ends)

    def tell(self, worker_id: str, generation: int) -> None:
        """Say that a process has ended; unread news of thousands is dropped."""
        if self._write_end < 0:
            return
        try:
            os.write(self._write_end, f"{worker_id}.{generation}\n".encode())
        except BlockingIOError:
            _log.warn("the broker does not read who has ended; it will notice late")

    def close(self) -> None:
        """Free both ends; calling this twice is fine."""
        for descriptor in (self.read_end, self._write_end):
            if descriptor >= 0:
                os.close(descriptor)
        self.read_end = self._write_end = -1


class Lifeline:
    """A pipe whose write end only the manager holds: its end means he is gone."""

    def __init__(self, child_end: int, own_end: int) -> None:
        self.child_end = child_end
        self._own_end = own_end

    @classmethod
    def open(cls) -> Lifeline:
        """Return a lifeline for all children of one manager."""
        return cls(*os.pipe())

    def cut(self) -> None:
        """Let the children know; calling this twice is fine."""
        for descriptor in (self.child_end, self._own_end):
            if descriptor >= 0:
                os.close(descriptor)
        self.child_end = self._own_end = -1
