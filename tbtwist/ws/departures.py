"""Who was taken out of a channel, or sent away: old resume tokens must not undo it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_REMEMBERED: Final = 50_000


class Departures:
    """When a line of connections last left a channel (None: was sent away).

    Kept for as long as tokens are valid, the most recent of too many.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._left: OrderedDict[tuple[str, str | None], float] = OrderedDict()
        self._folded_at = 0.0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._left)

    def note(self, line: str, channel: str | None, at: float) -> None:
        """Remember that ``line`` left ``channel``."""
        place = line, channel
        self._left[place] = max(at, self._left.pop(place, 0.0))
        if len(self._left) > MAX_REMEMBERED:
            _, oldest = self._left.popitem(last=False)
            self._folded_at = max(self._folded_at, oldest)

    def since(self, line: str, channel: str | None, issued_at: float) -> bool:
        """Whether ``line`` has left since a token was issued, or may have."""
        at = self._left.get((line, channel), self._folded_at)
        return issued_at <= at

    def expire(self, now: float) -> None:
        """Forget what no token can be older than."""
        while self._left:
            place, at = next(iter(self._left.items()))
            if at > now - self._keep_s:
                return
            del self._left[place]
