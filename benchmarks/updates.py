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


@attrs.frozen
class Amount:
    """How much load there is, and how many updates of each kind."""

    requesters: int = 16
    talkers: int = 500
    updates: int = 10


FULL: Final = Amount()
QUICK: Final = Amount(requesters=4, talkers=50, updates=2)


def run(amount: Amount) -> int:
    """Update ourselves, then let peers reload; return the exit status."""
    ours = [*_ours(amount)]
    theirs = [_peer(name, amount) for name in update_peers.present()]
    print(aligned([HEAD, *(felt.row() for felt in (*ours, *theirs))]))
    print(
        f"\n{os.cpu_count()} cores. Of what varies: the median of all updates (the most)."
    )
    for felt in theirs:
        print(*felt.problems, sep="\n")
    problems = [problem for felt in ours for problem in felt.problems]
    print(*(problems or ["Nobody felt anything of ours."]), sep="\n")
    return 1 if problems else 0


def _ours(amount: Amount) -> list[Felt]:
    series: Mapping[str, tuple[str, ...]] = {
        "all workers": (),
        "http workers": ("--role", "http"),
    }
    felt = []
    with Stage() as stage:
        system = Managed(stage)
        for name, options in series.items():
            ports = {role: system.ports(role) for role in ("http", "ws")}
            clients = _clients(stage, f"clients-{len(felt)}", amount, ports)
            rounds = _rounds(
                system.program, clients, amount, partial(system.update, *options)
            )
            rest = clients.ask(do="settle")
            felt.append(
                Felt(
                    name=f"{name}, {amount.updates} times",
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
        rounds = _rounds(server.program, clients, alone, reload)
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
    server: Program, clients: Program, amount: Amount, update: Callable[[], None]
) -> list[dict[str, Any]]:
    """Update again and again; return what clients felt each time."""
    found = []
    for turn in range(amount.updates):
        sleep(_PAUSE_S)
        began = monotonic()
        with Memory(server) as memory:
            update()
        took_s = monotonic() - began
        felt = clients.ask(do="take")
        found.append({**felt, "took_s": took_s, "memory_mib": memory.most_mib})
        print(f"  {turn + 1}: {took_s:.1f} s {felt}", file=sys.stderr, flush=True)
    return found
