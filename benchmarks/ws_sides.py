"""The WebSocket servers that are measured, each with clients of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from time import sleep
from typing import Any, Final

import attrs
import psutil

from benchmarks.programs import (
    BenchmarkFailed,
    Program,
    Stage,
    cpu_s,
    driver,
    free_ports,
    listen,
    until,
)
from benchmarks.system import SECRET, System

TOOLBOX_PYTHON: Final = "TB_TOOLBOXV2_PYTHON"
_SETTLE_S: Final = 1.5
_KIB: Final = 1024
_WARM_UP: Final = 100
_TOO_BUSY: Final = 0.9
_TOOLBOX_ROLES: Final = ("broker", "http", "ws")
_TOOLBOX_SETTINGS: Final = {
    "TB_ENV": "production",
    "TB_COOKIE_SECRET": SECRET,
    "TB_JWT_SECRET": SECRET,
    "TOOLBOXV2_REMOTE_BASE": "none",  # no user is made for the loopback address
}


@attrs.define(eq=False)
class Side:
    """A server's processes and the clients that talk to it."""

    servers: Mapping[str, Program]
    clients: Program
    results: list[dict[str, Any]] = attrs.Factory(list)

    def values(self, key: str) -> tuple[float, ...]:
        """Return one quantity of every round."""
        return tuple(each[key] for each in self.results if key in each)

    def memory(self) -> dict[str, int]:
        """Return the resident bytes of each server process."""
        return {
            name: int(psutil.Process(program.pid).memory_info().rss)
            for name, program in self.servers.items()
        }

    def grow(self, connections: int) -> dict[str, float]:
        """Open connections; return what each cost: KiB in each process, and more.

        Some come and go before, so that what is made once is not counted.
        """
        self.clients.ask(do="open", count=_WARM_UP)
        self.clients.ask(do="echo", seconds=0.5)
        self.clients.ask(do="close")
        sleep(_SETTLE_S)
        before, used_s = self.memory(), cpu_s(self.servers.values())
        opened = self.clients.ask(do="open", count=connections)
        sleep(_SETTLE_S)
        used_s = cpu_s(self.servers.values()) - used_s
        after = self.memory()
        grown = {n: (after[n] - before[n]) / connections / _KIB for n in after}
        return {
            **grown,
            "opened_per_second": opened["per_second"],
            "open_cpu_us": used_s / connections * 1e6,
        }

    def work(self, what: str, seconds: float) -> dict[str, Any]:
        """Let the clients echo or fan out; return the rate, and CPU time of each."""
        used_s = cpu_s(self.servers.values())
        done = self.clients.ask(do=what, seconds=seconds)
        used_s = cpu_s(self.servers.values()) - used_s
        if done["lost"]:
            raise BenchmarkFailed(f"{done['lost']} connections were lost")
        if done["client_load"] > _TOO_BUSY:
            print(f"{self.clients.name} were busy: a lower bound.", file=sys.stderr)
        return {
            f"{what}_per_second": done["per_second"],
            f"{what}_cpu_us": used_s / done["count"] * 1e6,
        }

    def pace(self, rate: float, seconds: float) -> dict[str, Any]:
        """Return round trips at a constant rate."""
        return self.clients.ask(do="pace", rate=rate, seconds=seconds)


def ours(stage: Stage) -> Side:
    """Start a broker, an http and a ws worker."""
    system = System(stage)
    http = system.worker("http-1")
    ws = system.worker("ws-1")
    servers = {"ws": ws.program, "http": http.program, "broker": system.broker}
    return Side(servers, _clients(stage, ws.port, "/ws/Bench/echo", "our clients"))


def inside(stage: Stage) -> Side:
    """Start the ws worker's protocol with an echo behind it."""
    return _bare(stage, "our echo", "benchmarks.ws_echo", "/ws/echo")


def websockets(stage: Stage) -> Side:
    """Start an echo server on ``websockets``."""
    return _bare(stage, "websockets", "benchmarks.peers.websockets_server", "/")


def _bare(stage: Stage, name: str, module: str, path: str) -> Side:
    listener, port = listen()
    program = stage.start(
        name,
        [sys.executable, "-m", module],
        core=stage.cores.server,
        listener=listener,
        environ={"LISTEN_FDS": "1"},
    )
    return Side({"ws": program}, _clients(stage, port, path, f"clients of {name}"))


def toolboxv2(stage: Stage) -> Side | None:
    """Start ToolBoxV2's three processes; None, and a sentence, without the package."""
    python = os.environ.get(TOOLBOX_PYTHON)
    if not python:
        missing = f"{TOOLBOX_PYTHON} names no Python that has ToolBoxV2: left out."
        print(missing, file=sys.stderr)
        return None
    http_port, ws_port, *bus = map(str, free_ports(6))
    servers: dict[str, Program] = {}
    for role in _TOOLBOX_ROLES:
        data_dir = stage.directory / f"toolboxv2-{role}"
        data_dir.mkdir()
        port = ws_port if role == "ws" else http_port
        module = "benchmarks.peers.toolboxv2_stack"
        servers[role] = stage.start(
            f"toolboxv2 {role}",
            [python, "-m", module, role, port, *bus],
            core=stage.cores.server,
            environ={**_TOOLBOX_SETTINGS, "TB_DATA_DIR": str(data_dir)},
        )
        ports = {"broker": bus[0], "http": http_port, "ws": ws_port}
        until(partial(_listens, servers[role], int(ports[role])), servers[role])
    clients = _clients(
        stage, int(ws_port), "/ws/Bench/open_echo", "ToolBoxV2's clients"
    )
    return Side(servers, clients)


def _listens(program: Program, port: int) -> bool:
    """Whether a process listens where the next one, or a client, looks for it."""
    sockets = psutil.Process(program.pid).net_connections("tcp")
    listening = (each for each in sockets if each.status == psutil.CONN_LISTEN)
    return any(each.laddr.port == port for each in listening)


def _clients(stage: Stage, port: int, path: str, name: str) -> Program:
    command = driver("ws_clients", str(port), path)
    program = stage.start(name, command, core=stage.cores.load)
    program.hear()
    return program
