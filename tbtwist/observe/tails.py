"""The ends of log files: several of them as one, and what is added to them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

_CHUNK: Final = 256 * 1024
_TIME: Final = re.compile(r'(?:\{"time":\s*")?(\d{4}-\d\d-\d\dT[\d:.]+)')


@attrs.frozen
class Line:
    """One line of a worker's log."""

    worker: str
    text: str


@attrs.define(eq=False)
class Tail:
    """The end of one log file, which may be rotated or not be there yet."""

    worker: str
    path: Path
    _place: tuple[int, int] = (0, 0)
    """The file's inode, and how far it has been read."""
    _rest: bytes = b""

    def last(self, count: int) -> list[Line]:
        """Return the last ``count`` lines that are complete; go on after them."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - _CHUNK)
                file.seek(start)
                data = file.read()
                inode = os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return []
        complete, end, self._rest = data.rpartition(b"\n")
        self._place = (inode, start + len(data))
        lines = (complete + end).splitlines()
        if start:
            del lines[:1]  # it may have begun before
        return [self._line(line) for line in lines[-count:]] if count else []

    def more(self) -> list[Line]:
        """Return the lines that were added since the last look."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                inode, offset = self._place
                if status.st_ino != inode or status.st_size < offset:
                    offset, self._rest = 0, b""
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._place = (status.st_ino, offset + len(data))
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._line(line) for line in lines]

    def _line(self, raw: bytes) -> Line:
        return Line(self.worker, raw.decode(errors="replace"))


def merged(lines: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """Return lines of several logs in the order of time.

    A line without a time (a traceback's) stays behind the one before it.
    """
    keyed = []
    for number, each in enumerate(lines):
        moment = ""
        for line in each:
            found = _TIME.match(line.text)
            moment = found[1] if found else moment
            keyed.append((moment, number, line))
    keyed.sort(key=lambda entry: entry[:2])
    return (line for _, _, line in keyed)
