"""The audit log."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Logging
from tbtwist.observe.audit import AuditLog
from tbtwist.observe.files import LogFolder
from tbtwist.observe.records import Source


class AuditTests(SynchronousTestCase):
    """Who did what."""

    def setUp(self) -> None:
        """Open a log in a folder that is not there yet."""
        self.folder = Path(self.mktemp()) / "logs"
        self.told: list[str] = []
        logs = LogFolder(
            self.folder, Logging(), lambda: 1_700_000_000.5, self.told.append
        )
        self.log = AuditLog(logs, Source("manager", "manager", lambda: 9))
        self.addCleanup(self.log.close)

    def test_records(self) -> None:
        """A record is a line of JSON, there at once; only its owner can read it."""
        self.log.write(who="cli", what="scale ws to 2", outcome="begun")
        self.log.write(who="api ::1", what="x\ny", outcome="failed", reason="no \u2603")
        path = self.folder / "audit.log"
        first, second = map(json.loads, path.read_text().splitlines())
        self.assertEqual(
            {
                "time": "2023-11-14T22:13:20.500Z",
                "level": "info",
                "worker": "manager",
                "role": "manager",
                "pid": 9,
                "logger": "tbtwist.audit",
                "who": "cli",
                "what": "scale ws to 2",
                "outcome": "begun",
            },
            first,
        )
        self.assertEqual(("x\ny", "no \u2603"), (second["what"], second["reason"]))
        self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_goes_on(self) -> None:
        """A manager that starts again goes on in the same file."""
        for _ in range(2):
            self.log.write(who="cli", what="update", outcome="done")
            self.log.close()
        lines = (self.folder / "audit.log").read_text().splitlines()
        self.assertEqual(2, len(lines))
