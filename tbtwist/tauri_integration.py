"""The workers inside a desktop program (contract §8): four functions.

::

    from tbtwist.tauri_integration import tauri_start_workers

    result = tauri_start_workers()
    # {"status": "ok", "http_url": "http://127.0.0.1:8000", "ws_url": "ws://127.0.0.1:8001"}

Everything runs in one background thread, over the bus in memory. The functions may
be called from any thread, wait until they are done, and do not raise: what went
wrong is ``{"status": "error", "message": "…"}``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from tbtwist.desktop.mode import variables
from tbtwist.desktop.workers import Workers
from tbtwist.errors import TbtwistError

__all__ = [
    "tauri_call_module",
    "tauri_get_status",
    "tauri_start_workers",
    "tauri_stop_workers",
]

_WORKERS: Final = Workers()


def tauri_start_workers(
    *,
    http_port: int | None = None,
    ws_port: int | None = None,
    config: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Start the workers and return when they serve; it is fine if they do already.

    Args:
        http_port: Instead of the configured one (8000); 0: any free one.
        ws_port: Instead of the configured one (8001); 0: any free one.
        config: The configuration file, instead of the usual ones.

    Returns:
        ``{"status": "ok", "http_url": …, "ws_url": …}`` with the real ports, or
        ``{"status": "error", "message": …}``.
    """
    file = None if config is None else os.fspath(config)
    try:
        found = _WORKERS.start(file, variables(http_port, ws_port))
    except Exception as error:  # noqa: BLE001 - told, never raised
        return _failed(error)
    return {"status": "ok", "http_url": found.http_url, "ws_url": found.ws_url}


def tauri_stop_workers() -> dict[str, Any]:
    """Finish what is under way and stop; they can be started again.

    Returns:
        ``{"status": "ok"}``, also if they did not run, or
        ``{"status": "error", "message": …}``.
    """
    try:
        _WORKERS.stop()
    except Exception as error:  # noqa: BLE001 - told, never raised
        return _failed(error)
    return {"status": "ok"}


def tauri_get_status() -> dict[str, Any]:
    """Return whether the workers run, and where.

    Returns:
        ``running``, ``http_url`` and ``ws_url`` (None if they do not run), and
        ``ws_enabled``.
    """
    found = _WORKERS.addresses
    return {
        "running": found is not None,
        "http_url": found.http_url if found else None,
        "ws_url": found.ws_url if found else None,
        "ws_enabled": True,
    }


def tauri_call_module(
    module: str, function: str, args: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Call a function of the application, as the program itself: no access rules.

    Returns:
        ``{"status": "ok", "data": …}`` or ``{"status": "error", "message": …}``.
    """
    try:
        result = _WORKERS.call(module, function, args or {})
    except Exception as error:  # noqa: BLE001 - told, never raised
        return _failed(error)
    if result.is_error():
        return {"status": "error", "message": result.info.help_text}
    return {"status": "ok", "data": result.get()}


def _failed(error: Exception) -> dict[str, Any]:
    known = isinstance(error, TbtwistError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    return {"status": "error", "message": message}
