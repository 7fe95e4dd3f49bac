"""What happens to a client that reads more slowly than it is written to.

Pure. A message for one connection is never dropped: too many of them close it.
What a channel sends may be worth less than the newest, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final

import attrs

from tbtwist.config.schema import WsWorker

_KNOWN_CHANNELS: Final = 1000


class Policy(Enum):
    """What to do when too much waits for a client."""

    CLOSE = "close"
    """Close the connection with 1013."""
    DROP_OLDEST = "drop_oldest"
    """Drop what has waited for longest."""
    CONFLATE = "conflate"
    """Let only the newest message of the channel wait."""


@attrs.frozen
class Patterns:
    """Which policy a channel has: the first pattern that fits, else the default.

    Patterns are as in a shell (``Prices/*``), and tell upper from lower case.
    """

    default: Policy
    by_pattern: tuple[tuple[str, Policy], ...] = ()
    _known: dict[str, Policy] = attrs.field(factory=dict, init=False, eq=False)

    @classmethod
    def of(cls, default: str, by_pattern: Mapping[str, str]) -> Patterns:
        """Read the names of policies, which have been checked before."""
        pairs = tuple((text, Policy(name)) for text, name in by_pattern.items())
        return cls(Policy(default), pairs)

    def policy(self, channel: str | None) -> Policy:
        """Return the policy for a channel; None stands for a single connection."""
        if channel is None:
            return Policy.CLOSE
        known = self._known.get(channel)
        if known is None:
            known = self._search(channel)
            if len(self._known) >= _KNOWN_CHANNELS:
                self._known.clear()
            self._known[channel] = known
        return known

    def _search(self, channel: str) -> Policy:
        fitting = (p for text, p in self.by_pattern if fnmatchcase(channel, text))
        return next(fitting, self.default)


@attrs.define
class Backlog:
    """How much may wait for one client and for all, and how much does wait.

    ``fair_bytes`` may wait for any client, also while all together have too much.
    """

    max_bytes: int
    max_total_bytes: int
    fair_bytes: int
    total_bytes: int = 0

    @classmethod
    def from_settings(cls, settings: WsWorker) -> Backlog:
        """Return the limits of ``ws_worker``."""
        most = settings.max_waiting_bytes
        total = settings.max_waiting_total_bytes
        return cls(most, total, min(most, total // settings.max_connections))

    def is_too_much(self, waiting_bytes: int) -> bool:
        """Whether one client may not have ``waiting_bytes`` waiting."""
        if waiting_bytes > self.max_bytes:
            return True
        crowded = self.total_bytes > self.max_total_bytes
        return crowded and waiting_bytes > self.fair_bytes
