"""API calls with a session: our http worker beside other servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from benchmarks import http_peers, wrk
from benchmarks.measures import Better, Figure, Plan
from benchmarks.pacing import Load
from benchmarks.programs import (
    PROJECT,
    BenchmarkFailed,
    Program,
    Server,
    Stage,
    answers,
    ask,
    cpu_s,
    driver,
    trampoline,
    until,
)
from benchmarks.system import USER, System, cookie

CALL: Final = "/api/Bench/greet"
PATH: Final = f"{CALL}?name=Ada"
EXPECTED: Final = f'{{"hello":"Ada","from":"{USER}"}}'
_LOGGED: Final = f"GET {CALL}".encode("ascii")
_TOO_BUSY: Final = 0.9

_OURS: Final[Mapping[str, str]] = {
    "auto": "fast lane",
    "wsgi": "WSGI lane",
    "unlogged": "fast lane, no access log",
}
_UNLOGGED_PEERS: Final = tuple(
    name for name, peer in http_peers.PEERS.items() if not peer.logs
)


@attrs.frozen
class Round:
    """What one round says of a server: under full load, and under an equal one.

    ``cpu_us`` is what all its processes computed for a call under full load.
    """

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def run(plan: Plan) -> list[Figure]:
    """Measure all servers in turns, under full load and under an equal one."""
    if shutil.which("wrk") is None:
        print(wrk.MISSING)
        return []
    with Stage() as stage:
        bench = Bench(stage, plan)
        for server in bench.servers.values():
            bench.full_load(server, 1)
        rounds: dict[str, list[Round]] = {name: [] for name in bench.servers}
        for _ in range(plan.rounds):
            for name, server in bench.servers.items():
                rounds[name].append(bench.round(server))
        bench.check_logs()
    return figures(rounds, plan.rate)


class Bench:
    """All servers, ready and checked, and what is done with each."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self._cookie = cookie()
        self._calls: dict[Server, int] = {}
        self.servers = self._serve()
        self._clients = stage.start(
            "clients", driver("http_clients"), core=stage.cores.load
        )
        self._clients.hear()

    def _serve(self) -> dict[str, Server]:
        system = System(self._stage)
        peers = {
            name: http_peers.start(self._stage, system, name)
            for name in http_peers.present(os.environ)
        }
        ours = {
            "auto": system.worker("http-1", access_log="on"),
            "unlogged": system.worker("http-2"),
            "wsgi": system.worker("http-3", access_log="on", lane="wsgi"),
        }
        servers = {**ours, **peers}
        for server in servers.values():
            self._check(server)
        return servers

    def _check(self, server: Server) -> None:
        """Wait for ``server``; see that it knows the user, and nobody else."""
        url = server.url(PATH)
        until(lambda: answers(url, self._cookie), server.program)
        status, body = ask(url, self._cookie)
        if status != 200 or EXPECTED.encode() not in body:
            raise server.program.failure(f"it answered {status}: {body!r}")
        for nobody in ("", self._cookie[:-8] + "AAAAAAAA"):
            if (status := ask(url, nobody)[0]) != 401:
                raise server.program.failure(f"it answered {status} to nobody")

    def round(self, server: Server) -> Round:
        """Measure ``server`` under full load, then under the equal one."""
        load, cpu_us = self.full_load(server, self._plan.http_seconds)
        paced = self._equal_load(server)
        return Round(load.per_second, cpu_us, paced["p50_ms"], paced["p99_ms"])

    def full_load(self, server: Server, seconds: float) -> tuple[wrk.Load, float]:
        """Let wrk do what it can; return that, and the CPU time of a call in µs."""
        used_s = cpu_s([server.program])
        load = _wrk(self._stage, server.program, server.url(PATH), seconds)
        used_s = cpu_s([server.program]) - used_s
        self._count(server, load.requests)
        return load, used_s / load.requests * 1e6

    def _equal_load(self, server: Server) -> dict[str, float]:
        load = Load(
            port=server.port,
            path=PATH,
            cookie=self._cookie,
            expected=EXPECTED,
            connections=wrk.CONNECTIONS,
            rate=self._plan.rate,
            seconds=self._plan.http_seconds,
        )
        paced = self._clients.ask(**attrs.asdict(load))
        self._count(server, paced["count"])
        if paced["client_load"] > _TOO_BUSY:
            print(f"the clients of {server.program.name} were busy themselves.")
        return paced

    def _count(self, server: Server, calls: int) -> None:
        self._calls[server] = self._calls.get(server, 0) + calls

    def check_logs(self) -> None:
        """See that servers with an access log have written down every call."""
        for server, calls in self._calls.items():
            if server.access_log is not None:
                until(partial(has_logged, server, calls), server.program)


def has_logged(server: Server, calls: int) -> bool:
    """Whether at least ``calls`` calls are in the access log of ``server``."""
    assert server.access_log is not None
    return server.access_log.read_bytes().count(_LOGGED) >= calls


def _wrk(stage: Stage, server: Program, url: str, seconds: float) -> wrk.Load:
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


def figures(rounds: Mapping[str, Sequence[Round]], rate: float) -> list[Figure]:
    """Return both lanes beside every peer that was there."""
    return [
        figure
        for ours in _OURS
        for peer in _beside(ours, rounds)
        for figure in _compared(ours, rounds[ours], peer, rounds[peer], rate)
    ]


def _beside(ours: str, rounds: Mapping[str, Sequence[Round]]) -> list[str]:
    """Return who is compared with ``ours``: with no access log, who has none."""
    names = _UNLOGGED_PEERS if ours == "unlogged" else tuple(http_peers.PEERS)
    return [name for name in names if name in rounds]


def _compared(
    ours: str,
    our_rounds: Sequence[Round],
    peer: str,
    peer_rounds: Sequence[Round],
    rate: float,
) -> list[Figure]:
    what: tuple[tuple[str, str, str, Better], ...] = (
        ("per_second", "API calls", "req/s", "more"),
        ("cpu_us", "CPU time of an API call", "µs", "less"),
        ("p50_ms", f"API call, p50 at {rate:.0f}/s", "ms", "less"),
        ("p99_ms", f"API call, p99 at {rate:.0f}/s", "ms", "less"),
    )
    return [
        Figure(
            part="http",
            name=f"{name}, {_OURS[ours]}",
            unit=unit,
            better=better,
            peer_name=http_peers.PEERS[peer].title,
            ours=tuple(getattr(each, field) for each in our_rounds),
            peer=tuple(getattr(each, field) for each in peer_rounds),
        )
        for field, name, unit, better in what
    ]
