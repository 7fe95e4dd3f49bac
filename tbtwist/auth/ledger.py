"""Revocations on disk: what one worker writes, all workers of a machine know.

A file in the data directory, appended to under a lock and made anew when it has
grown. Whoever asks about a session looks first, at most four times a second,
whether there is more in the file; so a lost publication delays a revocation,
and nothing loses it. The file begins with a line of its own for every time it
was made, since a reader cannot tell a new file from an old one by its inode.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from tbtwist.auth.revocation import (
    Ended,
    Record,
    Revocations,
    decode,
    encode,
    ending,
)
from tbtwist.auth.session import SessionData
from tbtwist.identity import RandomBytes

_log = Logger()

FILE_NAME: Final = "revocations"
LOOK_EVERY_S: Final = 0.25
COMPACT_FROM_BYTES: Final = 1024 * 1024
_MAGIC: Final = b"tbtwist revocations 1 "
_HEADER_BYTES: Final = len(_MAGIC) + 17


class RevocationFile:
    """The file; `read_new` and `append` may run in different threads."""

    def __init__(
        self,
        path: Path,
        random: RandomBytes,
        *,
        compact_from_bytes: int = COMPACT_FROM_BYTES,
    ) -> None:
        self._path = path
        self._random = random
        self._compact_from_bytes = compact_from_bytes
        self._header = b""
        self._offset = 0
        self._seen: tuple[int, ...] = ()

    def read_new(self) -> list[Record]:
        """Return what has been written since the last time, at first everything.

        Some may come again. Only what has changed is read, except after the file
        was made anew.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return []
        seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if seen == self._seen:
            return []
        lines = self._read_on()
        self._seen = seen
        records = (decode(line) for line in lines if line)
        return [record for record in records if record is not None]

    def _read_on(self) -> list[bytes]:
        with self._path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            if header != self._header:
                self._header, self._offset = header, len(header)
            file.seek(self._offset)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.split(b"\n")

    def append(self, record: Record, now: float) -> None:
        """Write ``record`` so that it stays; may wait for another process."""
        line = b"\n" + encode(record) + b"\n"  # apart from what a crash left
        with self._locked():
            if not self._path.exists():
                self._make(b"")
            with self._path.open("ab", buffering=0) as file:
                file.write(line)
                os.fsync(file.fileno())
                size = file.tell()
            if size > self._compact_from_bytes:
                self._compact(now)

    def _compact(self, now: float) -> None:
        known = Revocations()
        known.restore(self._path.read_bytes()[_HEADER_BYTES:], now)
        snapshot = known.snapshot()
        self._make(snapshot)
        self._compact_from_bytes = max(self._compact_from_bytes, 2 * len(snapshot))

    def _make(self, body: bytes) -> None:
        """Put a whole new file in place, in one step."""
        draft = self._path.with_name(f"{FILE_NAME}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(draft, flags, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(_MAGIC + self._random(8).hex().encode() + b"\n" + body)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f"{FILE_NAME}.lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(lock, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Ledger:
    """What this process knows of revocations, kept up to date with the file."""

    def __init__(self, file: RevocationFile, now: Callable[[], float]) -> None:
        self._file = file
        self._now = now
        self._known = Revocations()
        self._looked_at = float("-inf")
        self._failing = False

    def load(self) -> None:
        """Read the file for the first time.

        Raises:
            OSError: it cannot be read, so nobody could say who has logged out.
        """
        self._known.add_all(self._file.read_new(), self._now())

    @property
    def version(self) -> int:
        """A number that grows when there is a revocation more."""
        self.look()
        return self._known.version

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """As `Revocations.is_revoked`, with all that is in the file by now."""
        self.look()
        return self._known.is_revoked(session_id, user_id, issued_at)

    def look(self) -> None:
        """Take what is new in the file, unless that was just done."""
        now = self._now()
        if abs(now - self._looked_at) >= LOOK_EVERY_S:
            self._looked_at = now
            self._read(now)

    def _read(self, now: float) -> None:
        try:
            self._known.add_all(self._file.read_new(), now)
            self._failing = False
        except OSError as error:
            if not self._failing:
                _log.error("revocations cannot be read: {error}", error=error)
            self._failing = True

    def take(self, record: Record) -> None:
        """Learn of a revocation."""
        self._known.add(record, self._now())

    def end(self, session: SessionData) -> Ended | None:
        """End ``session`` for this process; return what others have to know."""
        record = ending(session, self._now())
        if record is not None:
            self.take(record)
        return record

    def keep(self, record: Record) -> None:
        """Write ``record`` to the file; slow, may run in any thread."""
        self._file.append(record, self._now())


class FileRevoker:
    """A `tbtwist.auth.revocation.Revoker` for a process without a bus."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def version(self) -> int:
        """As `Revoker.version`."""
        return self._ledger.version

    def is_revoked(self, session_id: str, user_id: str, issued_at: float) -> bool:
        """As `Revoker.is_revoked`."""
        return self._ledger.is_revoked(session_id, user_id, issued_at)

    async def revoke(self, session: SessionData) -> None:
        """As `Revoker.revoke`; the others find it in the file."""
        record = self._ledger.end(session)
        if record is not None:
            self._ledger.keep(record)
