"""API calls per second: our http worker beside waitress with the same WSGI app."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

from benchmarks import wrk
from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import (
    PROJECT,
    BenchmarkFailed,
    Stage,
    answers,
    listen,
    trampoline,
    until,
)
from benchmarks.system import System, cookie

_PATH: Final = "/api/Bench/greet?name=Ada"
_WAITRESS: Final = "waitress, same WSGI app"
_WHAT: Final[tuple[tuple[str, str, str, Better], ...]] = (
    ("per_second", "API calls", "req/s", "more"),
    ("p50_ms", "API call, p50 at 32 connections", "ms", "less"),
    ("p99_ms", "API call, p99 at 32 connections", "ms", "less"),
)


def run(plan: Plan) -> list[Figure]:
    """Measure in turns: access log off, on, waitress, and again."""
    if shutil.which("wrk") is None:
        print(wrk.MISSING)
        return []
    with Stage() as stage:
        urls = _serve(stage)
        loads: dict[str, list[wrk.Load]] = {name: [] for name in urls}
        for url in urls.values():
            _measure(stage, url, 1)
        for _ in range(plan.rounds):
            for name, url in urls.items():
                loads[name].append(_measure(stage, url, plan.seconds))
    return _figures(loads)


def _serve(stage: Stage) -> dict[str, str]:
    """Start the three servers; return the URL of each by its name."""
    system = System(stage)
    ports = {
        "off": system.worker("http-1").port,
        "on": system.worker("http-2", access_log="on").port,
        "waitress": _waitress(stage, system),
    }
    return {name: f"http://127.0.0.1:{port}{_PATH}" for name, port in ports.items()}


def _waitress(stage: Stage, system: System) -> int:
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
    until(lambda: answers(f"http://127.0.0.1:{port}{_PATH}", cookie()), program)
    return port


def _measure(stage: Stage, url: str, seconds: float) -> wrk.Load:
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
        raise BenchmarkFailed(f"{load.failed} requests to {url} failed")
    return load


def _figures(loads: dict[str, list[wrk.Load]]) -> list[Figure]:
    return [
        Figure(
            part="http",
            name=f"{name}, access log {log}",
            unit=unit,
            better=better,
            peer_name=_WAITRESS,
            ours=tuple(getattr(load, field) for load in loads[log]),
            peer=tuple(getattr(load, field) for load in loads["waitress"]),
        )
        for field, name, unit, better in _WHAT
        for log in ("off", "on")
    ]
