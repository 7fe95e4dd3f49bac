"""The command line of wrk, and what it prints. Pure."""

from __future__ import annotations

import re
from typing import Final

import attrs

CONNECTIONS: Final = 32
MISSING: Final = (
    "wrk is not installed (Debian: apt install wrk); no API calls measured."
)
_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@attrs.frozen
class Load:
    """What wrk measured; latencies in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


def command(url: str, seconds: float, cookie: str) -> list[str]:
    """Return the command line for about ``seconds`` (wrk knows whole ones)."""
    return [
        *("wrk", "--threads=1", f"--connections={CONNECTIONS}", "--latency"),
        *(f"--duration={max(1, round(seconds))}s", f"--header=Cookie: {cookie}", url),
    ]


def parse(output: str) -> Load:
    """Read what wrk printed; ValueError if something is missing."""
    return Load(
        per_second=float(_one(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_latency(50, output),
        p99_ms=_latency(99, output),
        requests=int(_one(r"(\d+) requests in ", output)),
        failed=_failures(output),
    )


def _one(pattern: str, output: str) -> str:
    found = re.search(pattern, output)
    if found is None:
        msg = f"wrk did not print {pattern}: {output!r}"
        raise ValueError(msg)
    return found[1]


def _latency(percent: int, output: str) -> float:
    text = _one(rf"\b{percent}%\s+([\d.]+(?:us|ms|s|m))\b", output)
    digits = text.rstrip("usm")
    return float(digits) * _UNITS_MS[text[len(digits) :]]


def _failures(output: str) -> int:
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: (.*)", output)
    counts = re.findall(r"\d+", errors[1]) if errors else []
    return sum(map(int, counts)) + (int(status[1]) if status else 0)
