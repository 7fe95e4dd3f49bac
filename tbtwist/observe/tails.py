"""The ends of log files: several of them as one, and what is added to them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from tbtwist.observe.rotation import rotated_of

_CHUNK: Final = 256 * 1024
_TIME: Final = re.compile(r'(?:\{"time":\s*")?(\d{4}-\d\d-\d\dT[\d:.]+)')


@attrs.frozen
class Line:
    """One line of a worker's log."""

    worker: str
    text: str


@attrs.define(eq=False)
class Tail:
    """The end of one log, whose file may be rotated or not be there yet.

    The file at hand stays open, so that what is in it is read to its end wherever
    it was moved to. Names of rotated files only grow, so that those which came
    after it are the ones behind the newest that was there at the last look.
    """

    worker: str
    path: Path
    _file: BinaryIO | None = None
    _rest: bytes = b""
    _newest: str = ""
    """The name of the rotated file that was the newest at the last look."""

    def last(self, count: int) -> list[Line]:
        """Return the last ``count`` lines that are complete; go on after them.

        What the present file lacks comes from those before it.
        """
        self._open()
        names = list(self._before_this_one())
        self._newest = names[-1] if names else ""
        found = self._end_of_file() if self._file is not None else []
        while names and len(found) < count:
            found = [*_end_of(self.path.parent / names.pop()), *found]
        return [self._line(line) for line in found[-count:]] if count else []

    def more(self) -> list[Line]:
        """Return the lines that were added since the last look."""
        return [self._line(line) for line in self._added()]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _added(self) -> Iterator[bytes]:
        if not self._is_current():
            yield from self._catch_up()
        yield from self._read()

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._file = None

    def _is_current(self) -> bool:
        """Whether the file at hand is still written to, as far as one can see."""
        try:
            return _identity(self._file) == _identity(self.path.stat())
        except FileNotFoundError:
            return True  # there is no other yet

    def _catch_up(self) -> Iterator[bytes]:
        """Finish the file at hand and those after it, up to the present one.

        That one is opened first: whatever is set aside from then on comes after it.
        """
        yield from self._read_out()
        before, known = self._file, _identity(self._file)
        self._open()
        for name in self._before_this_one():
            if name > self._newest:
                self._newest = name
                yield from _unless(known, self.path.parent / name)
        if before is not None:
            before.close()

    def _before_this_one(self) -> Iterator[str]:
        """Return the files that were set aside before the one at hand, by age."""
        this = _identity(self._file)
        for name in rotated_of(self.path.name, self._names()):
            try:
                if _identity((self.path.parent / name).stat()) == this:
                    return
            except FileNotFoundError:
                continue  # it was too old
            yield name

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self.path.parent.iterdir()]
        except FileNotFoundError:
            return []

    # --- reading

    def _end_of_file(self) -> list[bytes]:
        assert self._file is not None
        lines, self._rest = _last_lines(self._file)
        return lines

    def _read(self) -> Iterator[bytes]:
        """Return what was added, but for a line that was only begun."""
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # it was emptied
            self._rest = b""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from lines

    def _read_out(self) -> Iterator[bytes]:
        yield from self._read()
        if self._rest:
            yield self._rest
            self._rest = b""

    def _line(self, raw: bytes) -> Line:
        return Line(self.worker, raw.decode(errors="replace"))


def _identity(file: BinaryIO | os.stat_result | None) -> tuple[int, int] | None:
    if file is None:
        return None
    found = file if isinstance(file, os.stat_result) else os.fstat(file.fileno())
    return found.st_dev, found.st_ino


def _last_lines(file: BinaryIO) -> tuple[list[bytes], bytes]:
    """Return the complete lines at the end, and what was begun after them."""
    start = max(0, file.seek(0, os.SEEK_END) - _CHUNK)
    file.seek(start)
    *lines, rest = file.read().split(b"\n")
    if start:
        del lines[:1]  # it may have begun before
    return lines, rest


def _end_of(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            lines, rest = _last_lines(file)
    except FileNotFoundError:
        return []  # it was too old
    return [*lines, rest] if rest else lines


def _unless(known: tuple[int, int] | None, path: Path) -> Iterator[bytes]:
    """Return the lines of a file, unless it is the one that was read already."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # it was too old
    with file:
        if _identity(file) != known:
            yield from (line.rstrip(b"\n") for line in file)


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
