"""How patient the manager is with a worker: deadlines, backoff, giving up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from tbtwist.config.schema import Manager

_GRACE_S: Final = 5.0


@attrs.frozen(kw_only=True)
class Policy:
    """How patient we are with a worker; times in seconds.

    ``silence_s``: a ready worker that says nothing for so long is killed; 0
    means never. ``jitter`` spreads a delay so that workers that died together
    do not come back together.
    """

    start_timeout_s: float
    drain_timeout_s: float
    silence_s: float
    stable_after_s: float
    max_restart_attempts: int
    backoff_initial_s: float
    backoff_max_s: float
    jitter: Callable[[float], float]

    @classmethod
    def from_settings(
        cls,
        manager: Manager,
        *,
        drain_timeout_s: float,
        jitter: Callable[[float], float],
    ) -> Policy:
        """Return what the settings ask for; silence is two health checks long."""
        return cls(
            start_timeout_s=manager.start_timeout_s,
            drain_timeout_s=drain_timeout_s,
            silence_s=2 * manager.health_check_interval,
            stable_after_s=manager.stable_after_s,
            max_restart_attempts=manager.max_restart_attempts,
            backoff_initial_s=manager.backoff_initial_s,
            backoff_max_s=manager.backoff_max_s,
            jitter=jitter,
        )

    @property
    def kill_after_s(self) -> float:
        """Return when a worker is killed that was told to drain.

        That is later than it gives up by itself, so it can still say good-bye: to
        its clients, and in its log.
        """
        return self.drain_timeout_s + _GRACE_S

    def backoff_s(self, quick_deaths: int) -> float:
        """Return how long to wait after so many quick deaths in a row (from 1)."""
        exponent = min(quick_deaths - 1, 32)
        delay = min(self.backoff_initial_s * 2.0**exponent, self.backoff_max_s)
        return min(self.jitter(delay), self.backoff_max_s)
