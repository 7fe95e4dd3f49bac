"""Which item killed its worker? Suspects go one at a time to each worker.

When a worker dies, the first item of every lane that was bound to it is a
suspect: any of them may have been in hand, and one of them may have done it. Sent
on all together they would die together again, and the innocent would be given up
with the guilty. So a worker gets one suspect at a time. One that takes longer than
a death would take to be noticed has not killed anybody, and holds up nobody.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from tbtwist.bus.lane import OriginLane


@attrs.define(eq=False)
class Probation:
    """The suspect that is out at each worker, and those that are held back."""

    patience_s: float
    _out: dict[str, tuple[OriginLane, float]] = attrs.Factory(dict)
    _held: dict[str, dict[OriginLane, None]] = attrs.Factory(dict)

    def admits(self, lane: OriginLane, worker: str, now: float) -> bool:
        """Whether ``lane``'s suspect may be sent to ``worker``; else it is held."""
        out, since = self._out.get(worker, (lane, now))
        if out is not lane and now - since < self.patience_s and _is_at(out, worker):
            self._held.setdefault(worker, {})[lane] = None
            return False
        if out is not lane or worker not in self._out:
            self._out[worker] = lane, now
        return True

    def passed(self, worker: str) -> list[OriginLane]:
        """A suspect has been handled at ``worker``; return who may be next."""
        self._out.pop(worker, None)
        return self._next(worker)

    def overdue(self, now: float) -> list[OriginLane]:
        """Return who need not wait any longer for those that are out."""
        free = (
            worker
            for worker in tuple(self._held)
            if worker not in self._out
            or now - self._out[worker][1] >= self.patience_s
            or not _is_at(self._out[worker][0], worker)
        )
        return [lane for worker in free for lane in self._next(worker)]

    def _next(self, worker: str) -> list[OriginLane]:
        """Return the one that has waited longest to go to ``worker``."""
        held = self._held.get(worker, {})
        while held:
            lane = next(iter(held))
            del held[lane]
            if not held:
                del self._held[worker]
            if lane.worker == worker and lane.is_suspect:
                return [lane]
        return []

    def gone(self, workers: Collection[str]) -> None:
        """Forget workers that are gone; their lanes are bound anew."""
        for worker in workers:
            self._out.pop(worker, None)
            self._held.pop(worker, None)


def _is_at(lane: OriginLane, worker: str) -> bool:
    """Whether ``lane``'s suspect is out at ``worker``."""
    return lane.worker == worker and lane.is_suspect and not lane.window_is_empty
