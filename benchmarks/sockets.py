"""WebSockets: our whole path beside a bare echo server on ``websockets``."""

from __future__ import annotations

import sys
from time import sleep
from typing import Any, Final

import attrs
import psutil

from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import BenchmarkFailed, Program, Stage, cpu_s, driver, listen
from benchmarks.system import System

_PEER: Final = "websockets, bare echo"
_RATE: Final = 200.0
_SETTLE_S: Final = 1.5
_KIB: Final = 1024
_WARM_UP: Final = 50
_TOO_BUSY: Final = 0.9


@attrs.define(eq=False)
class Side:
    """A server's processes and the clients that talk to it."""

    servers: dict[str, Program]
    clients: Program
    rounds: list[dict[str, Any]] = attrs.Factory(list)

    def memory(self) -> dict[str, int]:
        """Return the resident bytes of each server process."""
        return {
            name: int(psutil.Process(program.pid).memory_info().rss)
            for name, program in self.servers.items()
        }


def run(plan: Plan) -> list[Figure]:
    """Measure connections' memory once, then echoes in turns."""
    with Stage() as stage:
        sides = {"ours": _ours(stage), "peer": _peer(stage)}
        growth = {name: _connect(side, plan) for name, side in sides.items()}
        for _ in range(plan.rounds):
            for side in sides.values():
                side.rounds.append(_round(side, plan))
    return [*memory_figures(growth, plan), *_echo_figures(sides, plan)]


def _ours(stage: Stage) -> Side:
    system = System(stage)
    http = system.worker("http-1")
    ws = system.worker("ws-1")
    servers = {"ws": ws.program, "http": http.program, "broker": system.broker}
    return Side(servers, _clients(stage, ws.port, "/ws/Bench/echo", "our clients"))


def _peer(stage: Stage) -> Side:
    listener, port = listen()
    program = stage.start(
        "websockets",
        [sys.executable, "-m", "benchmarks.peers.websockets_server"],
        core=stage.cores.server,
        listener=listener,
    )
    return Side({"ws": program}, _clients(stage, port, "/", "the peer's clients"))


def _clients(stage: Stage, port: int, path: str, name: str) -> Program:
    command = driver("ws_clients", str(port), path)
    program = stage.start(name, command, core=stage.cores.load)
    program.hear()
    return program


def _connect(side: Side, plan: Plan) -> dict[str, float]:
    """Open the connections; return what each cost: KiB in each process, and more.

    Some come and go before, so that what is made once is not counted.
    """
    side.clients.ask(do="open", count=_WARM_UP)
    side.clients.ask(do="echo", seconds=0.5)
    side.clients.ask(do="close")
    sleep(_SETTLE_S)
    before = side.memory()
    opened = side.clients.ask(do="open", count=plan.connections)
    sleep(_SETTLE_S)
    after = side.memory()
    grown = {
        name: (after[name] - before[name]) / plan.connections / _KIB for name in after
    }
    return {**grown, "per_second": opened["per_second"]}


def _round(side: Side, plan: Plan) -> dict[str, Any]:
    used_s = cpu_s(side.servers.values())
    echoed = side.clients.ask(do="echo", seconds=plan.seconds)
    used_s = cpu_s(side.servers.values()) - used_s
    if echoed["lost"]:
        raise BenchmarkFailed(f"{echoed['lost']} connections were lost")
    if echoed["client_load"] > _TOO_BUSY:
        print(f"{side.clients.name} were busy: what they measured is a lower bound.")
    paced = side.clients.ask(do="pace", rate=_RATE, seconds=plan.seconds)
    return {**echoed, **paced, "cpu_us": used_s / echoed["count"] * 1e6}


def memory_figures(growth: dict[str, dict[str, float]], plan: Plan) -> list[Figure]:
    """Return what connections cost, by process and in total."""
    ours, peer = growth["ours"], growth["peer"]
    every = f"{plan.connections} connections"
    whole = sum(kib for name, kib in ours.items() if name != "per_second")
    return [
        _figure(f"memory of the ws worker at {every}", "KiB each", "less",
                [ours["ws"]], [peer["ws"]]),
        _figure(f"memory of ws, http and broker at {every}", "KiB each", "less",
                [whole], [peer["ws"]]),
        _figure("opening connections", "1/s", "more",
                [ours["per_second"]], [peer["per_second"]]),
    ]  # fmt: skip


def _echo_figures(sides: dict[str, Side], plan: Plan) -> list[Figure]:
    def both(name: str, unit: str, better: Better, key: str) -> Figure:
        ours, peer = ([r[key] for r in side.rounds] for side in sides.values())
        return _figure(name, unit, better, ours, peer)

    return [
        both(f"echo, {plan.connections} clients", "msg/s", "more", "per_second"),
        both("servers' CPU time of an echo", "µs", "less", "cpu_us"),
        both(f"round trip, p50 at {_RATE:.0f} msg/s", "ms", "less", "p50_ms"),
        both(f"round trip, p99 at {_RATE:.0f} msg/s", "ms", "less", "p99_ms"),
    ]


def _figure(
    name: str, unit: str, better: Better, ours: list[float], peer: list[float]
) -> Figure:
    return Figure(
        part="ws",
        name=name,
        unit=unit,
        better=better,
        peer_name=_PEER,
        ours=tuple(ours),
        peer=tuple(peer),
    )
