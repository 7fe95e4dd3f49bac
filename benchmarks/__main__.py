"""``python -m benchmarks [http|ws|bus|updates] [--quick] [--rate R] [--json FILE]``.

``updates`` is no measurement but a proof, and runs only when it is named, alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Final

import attrs

from benchmarks import api_calls, bus, sockets, updates
from benchmarks.measures import FULL, QUICK, Figure, Plan, table
from benchmarks.programs import BenchmarkFailed

_PARTS: Final[Mapping[str, Callable[[Plan], list[Figure]]]] = {
    "http": api_calls.run,
    "ws": sockets.run,
    "bus": bus.run,
}
_UPDATES: Final = "updates"


def main() -> int:
    """Measure what was asked for, and print a table."""
    options = _options().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if _UPDATES in options.parts:
        return _prove(quick=options.quick)
    plan = attrs.evolve(QUICK if options.quick else FULL, rate=options.rate)
    began = monotonic()
    figures: list[Figure] = []
    for part in options.parts or _PARTS:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        try:
            figures += _PARTS[part](plan)
        except BenchmarkFailed as error:
            print(error, file=sys.stderr)
            return 1
    _report(figures, monotonic() - began, plan)
    if options.json is not None:
        _write(options.json, figures)
    return 0


def _prove(*, quick: bool) -> int:
    """Update under load; 1 if anybody felt it."""
    try:
        return updates.run(updates.QUICK if quick else updates.FULL)
    except BenchmarkFailed as error:
        print(error, file=sys.stderr)
        return 1


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=(*_PARTS, _UPDATES, []), metavar="PART"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run, no figures")
    parser.add_argument(
        "--rate", type=float, default=FULL.rate, help="http's equal load, requests/s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round")
    return parser


def _report(figures: list[Figure], took_s: float, plan: Plan) -> None:
    print(table(figures))
    print(
        f"\nMedians of {plan.rounds} rounds (range), ours and the peer in turns."
        " Ratio above 1: we are ahead."
        f"\n{os.cpu_count()} cores, {platform.machine()},"
        f" Python {platform.python_version()}; took {took_s:.0f} s."
    )


def _write(file: Path, figures: list[Figure]) -> None:
    facts = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "figures": [figure.to_dict() for figure in figures],
    }
    file.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
