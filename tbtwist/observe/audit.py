"""The audit log: who did what to the manager, and what came of it; JSON lines."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tbtwist.observe.files import AUDIT, LogFolder


class AuditLog:
    """Appends to ``audit.log``, which only this user can read and which rotates."""

    def __init__(self, folder: LogFolder) -> None:
        self._now = folder.now
        self._file = folder.file(AUDIT)

    def write(self, *, who: str, what: str, outcome: str, reason: str = "") -> None:
        """Keep one record. ``outcome`` is begun, done, failed or refused."""
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        record = {"time": at, "who": who, "what": what, "outcome": outcome}
        if reason:
            record["reason"] = reason
        self._file.write(msgspec.json.encode(record).decode() + "\n")

    def tidy(self) -> None:
        """Set the file aside if its time has come, though nothing happens."""
        self._file.tidy()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
