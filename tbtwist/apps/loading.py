"""Makes the application of a worker and imports its modules (contract §9)."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tbtwist.apps.application import Application
from tbtwist.apps.registry import App, as_default, get_app
from tbtwist.apps.toolboxv2.quiet import printed
from tbtwist.apps.toolboxv2.starting import PACKAGE, start_toolbox
from tbtwist.config.schema import Settings
from tbtwist.errors import ModuleFailed

_MACHINERY: Final = frozenset({"importlib", __name__.partition(".")[0]})


def load_application(
    settings: Settings, name: str, environ: MutableMapping[str, str], *, cwd: Path
) -> Application:
    """Return the application that ``toolbox.app`` asks for, its modules imported.

    ``name`` becomes its name; ``environ`` is this process's own environment, which
    a real ToolBoxV2 reads for itself.

    Raises:
        ModuleFailed: it cannot be made, or one of its modules cannot be imported.
    """
    app = _made(settings, name, environ, cwd)
    app.name = name
    with printed() if settings.toolbox.app == PACKAGE else nullcontext():
        load_modules(settings.toolbox.modules, app, cwd=cwd)
    return app


def _made(
    settings: Settings, name: str, environ: MutableMapping[str, str], cwd: Path
) -> Application:
    kind = settings.toolbox.app
    if kind == "tbtwist":
        return get_app()
    if kind == PACKAGE:
        toolbox_name = f"{settings.toolbox.instance_id}_{name}"
        return start_toolbox(toolbox_name, environ, Path(settings.data_dir))
    return _from_factory(kind, cwd)


def _from_factory(place: str, cwd: Path) -> Application:
    """Call what ``package.module:factory`` names."""
    _find_from(cwd)
    module, _, factory = place.partition(":")
    found = _imported(module, cwd)
    try:
        app = getattr(found, factory)()
    except (Exception, SystemExit) as error:
        raise _failed(place, error, cwd) from error
    if not isinstance(app, Application):
        reason = f"it returned {app!r}, which is no application"
        raise ModuleFailed(place, found.__file__ or str(cwd), reason)
    return app


def load_callables(
    places: Mapping[str, str], *, cwd: Path
) -> dict[str, Callable[..., Any]]:
    """Return what each ``package.module:name`` of ``places`` is, by its key.

    Raises:
        ModuleFailed: it cannot be imported, is not there, or cannot be called.
    """
    _find_from(cwd)
    return {key: _callable(place, cwd) for key, place in places.items()}


def _callable(place: str, cwd: Path) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found = _imported(module, cwd)
    made: Callable[..., Any] | None = getattr(found, name or "application", None)
    if not callable(made):
        reason = f"{name or 'application'!r} is not there, or cannot be called"
        raise ModuleFailed(place, found.__file__ or str(cwd), reason)
    return made


def load_modules(names: Sequence[str], app: Application, *, cwd: Path) -> None:
    """Import ``names``; what they `export` is registered with ``app``.

    Modules are found from ``cwd`` and on ``PYTHONPATH``.

    Raises:
        ModuleFailed: one of them is missing or cannot be imported.
    """
    _find_from(cwd)
    with _registering(app):
        for name in names:
            _imported(name, cwd)


def _registering(app: Application) -> AbstractContextManager[None]:
    return as_default(app) if isinstance(app, App) else nullcontext()


def _find_from(cwd: Path) -> None:
    if str(cwd) not in sys.path:
        sys.path.insert(0, str(cwd))
    importlib.invalidate_caches()


def _imported(name: str, cwd: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
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
    return ModuleFailed(name, place_of(name, error, cwd), reason)


def _message(error: BaseException) -> str:
    return str(error.msg) if isinstance(error, SyntaxError) else str(error)


def place_of(name: str, error: BaseException, cwd: Path) -> str:
    """Return ``file:line``: the deepest place in the module ``name``, if any."""
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
    return module.partition(".")[0] in _MACHINERY


def _place(filename: str, line: int | None, cwd: Path) -> str:
    path = Path(filename)
    shown = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    return f"{shown}:{line or 1}"
