"""What a process that has ended said of why, if it said anything.

The last line of its output is often no reason: an access log's line, or a warning
of a library. A reason is what it wrote to its standard error and is no warning, or
a record of its log of level error or above, with the last line of its traceback.
Either counts only if not much was said after it.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import attrs

from tbtwist.observe.records import Record, is_request, record_of

RECENT_LINES: Final = 20
"""How many lines may follow a reason that is still believed to be one."""

_NO_REASON: Final = re.compile(r"\s|Traceback \(|[^ ]*:\d+: \w*Warning: |\w*Warning: ")
_REPORTS: Final = frozenset({"error", "critical"})
_KEPT_REQUESTS: Final = 10
_KEPT_OTHERS: Final = 50


class LastLines:
    """The last lines of an output, of which requests' records are at most ten.

    A busy access log would leave no room for what was said before a death.
    """

    def __init__(self) -> None:
        self._number = 0
        self._requests: deque[tuple[int, str]] = deque(maxlen=_KEPT_REQUESTS)
        self._others: deque[tuple[int, str]] = deque(maxlen=_KEPT_OTHERS)

    def add(self, line: str) -> None:
        """Keep a line."""
        self._number += 1
        kept = self._requests if is_request(line) else self._others
        kept.append((self._number, line))

    def all(self) -> tuple[str, ...]:
        """Return what is kept, in order."""
        return tuple(line for _, line in sorted([*self._requests, *self._others]))


@attrs.define(eq=False)
class LastWords:
    """Hears every line of a process's output."""

    _heard: int = 0
    _complaint: tuple[int, str] = (-RECENT_LINES, "")
    _record: tuple[int, str] = (-RECENT_LINES, "")
    _grave: str = ""

    @property
    def complaint(self) -> str:
        """Return what it last wrote to its standard error; empty if that is long ago."""
        return self._if_recent(self._complaint)

    @property
    def reason(self) -> str:
        """Return why it may have ended; empty if it did not say."""
        return self.complaint or self._if_recent(self._record)

    def _if_recent(self, said: tuple[int, str]) -> str:
        at, text = said
        return text if self._heard - at < RECENT_LINES else ""

    def complained(self, line: str) -> None:
        """It wrote ``line`` to its standard error."""
        self._heard += 1
        if not _NO_REASON.match(line):
            self._complaint = self._heard, line

    def printed(self, line: str) -> None:
        """It wrote ``line`` to its standard output, where its log is."""
        self._heard += 1
        if is_request(line):
            self._grave = ""
            return
        record = record_of(line)
        if record is not None:
            self._begin(record)
        elif self._grave and not _NO_REASON.match(line):
            self._record = self._heard, f"{self._grave}: {line}"

    def _begin(self, record: Record) -> None:
        self._grave = record.message if record.level in _REPORTS else ""
        if self._grave:
            last = record.traceback.rstrip().rpartition("\n")[2]
            said = f"{self._grave}: {last}" if last else self._grave
            self._record = self._heard, said
