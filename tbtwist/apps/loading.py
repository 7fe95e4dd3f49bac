"""Imports an application's modules, which register what they offer (contract §9)."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tbtwist.apps.registry import App, as_default
from tbtwist.errors import ModuleFailed


def load_modules(names: Sequence[str], app: App, *, cwd: Path) -> None:
    """Import ``names``; what they `export` is registered with ``app``.

    Modules are found from ``cwd`` and on ``PYTHONPATH``.

    Raises:
        ModuleFailed: one of them is missing or cannot be imported.
    """
    if str(cwd) not in sys.path:
        sys.path.insert(0, str(cwd))
    importlib.invalidate_caches()
    with as_default(app):
        for name in names:
            _load(name, cwd)


def _load(name: str, cwd: Path) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not _is_missing(name, error):
            raise _failed(name, error, cwd) from error
        reason = "there is no such module here or on PYTHONPATH"
        raise ModuleFailed(name, str(cwd), reason) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error, cwd) from error


def _is_missing(name: str, error: ModuleNotFoundError) -> bool:
    """Whether it is the module itself, or a package around it, that is missing."""
    missing = error.name or ""
    return name == missing or name.startswith(f"{missing}.")


def _failed(name: str, error: BaseException, cwd: Path) -> ModuleFailed:
    reason = f"{type(error).__name__}: {_message(error)}".rstrip(": .")
    return ModuleFailed(name, _where(name, error, cwd), reason)


def _message(error: BaseException) -> str:
    return str(error.msg) if isinstance(error, SyntaxError) else str(error)


def _where(name: str, error: BaseException, cwd: Path) -> str:
    """Return ``file:line``: the deepest place in the module's own file, if any."""
    if isinstance(error, SyntaxError) and error.filename:
        return _place(error.filename, error.lineno, cwd)
    frames = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [frame for frame in frames if frame[0] == name]
    foreign = [frame for frame in frames if not _is_machinery(frame[0])]
    for _, filename, line in reversed(own or foreign):
        return _place(filename, line, cwd)
    return str(cwd)


def _is_machinery(module: str) -> bool:
    """Whether a frame is ours or the import system's."""
    return module == __name__ or module.partition(".")[0] == "importlib"


def _place(filename: str, line: int | None, cwd: Path) -> str:
    path = Path(filename)
    shown = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    return f"{shown}:{line or 1}"
