"""How far each publisher's broadcasts have come: a position is one number for each.

Publishers number their broadcasts, whatever the channel, and every ws worker
receives all of them, each publisher's in order. So one vector of numbers says
what a client has seen of all its channels, to any worker. Publishers go by a
short *mark* here, which stands for one process and never for another.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs

from tbtwist.auth.signing import b64url_encode

Vector = Mapping[str, int]
"""The last number seen, by mark."""

MAX_PUBLISHERS: Final = 64
"""How many publishers are remembered: those that spoke last."""

_MARK_BYTES: Final = 6
_STEP: Final = re.compile(r"([A-Za-z0-9_-]{8})\.([0-9]{1,18})\Z")


@lru_cache(maxsize=4 * MAX_PUBLISHERS)
def mark_of(origin: str) -> str:
    """Return the mark of a publisher: 8 characters, fit for a URL."""
    digest = hashlib.blake2b(origin.encode(), digest_size=_MARK_BYTES).digest()
    return b64url_encode(digest)


def read_vector(text: str) -> dict[str, int]:
    """Read ``mark.number,mark.number``; what is malformed or too much is left out."""
    steps = (_STEP.match(step) for step in text.split(",")[:MAX_PUBLISHERS])
    return {step[1]: int(step[2]) for step in steps if step is not None}


def furthest(one: Vector, other: Vector) -> dict[str, int]:
    """Return the higher number of each publisher."""
    return {m: max(one.get(m, 0), other.get(m, 0)) for m in {**one, **other}}


@attrs.define
class _Stretch:
    """Everything after ``since`` up to ``last`` has come here."""

    since: int
    last: int
    heard_at: float


class Positions:
    """What of each publisher has come to this worker without a gap.

    Http workers tell their number every few seconds, so a publisher that is silent
    for long has ended.
    """

    def __init__(self, bound: int = MAX_PUBLISHERS) -> None:
        self._bound = bound
        self._stretches: OrderedDict[str, _Stretch] = OrderedDict()

    def take(self, mark: str, number: int, now: float) -> int:
        """Take note of a number; return how many are missing before it.

        What came before a gap is no longer known.
        """
        stretch = self._stretches.get(mark)
        missing = number - stretch.last - 1 if stretch is not None else 0
        if stretch is not None and missing <= 0:
            stretch.last, stretch.heard_at = max(number, stretch.last), now
        else:
            self._stretches[mark] = _Stretch(number - 1, number, now)
        self._stretches.move_to_end(mark)
        if len(self._stretches) > self._bound:
            self._stretches.popitem(last=False)
        return max(0, missing)

    @property
    def stretches(self) -> dict[str, tuple[int, int]]:
        """Return what is known of each: everything after one number up to another."""
        return {mark: (each.since, each.last) for mark, each in self._stretches.items()}

    def adopt(self, stretches: Mapping[str, tuple[int, int]], now: float) -> None:
        """Add what a colleague knows, where ours begins within it or is missing."""
        for mark, (since, last) in stretches.items():
            mine = self._stretches.get(mark)
            if mine is not None and mine.since <= last:
                mine.since = min(mine.since, since)
            elif mine is None and len(self._stretches) < self._bound:
                self._stretches[mark] = _Stretch(since, last, now)

    def forget(self, before: float) -> None:
        """Forget publishers that have been silent since ``before``."""
        while self._stretches:
            mark, stretch = next(iter(self._stretches.items()))
            if stretch.heard_at >= before:
                return
            del self._stretches[mark]

    @property
    def vector(self) -> dict[str, int]:
        """Return where we are."""
        return {mark: stretch.last for mark, stretch in self._stretches.items()}

    def knows(self, mark: str) -> bool:
        """Whether a publisher is remembered."""
        return mark in self._stretches

    def continues(self, seen: Vector) -> bool:
        """Whether everything that was published after ``seen`` has come here, or will.

        A publisher that ``seen`` does not name must have come here from its first
        number on; one that we do not know has an unknown share.
        """
        known = self._stretches
        return all(mark in known for mark in seen) and all(
            stretch.since <= seen.get(mark, 0) for mark, stretch in known.items()
        )
