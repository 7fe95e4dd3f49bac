"""Starts the one ToolBoxV2 ``App`` of this process."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tbtwist.apps.toolboxv2.application import ToolboxApp
from tbtwist.apps.toolboxv2.quiet import LogWriter, printed, quiet
from tbtwist.apps.toolboxv2.values import Values
from tbtwist.errors import ModuleFailed

PACKAGE: Final = "toolboxv2"
OFFLINE: Final = "IS_OFFLINE_DB"


def start_toolbox(
    name: str, environ: MutableMapping[str, str], data_dir: Path
) -> ToolboxApp:
    """Import ToolBoxV2 and return its App, called ``name``, as ours.

    ``environ`` is this process's: ToolBoxV2 reads it while it is imported. What is
    not set there is set so that its files go to ``data_dir`` and it stays offline.

    Raises:
        ModuleFailed: it is not installed, or does not start.
    """
    environ.setdefault("TB_DATA_DIR", str(data_dir))
    environ.setdefault(OFFLINE, "true")
    package = _imported()
    loader = import_module(f"{PACKAGE}.utils.manifest.loader").ManifestLoader
    try:
        with quiet(loader, offline=environ[OFFLINE] == "true") as writer:
            real = package.get_app(from_=PACKAGE, name=name)
            _calm(real, writer)
    except (Exception, SystemExit) as error:
        raise _failed(error) from error
    return ToolboxApp(real, Values.of(package))


def _imported() -> ModuleType:
    try:
        with printed():
            return import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise _failed(error) from error
        reason = "it is not installed: pip install 'tbtwist[toolboxv2]'"
        raise ModuleFailed(PACKAGE, "toolbox.app", reason) from error
    except (Exception, SystemExit) as error:
        raise _failed(error) from error


def _failed(error: BaseException) -> ModuleFailed:
    reason = f"{type(error).__name__}: {error}".rstrip(": .")
    return ModuleFailed(PACKAGE, "toolbox.app", reason)


def _calm(real: Any, writer: LogWriter) -> None:
    """Send what it will print later to the log, and let no spinner turn."""
    real._print = writer.print  # noqa: SLF001 - the one door for all it prints
    spinners = import_module(f"{PACKAGE}.utils.extras.Style").SpinnerManager()
    spinners.enabled = False
