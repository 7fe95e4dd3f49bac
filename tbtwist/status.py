"""What the manager tells about itself and its workers (contract §1, ``status --json``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

SCHEMA_VERSION = 1

Role = Literal["http", "ws", "broker"]
WorkerState = Literal["starting", "running", "draining", "backoff", "stopped", "failed"]


class LastExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker's previous process ended, and why, in words.

    ``in_flight`` is how many requests it said it was at work on, a moment before;
    ``lines`` are the last that it wrote, the stacks of one that hung among them.
    """

    at: str
    code: int | None
    signal: str | None
    reason: str
    generation: int = 0
    in_flight: int | None = None
    lines: tuple[str, ...] = ()


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One slot. ``started_at`` is ISO 8601 in UTC; a figure we do not know is None.

    ``bus_pending`` are items that its bus has at hand.
    ``drops`` counts by reason what a ws worker could not bring to its end.
    ``bus`` counts what was dropped, refused, missed or sent again, by reason.
    """

    id: str
    role: Role
    state: WorkerState
    generation: int
    pid: int | None = None
    port: int | None = None
    started_at: str | None = None
    uptime_s: float | None = None
    restarts: int = 0
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    requests_total: int | msgspec.UnsetType | None = msgspec.UNSET
    connections: int | msgspec.UnsetType | None = msgspec.UNSET
    bus_pending: int | msgspec.UnsetType | None = msgspec.UNSET
    drops: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    last_exit: LastExit | None = None
    bus: Mapping[str, int] = {}
    exits: tuple[LastExit, ...] = ()
    detail: str = ""


class UpdateStep(msgspec.Struct, frozen=True):
    """What an update has come to: ``step`` of one worker, with its generation.

    Steps: starting, ready, draining, gone; failed; started, stopped, moved.
    """

    worker: str
    step: str
    generation: int
    detail: str = ""


class ManagerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The manager itself.

    ``http_url`` is where a browser finds the application, ``ui_url`` where it finds
    the manager; empty if there is no web UI.
    """

    pid: int
    version: str
    started_at: str
    http_url: str
    data_dir: str
    ui_url: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer to ``status``."""

    schema_version: int = SCHEMA_VERSION
    manager: ManagerInfo
    workers: tuple[WorkerStatus, ...]
