"""Updates under load: nobody may feel them. Beside it, what peers' reloads cost.

16 keep-alive HTTP clients with a session (GET and POST in turns) and 500 WebSockets
with numbered messages, while the whole system is updated ten times in a row, then
the http workers alone ten times. Whatever a client could notice is a failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, sleep
from typing import Any, Final

import attrs

from benchmarks import update_peers
from benchmarks.felt import HEAD, Felt, handled_twice
from benchmarks.managed import Managed, Memory
from benchmarks.measures import aligned
from benchmarks.programs import Program, Stage, driver
from benchmarks.system import cookie

_FUNCTION: Final = "/api/Bench/greet"
_PAUSE_S: Final = 1.0
Say = Callable[[str], None]


@attrs.frozen
class Amount:
    """How much load there is, and how many updates: of all, of http workers alone."""

    requesters: int = 16
    talkers: int = 500
    of_all: int = 10
    of_http: int = 10


FULL: Final = Amount()
QUICK: Final = Amount(requesters=4, talkers=50, of_all=2, of_http=2)


def run(amount: Amount) -> int:
    """Update ourselves, then let peers reload; return the exit status."""
    ours = updated(amount, _say)
    theirs = [_peer(name, amount) for name in update_peers.present()]
    print(aligned([HEAD, *(felt.row() for felt in (*ours, *theirs))]))
    print(f"\n{os.cpu_count()} cores. Of what varies: the median (the most).")
    problems = [problem for felt in ours for problem in felt.problems]
    print("Ours:", *(problems or ["nobody felt anything."]), sep="\n  ")
    print("Peers:", *(each for felt in theirs for each in felt.problems), sep="\n  ")
    return 1 if problems else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def updated(amount: Amount, say: Say) -> list[Felt]:
    """Update everything again and again, then the http workers; tell what was felt."""
    everything, http = ("all workers", amount.of_all), ("http workers", amount.of_http)
    felt: list[Felt] = []
    with Stage() as stage:
        system = Managed(stage)
        for (name, times), options in ((everything, ()), (http, ("--role", "http"))):
            ports = {role: system.ports(role) for role in ("http", "ws")}
            clients = _clients(stage, f"clients-{len(felt)}", amount, ports)
            update = partial(system.update, *options)
            rounds = _rounds(system.program, clients, update, times, say)
            rest = clients.ask(do="settle")
            felt.append(
                Felt(
                    name=f"{name}, {times} times",
                    rounds=rounds,
                    rest=rest,
                    doubled=handled_twice(system.handled()),
                    sockets_stay=bool(options),
                )
            )
    return felt


def _peer(name: str, amount: Amount) -> Felt:
    """Let a peer reload under the same requests; it has no WebSockets."""
    with Stage() as stage:
        server = update_peers.start(stage, name)
        ports = {"http": [server.port], "ws": []}
        alone = attrs.evolve(amount, talkers=0)
        clients = _clients(stage, "clients", alone, ports)
        reload = partial(update_peers.reload, server.program)
        rounds = _rounds(server.program, clients, reload, amount.of_http, _say)
        return Felt(name=name, rounds=rounds, rest=clients.ask(do="settle"))


def _clients(
    stage: Stage, name: str, amount: Amount, ports: Mapping[str, list[int]]
) -> Program:
    """Return clients that are at work."""
    clients = stage.start(name, driver("update_clients"), core=stage.cores.load)
    clients.hear()
    clients.ask(
        do="open",
        **ports,
        function=_FUNCTION,
        cookie=cookie(),
        requesters=amount.requesters,
        talkers=amount.talkers,
    )
    return clients


def _rounds(
    server: Program, clients: Program, update: Callable[[], None], times: int, say: Say
) -> list[dict[str, Any]]:
    """Update again and again; return what clients felt each time."""
    found = []
    for turn in range(times):
        sleep(_PAUSE_S)
        began = monotonic()
        with Memory(server) as memory:
            update()
        took_s = monotonic() - began
        felt = clients.ask(do="take")
        found.append({**felt, "took_s": took_s, "memory_mib": memory.most_mib})
        say(f"  {turn + 1}: {took_s:.1f} s {felt}")
    return found
