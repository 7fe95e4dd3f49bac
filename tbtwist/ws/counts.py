"""What a ws worker counts."""

from __future__ import annotations

from collections import Counter

import attrs

from tbtwist.observe.metrics import DROPS, spread


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

    def told(self) -> dict[str, int]:
        """Return what a manager adds up (`tbtwist.observe.metrics`)."""
        closes = {str(code): count for code, count in self.closes.items()}
        return {
            "WS_OPENED": self.opened,
            "WS_IN": self.messages_in,
            "WS_OUT": self.messages_out,
            **dict(spread("WS_REFUSED_", self.refused)),
            **dict(spread("WS_CLOSED_", closes)),
            **{f"{DROPS}{reason}": count for reason, count in self.drops.items()},
        }
