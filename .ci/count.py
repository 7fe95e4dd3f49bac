"""Run trial and add what it counted to a file of totals.

Usage: python .ci/count.py TOTALS COMMAND [ARGUMENT ...]

trial exits with 0 for a run of no tests, so the counts come from its own lines
(``Ran N tests``, ``PASSED (skips=…)``) and a run without tests is a failure.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

RAN = re.compile(r"Ran (\d+) tests in ")
CLOSING = re.compile(r"(PASSED|FAILED)( \(|$)")


def main(totals_path: str, *command: str) -> int:
    """Run ``command``, pass its output on, and return the exit status."""
    ran, counts = 0, dict[str, int]()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as trial:
        assert trial.stdout is not None
        for line in trial.stdout:
            print(line, end="", flush=True)
            if found := RAN.match(line):
                ran, counts = int(found[1]), {}
            elif CLOSING.match(line):
                counts = {k: int(n) for k, n in re.findall(r"(\w+)=(\d+)", line)}
    passed = counts.get("successes", 0) + counts.get("expectedFailures", 0)
    skipped = counts.get("skips", 0)
    failed = max(ran - passed - skipped, int(trial.returncode != 0 or ran == 0))
    _add(Path(totals_path), passed=passed, failed=failed, skipped=skipped)
    return int(failed != 0)


def _add(path: Path, **counts: int) -> None:
    totals = json.loads(path.read_text()) if path.exists() else {}
    for name, count in counts.items():
        totals[name] = totals.get(name, 0) + count
    path.write_text(json.dumps(totals))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
