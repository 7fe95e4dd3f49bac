"""How a worker is: alive, ready, draining, and how much it has to do."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Health:
    """One worker's condition. Written on the reactor's thread, read anywhere.

    ``bus_connected`` None means that this process has no bus and needs none.
    ``requests_total`` and ``in_flight`` count requests of every kind; a drain
    waits until ``in_flight`` is 0.
    """

    worker_id: str
    pid: int
    ready: bool = False
    draining: bool = False
    bus_connected: bool | None = None
    requests_total: int = 0
    in_flight: int = 0

    @property
    def status(self) -> str:
        """Return ``ready``, ``starting`` or ``draining``."""
        if self.draining:
            return "draining"
        return "ready" if self.ready and self.bus_connected is not False else "starting"

    def request_started(self) -> None:
        """Count a request that has arrived."""
        self.requests_total += 1
        self.in_flight += 1

    def request_ended(self) -> None:
        """Count a request as answered, or as left by its client."""
        self.in_flight -= 1
