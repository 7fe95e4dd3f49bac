"""What a ws worker counts."""

from __future__ import annotations

from collections import Counter

import attrs


@attrs.define
class Counts:
    """Totals since the worker started; every drop has its reason."""

    opened: int = 0
    messages_in: int = 0
    messages_out: int = 0
    broadcasts_missed: int = 0
    refused: Counter[str] = attrs.Factory(Counter)
    closes: Counter[int] = attrs.Factory(Counter)
    drops: Counter[str] = attrs.Factory(Counter)

    def drop(self, reason: str) -> None:
        """Count something that did not reach its destination."""
        self.drops[reason] += 1
