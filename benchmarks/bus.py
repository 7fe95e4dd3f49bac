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
from time import sleep
from typing import Final

import attrs

from benchmarks.measures import Better, Figure, Plan
from benchmarks.programs import Program, Stage, driver, until
from benchmarks.system import System

_MISSING: Final = (
    "nats-py or nats-server is not installed (pip install '.[bench]'); left out."
)
_NATS: Final = "NATS (nats-py)"
_BARE: Final = "pyzmq, stdlib json, no loop"
_SUBSCRIBING_S: Final = 0.5
_BATCHES: Final = ("publish", "forward", "call", "calls")


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
    _Quantity("forward", "per_second", "lane items handled and acked", "1/s", "more"),
    _Quantity("call", "p50_ms", "call, p50", "ms", "less"),
    _Quantity("call", "p99_ms", "call, p99", "ms", "less"),
    _Quantity("calls", "per_second", "calls, 100 in flight", "1/s", "more"),
)

Rounds = dict[str, list[dict[str, float]]]


def run(plan: Plan) -> list[Figure]:
    """Measure each verb in turns: ours, NATS, bare."""
    with Stage() as stage:
        senders = {"ours": _ours(stage), "bare": _bare(stage)}
        if (server := _nats_server()) is not None:
            senders["nats"] = _nats(stage, server)
        else:
            print(_MISSING)
        sleep(_SUBSCRIBING_S)
        measured = {
            command: _measure(_able(senders, command), command, plan)
            for command in _BATCHES
        }
    return _figures(measured)


def _able(senders: Mapping[str, Program], command: str) -> dict[str, Program]:
    """Return those who know the command; bare pyzmq can only publish."""
    only_publishes = command != "publish"
    return {k: v for k, v in senders.items() if not (only_publishes and k == "bare")}


def _measure(senders: Mapping[str, Program], command: str, plan: Plan) -> Rounds:
    for sender in senders.values():
        sender.ask(do=command, seconds=0.2)
    rounds: Rounds = {name: [] for name in senders}
    for _ in range(plan.rounds):
        for name, sender in senders.items():
            rounds[name].append(sender.ask(do=command, seconds=plan.seconds / 2))
    return rounds


def _pair(stage: Stage, name: str, receiver: list[str], sender: list[str]) -> Program:
    """Start who receives and who sends; return the latter, when both are ready."""
    cores = stage.cores
    stage.start(f"{name} receiver", receiver, core=cores.load).hear()
    sending = stage.start(f"{name} sender", sender, core=cores.server)
    sending.hear()
    return sending


def _ours(stage: Stage) -> Program:
    System(stage)
    run_dir = str(stage.directory / "d" / "run")
    return _pair(
        stage,
        "our",
        driver("our_node", "http-1", run_dir),
        driver("our_node", "ws-1", run_dir),
    )


def _bare(stage: Stage) -> Program:
    ends = [f"ipc://{stage.directory}/{name}.sock" for name in ("xsub", "xpub")]
    stage.start(
        "proxy",
        [sys.executable, "-m", "benchmarks.peers.zmq_proxy", *ends],
        core=stage.cores.server,
    )
    return _pair(
        stage,
        "pyzmq",
        driver("zmq_node", "receiver", *ends),
        driver("zmq_node", "sender", *ends),
    )


def _nats_server() -> Path | None:
    """Return the path of nats-server, which its wheel puts beside Python."""
    found = Path(sysconfig.get_path("scripts")) / "nats-server"
    return found if found.exists() else None


def _nats(stage: Stage, server: Path) -> Program:
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
    return _pair(
        stage,
        "nats",
        driver("nats_node", "receiver", url),
        driver("nats_node", "sender", url),
    )


def _figures(measured: Mapping[str, Rounds]) -> list[Figure]:
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
