"""What all slots of a manager share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from tbtwist.status import LastExit
from tbtwist.supervise.keeping import ExitPipe, Generations
from tbtwist.supervise.world import World


@attrs.define(eq=False)
class Workshop:
    """What all slots of a manager share.

    ``inherited`` are the descriptors that every child gets beside its listener;
    ``exits`` tells the broker at once whom it need not wait for; ``addresses`` says
    where all workers listen, for their environment. ``changed`` is told the id of a
    worker with another state, ``said`` a worker's line and pid, ``counted`` the
    figures of one of its generations, ``left`` how that ended and what it said last.
    """

    world: World
    runtime_dir: Path
    generations: Generations
    inherited: tuple[tuple[str, int], ...]
    exits: ExitPipe
    addresses: Callable[[], Mapping[str, str]]
    changed: Callable[[str], None]
    said: Callable[[str, str, int | None], None]
    counted: Callable[[str, int, Mapping[str, int]], None]
    left: Callable[[str, int, LastExit, Sequence[str]], None]


def iso_utc(seconds: float) -> str:
    """Return a moment of the wall clock as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
