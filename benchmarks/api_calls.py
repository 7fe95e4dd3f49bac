"""API calls per second: our http worker beside waitress with the same WSGI app."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

import attrs

from benchmarks import wrk
from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import (
    PROJECT,
    BenchmarkFailed,
    Program,
    Stage,
    answers,
    cpu_s,
    listen,
    trampoline,
    until,
)
from benchmarks.system import System, Worker, cookie

PATH: Final = "/api/Bench/greet?name=Ada"
_WAITRESS: Final = "waitress, same WSGI app"
_WHAT: Final[tuple[tuple[str, str, str, Better], ...]] = (
    ("per_second", "API calls", "req/s", "more"),
    ("cpu_us", "server's CPU time of an API call", "µs", "less"),
    ("p50_ms", "API call, p50 at 32 connections", "ms", "less"),
    ("p99_ms", "API call, p99 at 32 connections", "ms", "less"),
)


@attrs.frozen
class Round:
    """What one run of wrk says of a server, and what the server computed for it."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def run(plan: Plan) -> list[Figure]:
    """Measure in turns: access log off, on, waitress, and again."""
    if shutil.which("wrk") is None:
        print(wrk.MISSING)
        return []
    with Stage() as stage:
        servers = _serve(stage)
        for server in servers.values():
            _measure(stage, server, 1)
        rounds: dict[str, list[Round]] = {name: [] for name in servers}
        for _ in range(plan.rounds):
            for name, server in servers.items():
                rounds[name].append(_measure(stage, server, plan.seconds))
    return figures(rounds)


def _serve(stage: Stage) -> dict[str, Worker]:
    """Start the three servers."""
    system = System(stage)
    return {
        "off": system.worker("http-1"),
        "on": system.worker("http-2", access_log="on"),
        "waitress": _waitress(stage, system),
    }


def _waitress(stage: Stage, system: System) -> Worker:
    listener, port = listen()
    data_dir = stage.directory / "w"
    data_dir.mkdir()
    program = stage.start(
        "waitress",
        [
            *(sys.executable, "-m", "benchmarks.peers.waitress_server"),
            system.config("off"),
        ],
        core=stage.cores.server,
        listener=listener,
        environ={**system.environ, "TB_DATA_DIR": str(data_dir)},
    )
    until(lambda: answers(f"http://127.0.0.1:{port}{PATH}", cookie()), program)
    return Worker(program, port)


def _measure(stage: Stage, server: Worker, seconds: float) -> Round:
    used_s = cpu_s([server.program])
    load = _load(stage, server.program, server.url(PATH), seconds)
    used_s = cpu_s([server.program]) - used_s
    cpu_us = used_s / load.requests * 1e6
    return Round(load.per_second, load.p50_ms, load.p99_ms, cpu_us)


def _load(stage: Stage, server: Program, url: str, seconds: float) -> wrk.Load:
    done = subprocess.run(
        [*trampoline(stage.cores.load), *wrk.command(url, seconds, cookie())],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    load = wrk.parse(done.stdout)
    if load.failed:
        raise BenchmarkFailed(f"{server.name}: {load.failed} requests failed")
    return load


def figures(rounds: dict[str, list[Round]]) -> list[Figure]:
    """Return our rounds with either access log, beside waitress'."""
    return [
        Figure(
            part="http",
            name=f"{name}, access log {log}",
            unit=unit,
            better=better,
            peer_name=_WAITRESS,
            ours=tuple(getattr(each, field) for each in rounds[log]),
            peer=tuple(getattr(each, field) for each in rounds["waitress"]),
        )
        for field, name, unit, better in _WHAT
        for log in ("off", "on")
    ]
