"""How often somebody may do something; pure."""

from __future__ import annotations

from collections import OrderedDict

import attrs

_MAX_KEYS = 10_000


@attrs.define(eq=False)
class RateLimit:
    """A bucket of ``burst`` tokens for each key, refilled with ``per_s`` a second.

    Of many keys, those that were quiet for longest are forgotten.
    """

    per_s: float
    burst: float
    _buckets: OrderedDict[str, tuple[float, float]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def allows(self, key: str, now: float) -> bool:
        """Whether ``key`` may do it ``now``; if so, a token is taken."""
        left, since = self._buckets.pop(key, (self.burst, now))
        left = min(self.burst, left + max(0.0, now - since) * self.per_s)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _MAX_KEYS:
            self._buckets.popitem(last=False)
        return allowed
