"""The audit log: who did what to the manager, and what came of it; JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tbtwist.observe.logs import worker_log


class AuditLog:
    """Appends to ``audit.log``, which only this user can read and which rotates."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._file: Any = None

    def write(self, *, who: str, what: str, outcome: str, reason: str = "") -> None:
        """Keep one record. ``outcome`` is begun, done, failed or refused."""
        if self._file is None:
            self._file = worker_log(self._folder, "audit")
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        record = {"time": at, "who": who, "what": what, "outcome": outcome}
        if reason:
            record["reason"] = reason
        self._file.write(msgspec.json.encode(record).decode() + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
