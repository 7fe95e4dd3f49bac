"""A folder of logs under a clock that the test moves."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import override

from tbtwist.config.schema import Logging
from tbtwist.observe.files import LogFolder, RotatingFile

MIDNIGHT = 1_795_478_400.0  # 2026-11-24 00:00 UTC
HOUR = 3600.0
DAY = 24 * HOUR


class LogFolderCase(SynchronousTestCase):
    """Has a folder that is not there yet, at noon."""

    @override
    def setUp(self) -> None:
        """Choose the folder."""
        parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, parent)
        self.folder = parent / "logs"
        self.now = MIDNIGHT + 12 * HOUR
        self.told: list[str] = []

    def logs(self, **settings: Any) -> LogFolder:
        """Return the folder under these rules."""
        return LogFolder(
            self.folder, Logging(**settings), lambda: self.now, self.told.append
        )

    def file(self, name: str = "http-1", **settings: Any) -> RotatingFile:
        """Return a log under these rules."""
        found = self.logs(**settings).file(name)
        self.addCleanup(found.close)
        return found

    def names(self) -> list[str]:
        """Return what is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())

    def text(self) -> str:
        """Return everything that is in the folder, the oldest first."""
        current, *older = self.names()
        return "".join((self.folder / name).read_text() for name in [*older, current])
