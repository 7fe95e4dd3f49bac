"""One server for Python applications: HTTP API, WebSockets and an event bus.

The public names for application code are here; see contract §9::

    from tbtwist import App, RequestData, Result, export, get_app
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tbtwist.apps.registry import App as App, export as export, get_app as get_app
    from tbtwist.apps.request import RequestData as RequestData
    from tbtwist.apps.result import Result as Result
    from tbtwist.apps.runner import deferred_to_future as deferred_to_future
    from tbtwist.client import connect as connect, connect_async as connect_async
    from tbtwist.tracing import (
        Trace as Trace,
        current_trace as current_trace,
        use_trace as use_trace,
    )

__version__ = "0.1.0"

_PUBLIC = {
    "App": "tbtwist.apps.registry",
    "RequestData": "tbtwist.apps.request",
    "Result": "tbtwist.apps.result",
    "Trace": "tbtwist.tracing",
    "connect": "tbtwist.client",
    "connect_async": "tbtwist.client",
    "current_trace": "tbtwist.tracing",
    "deferred_to_future": "tbtwist.apps.runner",
    "export": "tbtwist.apps.registry",
    "get_app": "tbtwist.apps.registry",
    "use_trace": "tbtwist.tracing",
}

__all__ = [
    "App",
    "RequestData",
    "Result",
    "Trace",
    "__version__",
    "connect",
    "connect_async",
    "current_trace",
    "deferred_to_future",
    "export",
    "get_app",
    "use_trace",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for.

    Every twistd run in the environment may import this package; it stays light.
    """
    from importlib import import_module  # noqa: PLC0415 - see above

    if name not in _PUBLIC:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_PUBLIC[name]), name)
