"""The bus between real processes, beside NATS and bare pyzmq.

The broker (nats-server, proxy) and the sender share the server's core, the
receiver has the other one.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import Program, Stage, cpu_s, driver, until
from benchmarks.system import System

_MISSING: Final = (
    "nats-py or nats-server is not installed (pip install '.[bench]'); left out."
)
_NATS: Final = "NATS (nats-py)"
_BARE: Final = "pyzmq, stdlib json, no loop"
_COMMANDS: Final = ("publish", "forward", "call", "calls")


@attrs.frozen
class _Engine:
    """One bus: its processes, and the one of them that takes commands."""

    broker: Program
    receiver: Program
    sender: Program

    def round(self, command: str, seconds: float) -> dict[str, float]:
        """Run one command, and measure what all three compute for it."""
        everyone = (self.broker, self.receiver, self.sender)
        used_s = cpu_s(everyone)
        answer = self.sender.ask(do=command, seconds=seconds)
        used_s = cpu_s(everyone) - used_s
        return {**answer, "cpu_us": used_s / answer["count"] * 1e6}


@attrs.frozen
class _Quantity:
    """What is measured by a command."""

    command: str
    key: str
    name: str
    unit: str
    better: Better


_QUANTITIES: Final = (
    _Quantity("publish", "per_second", "publish to decoded event", "msg/s", "more"),
    _Quantity("publish", "cpu_us", "CPU time of a publication", "µs", "less"),
    _Quantity("forward", "per_second", "lane items handled and acked", "1/s", "more"),
    _Quantity("forward", "cpu_us", "CPU time of a lane item", "µs", "less"),
    _Quantity("call", "p50_ms", "call, p50", "ms", "less"),
    _Quantity("call", "p99_ms", "call, p99", "ms", "less"),
    _Quantity("calls", "per_second", "calls, 100 in flight", "1/s", "more"),
    _Quantity("calls", "cpu_us", "CPU time of a call", "µs", "less"),
)

Rounds = dict[str, list[dict[str, float]]]


def run(plan: Plan) -> list[Figure]:
    """Measure each verb in turns: ours, NATS, bare."""
    with Stage() as stage:
        engines = {"ours": _ours(stage), "bare": _bare(stage)}
        if (server := _nats_server()) is not None:
            engines["nats"] = _nats(stage, server)
        else:
            print(_MISSING)
        measured = {
            command: _measure(_able(engines, command), command, plan)
            for command in _COMMANDS
        }
    return figures(measured)


def _able(engines: Mapping[str, _Engine], command: str) -> dict[str, _Engine]:
    """Return those who know the command; bare pyzmq can only publish."""
    only_publishes = command != "publish"
    return {k: v for k, v in engines.items() if not (only_publishes and k == "bare")}


def _measure(engines: Mapping[str, _Engine], command: str, plan: Plan) -> Rounds:
    for engine in engines.values():
        engine.round(command, 0.2)
    rounds: Rounds = {name: [] for name in engines}
    for _ in range(plan.rounds):
        for name, engine in engines.items():
            rounds[name].append(engine.round(command, plan.seconds / 2))
    return rounds


def _engine(
    stage: Stage, broker: Program, receiver: list[str], sender: list[str]
) -> _Engine:
    """Start who receives and who sends at a broker, and wait until both are ready."""
    cores = stage.cores
    receiving = stage.start(f"{broker.name}, receiver", receiver, core=cores.load)
    receiving.hear()
    sending = stage.start(f"{broker.name}, sender", sender, core=cores.server)
    sending.hear()
    return _Engine(broker, receiving, sending)


def _ours(stage: Stage) -> _Engine:
    system = System(stage)
    run_dir = str(system.data_dir / "run")
    return _engine(
        stage,
        system.broker,
        driver("our_node", "http-1", run_dir),
        driver("our_node", "ws-1", run_dir),
    )


def _bare(stage: Stage) -> _Engine:
    ends = [f"ipc://{stage.directory}/{name}.sock" for name in ("xsub", "xpub")]
    proxy = stage.start(
        "pyzmq proxy",
        [sys.executable, "-m", "benchmarks.peers.zmq_proxy", *ends],
        core=stage.cores.server,
    )
    return _engine(
        stage,
        proxy,
        driver("zmq_node", "receiver", *ends),
        driver("zmq_node", "sender", *ends),
    )


def _nats_server() -> Path | None:
    """Return the path of nats-server, which its wheel puts beside Python."""
    found = Path(sysconfig.get_path("scripts")) / "nats-server"
    return found if found.exists() else None


def _nats(stage: Stage, server: Path) -> _Engine:
    """Start nats-server on a port that the kernel chooses, and two processes."""
    ports = stage.directory / "nats"
    ports.mkdir()
    program = stage.start(
        "nats-server",
        [str(server), "--addr=127.0.0.1", "--port=-1", f"--ports_file_dir={ports}"],
        core=stage.cores.server,
    )
    until(lambda: any(ports.glob("*.ports")), program)
    (file,) = ports.glob("*.ports")
    url = str(json.loads(file.read_text())["nats"][0])
    return _engine(
        stage,
        program,
        driver("nats_node", "receiver", url),
        driver("nats_node", "sender", url),
    )


def figures(measured: Mapping[str, Rounds]) -> list[Figure]:
    """Return what was measured by each command, beside each peer that knows it."""
    return [
        Figure(
            part="bus",
            name=what.name,
            unit=what.unit,
            better=what.better,
            peer_name=peer_name,
            ours=_column(measured, what, "ours"),
            peer=_column(measured, what, peer),
        )
        for what in _QUANTITIES
        for peer, peer_name in (("nats", _NATS), ("bare", _BARE))
        if peer in measured[what.command]
    ]


def _column(
    measured: Mapping[str, Rounds], what: _Quantity, who: str
) -> tuple[float, ...]:
    return tuple(each[what.key] for each in measured[what.command][who])
