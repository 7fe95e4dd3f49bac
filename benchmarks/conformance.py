"""The Autobahn TestSuite's fuzzing client against `benchmarks.ws_echo`.

``python -m benchmarks.conformance [--all] [--summary FILE]``. ``wstest`` is taken
from ``TB_WSTEST`` or the path; CONTRIBUTING.md tells how to get one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from benchmarks.programs import PROJECT, BenchmarkFailed

_AGENT: Final = "tbtwist"
_PASSED: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
_TIMEOUT_S: Final = 3600
_NOT_FOUND: Final = "there is no wstest: set TB_WSTEST (see CONTRIBUTING.md)"
_TITLES: Final = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing handshake",
    "9": "Large messages, up to 16 MiB",
    "10": "Fragments sent automatically",
    "12": "Compression: messages of many kinds and sizes",
    "13": "Compression: offers and parameters",
}


@attrs.frozen
class Part:
    """Cases that run against one server."""

    cases: tuple[str, ...]
    compression: bool


WHOLE: Final = (
    Part(tuple(f"{n}.*" for n in (1, 2, 3, 4, 5, 6, 7, 9, 10)), compression=False),
    Part(("12.*", "13.*"), compression=True),
)
SHORT: Final = (
    Part(
        (
            *(f"{n}.*" for n in (1, 2, 3, 4, 5, 7, 10)),
            *("6.1.*", "6.2.*", "6.3.*", "6.4.*", "6.12.*", "6.20.*"),
            *("9.1.1", "9.2.1", "9.3.1", "9.4.1", "9.5.6", "9.6.6", "9.7.1", "9.8.1"),
        ),
        compression=False,
    ),
    Part(
        ("12.1.1", "12.2.1", "13.1.1", "13.2.1", "13.5.1", "13.7.1"), compression=True
    ),
)


@attrs.frozen
class Verdict:
    """What the suite says about one case: its behaviour, and how it closed."""

    case: str
    behaviour: str
    closing: str

    @property
    def passed(self) -> bool:
        """Whether that is as it should be."""
        return self.behaviour in _PASSED and self.closing in _PASSED


def find_wstest(environ: Mapping[str, str]) -> str | None:
    """Return the suite's program, if there is one."""
    return environ.get("TB_WSTEST") or shutil.which("wstest")


def run(wstest: str, parts: Sequence[Part]) -> list[Verdict]:
    """Run cases; return the verdicts, in the suite's order."""
    with tempfile.TemporaryDirectory(prefix="tb-wstest-") as folder:
        return [
            verdict
            for number, part in enumerate(parts)
            for verdict in _run(wstest, part, Path(folder) / str(number))
        ]


def _run(wstest: str, part: Part, folder: Path) -> list[Verdict]:
    folder.mkdir()
    with _echo(compression=part.compression) as url:
        server = {"agent": _AGENT, "url": url, "options": {"version": 18}}
        spec = {
            "outdir": str(folder / "reports"),
            "servers": [server],
            "cases": part.cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        client = subprocess.run(
            [wstest, "-m", "fuzzingclient", "-s", "spec.json"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    index = folder / "reports" / "index.json"
    if client.returncode or not index.exists():
        raise BenchmarkFailed(f"{wstest} failed:\n{client.stdout}{client.stderr}")
    found = json.loads(index.read_text())[_AGENT]
    verdicts = (Verdict(k, v["behavior"], v["behaviorClose"]) for k, v in found.items())
    return sorted(verdicts, key=lambda v: [int(part) for part in v.case.split(".")])


@contextmanager
def _echo(*, compression: bool) -> Iterator[str]:
    """Serve the echo on a port that the kernel chooses; its address."""
    command = [sys.executable, "-m", "benchmarks.ws_echo"]
    if compression:
        command.append("--compression")
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def summary(verdicts: Sequence[Verdict], facts: str) -> str:
    """Return the verdicts as a Markdown page."""
    groups: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        group = groups.setdefault(verdict.case.partition(".")[0], Counter())
        group[verdict.behaviour if verdict.passed else "FAILED"] += 1
    rows = [
        f"| {name} | {_TITLES[name]} | {sum(group.values())} | {_told(group)} |"
        for name, group in groups.items()
    ]
    failed = [v for v in verdicts if not v.passed]
    return "\n".join([
        "# WebSocket conformance",
        "",
        "The Autobahn TestSuite's fuzzing client against `python -m benchmarks.ws_echo`:",
        "the ws worker's own protocol class, options and endpoint. Cases 12 and 13 run",
        f"with `--compression`. {facts}",
        "",
        f"**{len(verdicts) - len(failed)} of {len(verdicts)} cases passed.**",
        "",
        "| cases | about | number | verdicts |",
        "|---|---|---|---|",
        *rows,
        "",
        *(f"- {v.case}: {v.behaviour}, closing {v.closing}" for v in failed),
        "Informational cases have no right answer: the suite notes what a server does",
        "with what it gets after a close frame, and with close codes nobody has defined.",
        "Written by `python -m benchmarks.conformance --all --summary FILE`.",
        "",
    ])  # fmt: skip


def _told(group: Counter[str]) -> str:
    names = {"OK": "passed", "NON-STRICT": "passed, not strictly"}
    return ", ".join(
        f"{count} {names.get(name, name.lower())}" for name, count in group.items()
    )


def main() -> int:
    """Run the suite and say what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every case: some minutes")
    parser.add_argument("--summary", type=Path, metavar="FILE")
    options = parser.parse_args()
    wstest = find_wstest(os.environ)
    if wstest is None:
        print(_NOT_FOUND, file=sys.stderr)
        return 1
    verdicts = run(wstest, WHOLE if options.all else SHORT)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in failed:
        print(f"{verdict.case}: {verdict.behaviour}, closing {verdict.closing}")
    print(f"{len(verdicts) - len(failed)} of {len(verdicts)} cases passed")
    if options.summary is not None:
        options.summary.write_text(summary(verdicts, _facts()))
    return int(bool(failed))


def _facts() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only for the page

    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"autobahntestsuite 0.8.2, autobahn {version('autobahn')},"
        f" uvloop {version('uvloop')}, Python {python}."
    )


if __name__ == "__main__":
    sys.exit(main())
