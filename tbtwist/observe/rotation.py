"""When a log file is set aside, under which name, and for how long it is kept; pure.

A file that was set aside carries the moment in its name
(``http-1.log.20261124T000003.120Z``): names sort by age, none is ever given twice,
and no file is renamed a second time, so whoever follows a log can tell which files
came after the one at hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from tbtwist.config.schema import Logging

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
_AUDIT_EVERY_S: Final = 30 * DAY_S
_ROTATED: Final = re.compile(r"(?P<base>.+)\.(?P<at>\d{8}T\d{6}\.\d{3})Z")
_STAMP: Final = "%Y%m%dT%H%M%S"


@attrs.frozen(kw_only=True)
class Rotation:
    """The rules for one kind of file. ``every_s`` and ``kept_s`` 0: not by age."""

    max_bytes: int
    every_s: float
    kept_files: int
    kept_s: float

    @classmethod
    def of(cls, settings: Logging) -> Rotation:
        """Return the rules for what processes log."""
        return cls(
            max_bytes=settings.max_file_bytes,
            every_s=settings.rotate_hours * HOUR_S,
            kept_files=settings.kept_files,
            kept_s=settings.kept_days * DAY_S,
        )

    @classmethod
    def of_audit(cls, settings: Logging) -> Rotation:
        """Return the rules for the audit log: few records, kept for long."""
        return attrs.evolve(
            cls.of(settings),
            every_s=_AUDIT_EVERY_S,
            kept_s=settings.audit_kept_days * DAY_S,
        )

    def is_due(self, size: int, more: int, written_at: float, now: float) -> bool:
        """Whether a file must be set aside before ``more`` bytes are added.

        ``written_at`` is when it was last written to. Periods end at the same times
        of day, in UTC, wherever a process was started: 24 hours end at midnight.
        """
        if not size:
            return False
        return size + more > self.max_bytes or (
            self.every_s > 0 and written_at // self.every_s < now // self.every_s
        )

    def superfluous(self, names: Sequence[str], now: float) -> list[str]:
        """Return which of one log's rotated files, in order, are to be removed."""
        surplus = max(0, len(names) - self.kept_files)
        old = (n for n in names[surplus:] if self.is_over(rotated_at(n) or now, now))
        return [*names[:surplus], *old]

    def is_over(self, at: float, now: float) -> bool:
        """Whether what ended at that moment has been kept for long enough."""
        return self.kept_s > 0 and now - at > self.kept_s


def rotated_name(base: str, now: float, names: Sequence[str]) -> str:
    """Return a name for ``base`` that sorts behind all ``names``, whatever the clock."""
    newest = rotated_at(names[-1]) if names else None
    milliseconds = math.floor(now * 1000)
    if newest is not None:
        milliseconds = max(milliseconds, round(newest * 1000) + 1)
    second, rest = divmod(milliseconds, 1000)
    stamp = datetime.fromtimestamp(second, UTC).strftime(_STAMP)
    return f"{base}.{stamp}.{rest:03}Z"


def rotated_at(name: str) -> float | None:
    """Return when a file was set aside, from its name; None if it never was."""
    found = _ROTATED.fullmatch(name)
    if found is None:
        return None
    try:
        second, rest = found["at"].split(".")
        moment = datetime.strptime(second, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None  # it only looks like a time
    return moment.timestamp() + int(rest) / 1000


def base_of(name: str) -> str:
    """Return the log that a file is part of, as in ``http-1.log``; else nothing."""
    found = _ROTATED.fullmatch(name)
    base = name if found is None else found["base"]
    return base if base.endswith(".log") else ""


def rotated_of(base: str, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that ``base`` was set aside as, the oldest first."""
    return sorted(
        name
        for name in names
        if name.startswith(f"{base}.")
        and (found := _ROTATED.fullmatch(name))
        and found["base"] == base
        and rotated_at(name) is not None
    )
