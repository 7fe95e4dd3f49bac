"""pytest runs the tests in a temporary folder, as trial does by itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_FOLDERS: list[Path] = []


def pytest_sessionstart() -> None:
    """Leave the project, so that ``mktemp`` does not fill it."""
    _FOLDERS.extend((Path.cwd(), Path(tempfile.mkdtemp(prefix="tb-pytest-"))))
    os.chdir(_FOLDERS[1])


def pytest_sessionfinish() -> None:
    """Come back, and leave nothing behind."""
    os.chdir(_FOLDERS[0])
    shutil.rmtree(_FOLDERS[1], ignore_errors=True)
