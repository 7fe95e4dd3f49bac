"""The WSGI side in one place: the callable, its bridges, and the whole application."""

from __future__ import annotations

from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import loop_bridge, reactor_bridge
from tbtwist.http.standalone import from_environ, standalone

__all__ = [
    "WsgiApplication",
    "from_environ",
    "loop_bridge",
    "reactor_bridge",
    "standalone",
]
