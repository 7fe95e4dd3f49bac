"""What ``status`` shows: a `Status` in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tbtwist.status import LastExit, Status, WorkerStatus

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS: Final = (
    *("id", "role", "state", "generation", "pid", "port", "uptime", "memory"),
    *("traffic", "restarts", "last exit and why"),
)
_UNKNOWN: Final = "-"
_COLOURS: Final = {
    "running": "green",
    "starting": "yellow",
    "draining": "yellow",
    "backoff": "red",
    "failed": "bold red",
    "stopped": "dim",
}


def document(status: Status) -> bytes:
    """Return the JSON of ``status --json`` (contract §1)."""
    found = msgspec.to_builtins(status)
    found["workers"] = [_worker_document(worker) for worker in found["workers"]]
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


def _worker_document(worker: dict[str, Any]) -> dict[str, Any]:
    """Return the contract's keys of one worker, in its order; then the bus' counters."""
    counter = {"http": "requests_total", "ws": "connections"}.get(worker["role"])
    own = (counter, "bus_pending") if counter else ()
    dropped = {"requests_total", "connections", "last_exit", "exits"}
    dropped |= {"detail", "bus", *own}
    kept = {key: value for key, value in worker.items() if key not in dropped}
    figures = {key: worker.get(key) for key in own}
    last = worker["last_exit"]
    if last is not None:
        last = {key: last[key] for key in ("at", "code", "signal", "reason")}
    return {**kept, **figures, "last_exit": last, "bus": worker["bus"]}


def headline(status: Status) -> str:
    """Return one line about the manager."""
    manager = status.manager
    ui = f"web UI {manager.ui_url}, " if manager.ui_url else ""
    return (
        f"tbtwist {manager.version}, manager pid {manager.pid}, "
        f"{manager.http_url}, {ui}data in {manager.data_dir}"
    )


def plain(status: Status, now: float) -> str:
    """Return headline and table as plain text, for pipes and logs."""
    lines = [_HEADINGS, *(_cells(worker, now) for worker in status.workers)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (_aligned(line, widths) for line in lines)
    return "\n".join([headline(status), "", *rows]) + "\n"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def coloured(status: Status, now: float) -> Table:
    """Return the table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEADINGS, title=Text(headline(status)), box=None, pad_edge=False)
    for worker in status.workers:
        cells = [Text(cell) for cell in _cells(worker, now)]
        cells[2].stylize(_COLOURS[worker.state])
        table.add_row(*cells)
    return table


def _cells(worker: WorkerStatus, now: float) -> tuple[str, ...]:
    return (
        *(worker.id, worker.role, worker.state, str(worker.generation)),
        *(_number(worker.pid), _number(worker.port)),
        _UNKNOWN if worker.uptime_s is None else duration(worker.uptime_s),
        _UNKNOWN if worker.memory_bytes is None else size(worker.memory_bytes),
        *(_traffic(worker), str(worker.restarts)),
        "; ".join(_reasons(worker, now)) or _UNKNOWN,
    )


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)


def _traffic(worker: WorkerStatus) -> str:
    for count, what in (
        (worker.requests_total, "requests"),
        (worker.connections, "connections"),
    ):
        if isinstance(count, int):
            return f"{count:,} {what}"
    return _UNKNOWN


def _reasons(worker: WorkerStatus, now: float) -> Iterator[str]:
    if worker.detail and worker.state != "running":
        yield worker.detail
    if worker.last_exit is not None:
        yield _exit(worker.last_exit, now)


def _exit(last: LastExit, now: float) -> str:
    how = last.signal or ("" if last.code is None else f"code {last.code}")
    try:
        ago = duration(max(0.0, now - datetime.fromisoformat(last.at).timestamp()))
    except ValueError:
        return f"{how}: {last.reason}"
    return f"{how} {ago} ago: {last.reason}".lstrip()


def story(worker: WorkerStatus, now: float) -> str:
    """Return how a worker is, and how its last processes ended: all that is known."""
    where = f", port {worker.port}" if worker.port else ""
    since = "" if worker.uptime_s is None else f" for {duration(worker.uptime_s)}"
    lines = [
        f"{worker.id}, generation {worker.generation}{where}: {worker.state}{since}"
    ]
    if worker.detail:
        lines.append(f"  {worker.detail}")
    if not worker.exits:
        lines.append("No process of it has ended under this manager.")
    for end in reversed(worker.exits):
        lines += ["", f"Generation {end.generation} ended at {end.at}"]
        lines.append(f"  {_exit(end, now)}")
        if end.in_flight:
            lines.append(f"  {end.in_flight} requests were in progress just before")
        lines += [f"    {line}" for line in end.lines]
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``2 h 5 min``."""
    left = int(seconds)
    if left < 60:
        return f"{left} s"
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    first = next(i for i, (length, _) in enumerate(units) if left >= length)
    (length, unit), (small, small_unit) = units[first], units[first + 1]
    rest = left % length // small
    return f"{left // length} {unit}" + (f" {rest} {small_unit}" if rest else "")


def size(count: int) -> str:
    """Return a number of bytes in a unit that reads well: ``48.2 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
