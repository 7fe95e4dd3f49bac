"""What the rest of the house asks of an application, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from tbtwist.apps.crossing import CallOnReactor
from tbtwist.apps.functions import Function, SocketHandlers
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.result import Result
from tbtwist.apps.runner import Runner
from tbtwist.boundaries import AppPort


@runtime_checkable
class Application(Protocol):
    """Functions and WebSocket handlers behind a worker.

    Our own `App` is one, a real ToolBoxV2 App is made one by
    `tbtwist.apps.toolboxv2`, and a factory named in ``toolbox.app`` may return
    any. ``name``, ``pool`` and ``timeout_s`` are set before the first call.
    """

    name: str
    pool: SyncPool
    timeout_s: float

    @property
    def functions(self) -> Mapping[str, Mapping[str, Function]]:
        """Return every function, by module and name."""

    @property
    def websocket_handlers(self) -> Mapping[str, SocketHandlers]:
        """Return the handlers of WebSockets by their id, ``Module/name``."""

    def find(self, module: str, function: str) -> Function | None:
        """Return a function by its name; nothing is imported to find it."""

    async def call(self, target: Function, method: Mapping[str, object], /) -> Result:
        """Call a function with what a client sent; in asyncio code."""

    def connect_bus(
        self, port: AppPort, call_on_reactor: CallOnReactor, runner: Runner
    ) -> None:
        """Speak over ``port`` from now on; on the reactor's thread."""

    def close(self) -> None:
        """Leave the bus and cancel what runs; on the reactor's thread."""
