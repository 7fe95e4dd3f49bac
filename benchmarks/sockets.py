"""WebSockets: connections, echoes and fan-out, beside ``websockets`` and ToolBoxV2."""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks import ws_sides
from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import Stage
from benchmarks.ws_sides import Side

_MANY: Final = 10
"""How many times the plan's connections are opened to see what each costs."""
_PATH_CLIENTS: Final = 100
_WEBSOCKETS: Final = "websockets"
_TOOLBOX: Final = "ToolBoxV2: 1 http, 1 ws, broker"


def run(plan: Plan) -> list[Figure]:
    """Measure what connections cost, then messages in turns, then the whole path."""
    return [*_connections(plan), *_messages(plan), *_whole_path(plan)]


def _connections(plan: Plan) -> list[Figure]:
    many = _MANY * plan.connections
    with Stage() as stage:
        sides = {"ours": ws_sides.ours(stage), "peer": ws_sides.websockets(stage)}
        growth = {name: side.grow(many) for name, side in sides.items()}
    return connection_figures(growth, many)


def connection_figures(growth: dict[str, dict[str, float]], many: int) -> list[Figure]:
    """Return what connections cost, in the ws worker and in total."""
    ours, peer = growth["ours"], growth["peer"]
    whole = ours["ws"] + ours["http"] + ours["broker"]
    every = f"{many} connections"

    def one(name: str, unit: str, better: Better, us: float, them: float) -> Figure:
        return _figure(name, unit, better, _WEBSOCKETS, ((us,), (them,)))

    return [
        one(f"memory of the ws worker at {every}", "KiB each", "less",
            ours["ws"], peer["ws"]),
        one(f"memory of ws, http and broker at {every}", "KiB each", "less",
            whole, peer["ws"]),
        one("opening connections", "1/s", "more",
            ours["opened_per_second"], peer["opened_per_second"]),
        one("servers' CPU time of opening one", "µs", "less",
            ours["open_cpu_us"], peer["open_cpu_us"]),
    ]  # fmt: skip


def _messages(plan: Plan) -> list[Figure]:
    """Echoes inside the worker, and broadcasts of an application through all of it."""
    with Stage() as stage:
        inside, peer = ws_sides.inside(stage), ws_sides.websockets(stage)
        ours = ws_sides.ours(stage)
        for side in (inside, peer):
            side.results.append(side.grow(plan.connections))
        ours.clients.ask(do="open", count=plan.connections)
        for _ in range(plan.rounds):
            for side in (inside, peer):
                side.results.append(side.work("echo", plan.seconds))
                side.results.append(side.work("fan_out", plan.seconds))
            ours.results.append(ours.work("fan_out", plan.seconds))
    return [*echo_figures(inside, peer, plan), *fan_out_figures(ours, peer, plan)]


def echo_figures(inside: Side, peer: Side, plan: Plan) -> list[Figure]:
    """Return how the protocol alone does."""
    clients = f"{plan.connections} clients"
    both = _Pair(inside, peer).figure
    return [
        both(f"echo inside the worker, {clients}", "msg/s", "more", "echo_per_second"),
        both("CPU time of an echo inside the worker", "µs", "less", "echo_cpu_us"),
        both("CPU time of a delivery inside the worker", "µs", "less",
             "fan_out_cpu_us"),
        both("opening connections, the protocol alone", "1/s", "more",
             "opened_per_second"),
        both("CPU time of opening one, the protocol alone", "µs", "less",
             "open_cpu_us"),
    ]  # fmt: skip


def fan_out_figures(ours: Side, peer: Side, plan: Plan) -> list[Figure]:
    """Return how broadcasts do."""
    both = _Pair(ours, peer).figure
    name = f"fan-out to {plan.connections}"
    return [
        both(name, "deliveries/s", "more", "fan_out_per_second"),
        both("servers' CPU time of a delivery", "µs", "less", "fan_out_cpu_us"),
    ]


def _whole_path(plan: Plan) -> list[Figure]:
    """Client, ws worker, broker, http worker's handler and back, beside the original."""
    with Stage() as stage:
        peer = ws_sides.toolboxv2(stage)
        if peer is None:
            return []
        sides = (ws_sides.ours(stage), peer)
        for side in sides:
            side.clients.ask(do="open", count=_PATH_CLIENTS)
            side.work("echo", plan.seconds)
        for _ in range(plan.rounds):
            for side in sides:
                side.results.append(side.work("echo", plan.seconds))
        half = min(peer.values("echo_per_second")) / 2
        for _ in range(plan.rounds):
            for side in sides:
                side.results.append(side.pace(half, plan.seconds))
                own = side.pace(max(side.values("echo_per_second")) / 2, plan.seconds)
                side.results.append({f"own_{key}": own[key] for key in own})
    return path_figures(*sides, half)


def path_figures(ours: Side, peer: Side, half: float) -> list[Figure]:
    """Return throughput of the whole path, and round trips at half load."""
    both = _Pair(ours, peer, _TOOLBOX).figure
    name = f"whole path, {_PATH_CLIENTS} clients"
    return [
        both(name, "msg/s", "more", "echo_per_second"),
        both("servers' CPU time of the whole path", "µs", "less", "echo_cpu_us"),
        both(f"round trip, p50 at {half:,.0f} msg/s", "ms", "less", "p50_ms"),
        both(f"round trip, p99 at {half:,.0f} msg/s", "ms", "less", "p99_ms"),
        both("round trip, p99 at half of one's own most", "ms", "less", "own_p99_ms"),
    ]


@attrs.frozen
class _Pair:
    """Two sides whose rounds are compared."""

    ours: Side
    peer: Side
    peer_name: str = _WEBSOCKETS

    def figure(self, name: str, unit: str, better: Better, key: str) -> Figure:
        """Return one quantity of both."""
        ours, peer = self.ours.values(key), self.peer.values(key)
        return _figure(name, unit, better, self.peer_name, (ours, peer))


def _figure(
    name: str,
    unit: str,
    better: Better,
    peer_name: str,
    values: tuple[tuple[float, ...], tuple[float, ...]],
) -> Figure:
    return Figure(
        part="ws",
        name=name,
        unit=unit,
        better=better,
        peer_name=peer_name,
        ours=values[0],
        peer=values[1],
    )
