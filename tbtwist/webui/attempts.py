"""How often somebody may be wrong."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

MOST_FAILURES: Final = 5
WINDOW_S: Final = 60.0
_MOST_ADDRESSES: Final = 1024


class Attempts:
    """Counts failures by address: after 5 within a minute it has to wait.

    The addresses kept are bounded; the one that failed longest ago is forgotten.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Return how many seconds ``address`` has to wait; 0 if it may try."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < MOST_FAILURES:
            return 0
        return max(0, math.ceil(failures[0] + WINDOW_S - self._seconds()))

    def failed(self, address: str) -> None:
        """Count a failure."""
        failures = self._failures.setdefault(address, deque(maxlen=MOST_FAILURES))
        failures.append(self._seconds())
        self._failures.move_to_end(address)
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of ``address``."""
        self._failures.pop(address, None)
