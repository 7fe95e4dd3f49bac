"""What a process that has ended said of why, if it said anything.

The last line of its output is often no reason: an access log's line, or a warning
of a library. A reason is what it wrote to its standard error and is no warning, or
a record of its log of level error or above, with the last line of its traceback.
Either counts only if not much was said after it.
"""

from __future__ import annotations

import re
from typing import Final

import attrs
import msgspec

RECENT_LINES: Final = 20
"""How many lines may follow a reason that is still believed to be one."""

_RECORD: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?P<level>\w+) \[[^]]*\] ?")
_NO_REASON: Final = re.compile(r"\s|Traceback \(|[^ ]*:\d+: \w*Warning: |\w*Warning: ")
_GRAVE: Final = frozenset({"error", "critical"})


class _JsonRecord(msgspec.Struct):
    level: str
    message: str = ""
    traceback: str = ""


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
        found = _RECORD.match(line)
        if found is not None:
            self._begin(found["level"], line[found.end() :])
        elif line.startswith("{"):
            self._take_json(line)
        elif self._grave and not _NO_REASON.match(line):
            self._record = self._heard, f"{self._grave}: {line}"

    def _begin(self, level: str, message: str) -> None:
        self._grave = message if level in _GRAVE else ""
        if self._grave:
            self._record = self._heard, self._grave

    def _take_json(self, line: str) -> None:
        try:
            record = msgspec.json.decode(line, type=_JsonRecord)
        except msgspec.DecodeError:
            return
        self._begin(record.level, record.message)
        if self._grave and record.traceback:
            last = record.traceback.rstrip().rpartition("\n")[2]
            self._record = self._heard, f"{self._grave}: {last}"
