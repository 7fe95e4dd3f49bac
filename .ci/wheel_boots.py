"""Install the built wheel in a clean environment and boot each role from it.

Usage: python .ci/wheel_boots.py dist/tbtwist-*.whl
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROLES = ("broker", "http", "ws", "all", "manager")
PATIENCE_S = 60


def main(wheel: str) -> int:
    """Return 0 when ``twistd`` lists the plugin and every role starts and stops."""
    with tempfile.TemporaryDirectory(prefix="tb-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        quiet = ("--quiet", "--disable-pip-version-check")
        wheel_path = Path(wheel).resolve()
        subprocess.run(
            [python, "-m", "pip", "install", *quiet, wheel_path], check=True, cwd=folder
        )
        listed = subprocess.run(
            [python.with_name("twistd"), "--help"],
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
        )
        if "tbworkers" not in listed.stdout:
            print("twistd --help does not list tbworkers")
            return 1
        return max(_boots(python, folder, role) for role in ROLES)


def _boots(python: Path, folder: Path, role: str) -> int:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TB_", "PYTHON"))}
    data = folder / role
    environ = {
        **kept,
        "HOME": str(folder),
        "TB_DATA_DIR": str(data),
        "TB_HTTP_PORT": "0",
        "TB_UI_PORT": "0",
        "TB_WS_PORT": "0",
    }
    command = [python.with_name("twistd"), "-n", "tbworkers", f"--role={role}"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environ,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "serving" in line:
                process.terminate()
        status = process.wait(PATIENCE_S)
    print(f"{role}: exit {status}")
    if status:
        print("".join(said))
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
