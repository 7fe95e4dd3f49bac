"""Check that pytest and trial find the same tests."""

from __future__ import annotations

import re
import subprocess
import sys


def _output(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def main() -> int:
    """Print both counts; return 0 when they agree and are not zero."""
    by_pytest = _output("-m", "pytest", "--collect-only", "-q", "tests")
    found = re.search(r"(\d+) tests? collected", by_pytest)
    pytest_count = int(found[1]) if found else 0
    by_trial = _output("-m", "twisted.trial", "--dry-run", "tests")
    ran = re.search(r"Ran (\d+) tests", by_trial)
    trial_count = int(ran[1]) if ran else 0
    print(f"pytest collects {pytest_count}, trial {trial_count}")
    if not found:
        print(by_pytest[-2000:])
    return int(pytest_count != trial_count or pytest_count == 0)


if __name__ == "__main__":
    sys.exit(main())
