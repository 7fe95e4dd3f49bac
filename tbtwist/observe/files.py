"""Log files that rotate, and that nobody has to worry about.

``twisted.python.logfile`` rotates by size or by day, not by both; it does not open
for appending, so two writers overwrite each other; and it raises where the disk is
full, which must not stop a supervisor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Final

from twisted.logger import Logger

from tbtwist.config.schema import Logging
from tbtwist.observe.rotation import Rotation, base_of, rotated_name, rotated_of

_log = Logger()

_LOOK_EVERY_S: Final = 1.0
_CALM_S: Final = 10.0
_RETRY_S: Final = 3600.0
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
AUDIT: Final = "audit"


class Troubles:
    """Says once that logs cannot be written, and once that they can be again.

    A disk that is almost full takes one line and refuses the next; that is one
    trouble until nothing has failed for ten seconds.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], float]) -> None:
        self.lost = 0
        self._say = say
        self._now = now
        self._failed_at: float | None = None

    def failed(self, path: Path, error: OSError, *, lost: int) -> None:
        """Something could not be done to ``path``, and ``lost`` lines with it."""
        first, self._failed_at = self._failed_at is None, self._now()
        self.lost += lost
        if first:
            reason = error.strerror or str(error)
            self._say(
                f"Logs cannot be kept: {path}: {reason}. What cannot be written "
                "is lost; everything else goes on."
            )

    def written(self) -> None:
        """A line was written."""
        if self._failed_at is None or self._now() - self._failed_at < _CALM_S:
            return
        lost, self.lost, self._failed_at = self.lost, 0, None
        sentence = f"Logs are kept again; {lost} lines were lost."
        self._say(sentence)
        _log.warn("{sentence}", sentence=sentence, lost=lost)


def names_in(folder: Path) -> list[str]:
    """Return the names of what is in ``folder``."""
    return [path.name for path in folder.iterdir()]


class RotatingFile:
    """Appends to a file that only this user can read.

    Whatever goes wrong is told to ``troubles``; writing never raises OSError. That
    the file was moved or removed is noticed within a second, and a new one begun.
    Any thread may write: an application's functions log from theirs.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        now: Callable[[], float],
        troubles: Troubles,
    ) -> None:
        self.path = path
        self._rotation = rotation
        self._now = now
        self._troubles = troubles
        self._file: int | None = None
        self._size = 0
        self._written_at = 0.0
        self._looked_at = 0.0
        self._failed_at = -_RETRY_S
        self._owed = b""
        self._lock = RLock()  # what is told of troubles may be logged here

    def write(self, text: str, *, begins: bool = True) -> None:
        """Append whole lines. Unless ``begins``, they belong to those before."""
        data = text.encode(errors="backslashreplace")
        with self._lock:
            try:
                self._prepare(len(data), begins=begins)
            except OSError as error:
                self._troubles.failed(self.path, error, lost=data.count(b"\n"))
            else:
                if self._put(data):
                    self._troubles.written()

    def flush(self) -> None:
        """Do nothing: every line is with the system already."""

    def tidy(self) -> None:
        """Set the file aside if its time has come, though nobody writes."""
        with self._lock:
            try:
                if self.path.exists():
                    self._look()
                    self._rotate_if_due(0)
            except OSError as error:
                self._troubles.failed(self.path, error, lost=0)

    def close(self) -> None:
        """Close the file; writing opens it again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file, self._owed = None, b""

    # --- opening

    def _prepare(self, more: int, *, begins: bool) -> None:
        stale = not 0 <= self._now() - self._looked_at < _LOOK_EVERY_S
        if self._file is None or stale:
            self._look()
        if begins or self._size > 2 * self._rotation.max_bytes:
            self._rotate_if_due(more)

    def _look(self) -> None:
        """Have the file that is there open; others may have moved or emptied it."""
        if self._file is not None and not self._is_there(self._file):
            self.close()
        if self._file is None:
            self._open()
        else:
            self._size = os.fstat(self._file).st_size
        self._looked_at = self._now()

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(file))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self.path, _FLAGS, 0o600)
        status = os.fstat(self._file)
        self._size, self._written_at = status.st_size, status.st_mtime

    # --- writing

    def _put(self, data: bytes) -> bool:
        """Write ``data``; return whether all of it was written.

        Of a record that was begun, the rest is kept and comes first the next time.
        """
        assert self._file is not None
        left = self._owed + data
        try:
            while left:
                written = os.write(self._file, left)
                left = left[written:]
                self._size += written
        except OSError as error:
            begun = len(left) < len(data)
            self._owed = left if begun else left.removesuffix(data)
            lost = 0 if begun else data.count(b"\n")
            self._troubles.failed(self.path, error, lost=lost)
            return False
        self._owed = b""
        self._written_at = self._now()
        return True

    # --- rotating

    def _rotate_if_due(self, more: int) -> None:
        now, last = self._now(), self._written_at
        if self._owed or 0 <= now - self._failed_at < _RETRY_S:
            return
        if self._rotation.is_due(self._size, more, last, now):
            try:
                self._set_aside(now)
            except OSError as error:
                self._failed_at = now
                self._troubles.failed(self.path, error, lost=0)
            self._look()

    def _set_aside(self, now: float) -> None:
        """Rename the file, unless somebody else did, and remove what is too old."""
        folder, base = self.path.parent, self.path.name
        names = rotated_of(base, names_in(folder))
        if self._file is not None and self._is_there(self._file):
            name = rotated_name(base, now, names)
            self.path.rename(folder / name)
            names.append(name)
        for name in self._rotation.superfluous(names, now):
            (folder / name).unlink(missing_ok=True)


class LogFolder:
    """The one folder of all logs: a file for each name, under the same rules."""

    def __init__(
        self,
        path: Path,
        settings: Logging,
        now: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self.path = path
        self.now = now
        self._rotation = Rotation.of(settings)
        self._audit = Rotation.of_audit(settings)
        self._troubles = Troubles(say, now)

    def file(self, name: str) -> RotatingFile:
        """Return the log called ``name``, as in ``http-1``; writing opens it."""
        return self.at(self.path / f"{name}.log")

    def at(self, path: Path) -> RotatingFile:
        """Return the log at ``path``, wherever that is."""
        rotation = self._rules(path.name)
        return RotatingFile(path, rotation, self.now, self._troubles)

    def _rules(self, base: str) -> Rotation:
        return self._audit if base == f"{AUDIT}.log" else self._rotation

    def sweep(self) -> None:
        """Remove what is too old, also of those who log no more."""
        try:
            names = names_in(self.path)
            for base in {base_of(name) for name in names} - {""}:
                self._sweep(base, rotated_of(base, names))
        except FileNotFoundError:
            return  # nobody has logged anything yet
        except OSError as error:
            self._troubles.failed(self.path, error, lost=0)

    def _sweep(self, base: str, names: list[str]) -> None:
        rules, now = self._rules(base), self.now()
        for name in rules.superfluous(names, now):
            (self.path / name).unlink(missing_ok=True)
        current = self.path / base
        if current.exists() and rules.is_over(current.stat().st_mtime, now):
            current.unlink(missing_ok=True)
