"""The audit log: who did what to the manager, and what came of it; JSON lines."""

from __future__ import annotations

import msgspec

from tbtwist.observe.files import AUDIT, LogFolder
from tbtwist.observe.records import Source, iso_utc


class AuditLog:
    """Appends to ``audit.log``, which only this user can read and which rotates."""

    def __init__(self, folder: LogFolder, source: Source) -> None:
        self._source = source
        self._now = folder.now
        self._file = folder.file(AUDIT)

    def write(self, *, who: str, what: str, outcome: str, reason: str = "") -> None:
        """Keep one record. ``outcome`` is begun, done, failed or refused."""
        level = "warn" if outcome in {"failed", "refused"} else "info"
        record = {
            "time": iso_utc(self._now()),
            "level": level,
            **self._source.fields(),
            "logger": "tbtwist.audit",
            "who": who,
            "what": what,
            "outcome": outcome,
        }
        if reason:
            record["reason"] = reason
        self._file.write(msgspec.json.encode(record).decode() + "\n")

    def tidy(self) -> None:
        """Set the file aside if its time has come, though nothing happens."""
        self._file.tidy()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
