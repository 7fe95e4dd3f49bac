"""Files that workers leave when they are killed: their own sockets, for calls."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import attrs

from tbtwist.net.runtime import PEER_PREFIX


@attrs.define(eq=False)
class PeerSweep:
    """Removes the sockets of workers that nobody knew, twice in a row."""

    directory: Path
    _unknown: set[Path] = attrs.Factory(set)

    def sweep(self, workers: Collection[str]) -> None:
        """Look who is not among ``workers``; it may just be joining."""
        known = {self.directory / f"{PEER_PREFIX}{name}" for name in workers}
        unknown = {*self.directory.glob(f"{PEER_PREFIX}*")} - known
        for left in unknown & self._unknown:
            left.unlink(missing_ok=True)
        self._unknown = unknown
