"""A ToolBoxV2 ``App`` as an application of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from tbtwist.apps.functions import Function, SocketHandlers
from tbtwist.apps.registry import App
from tbtwist.apps.toolboxv2.functions import Describer
from tbtwist.apps.toolboxv2.running import install_running
from tbtwist.apps.toolboxv2.sockets import install_verbs
from tbtwist.apps.toolboxv2.values import Values


class ToolboxApp(App):
    """An `App` whose functions are those that the App ``real`` has registered.

    They are looked up where they are, so a module that is loaded later is there
    at once; nothing is imported because a client has asked for it. Functions are
    called by us, not by ``real.a_run_any``: a ``def`` would block the loop there.
    What is registered with our own `export` is found as well.
    """

    def __init__(self, real: Any, values: Values) -> None:
        super().__init__()
        self.real = real
        self._describer = Describer(real, values)
        self._described: dict[tuple[str, str], tuple[object, Function]] = {}
        self._sockets: dict[str, tuple[object, int, SocketHandlers | None]] = {}
        install_verbs(real, self)
        install_running(real, lambda: self.pool)

    @property
    @override
    def functions(self) -> Mapping[str, Mapping[str, Function]]:
        """Return every function, by module and name."""
        found = {module: dict(known) for module, known in super().functions.items()}
        for module, entries in tuple(self.real.functions.items()):
            for name in tuple(entries):
                function = self.find(module, name)
                if function is not None:
                    found.setdefault(module, {})[name] = function
        return found

    @override
    def find(self, module: str, function: str) -> Function | None:
        """Return a function by its name."""
        own = super().find(module, function)
        if own is not None:
            return own
        entry = self.real.functions.get(module, {}).get(function)
        if not isinstance(entry, Mapping) or not callable(entry.get("func")):
            return None
        key = (module, function)
        known, described = self._described.get(key, (None, None))
        if described is None or known is not entry:
            described = self._describer.function(module, function, entry)
            self._described[key] = (entry, described)
        return described

    @property
    @override
    def websocket_handlers(self) -> Mapping[str, SocketHandlers]:
        """Return the handlers of WebSockets by their id, ``Module/name``."""
        found = dict(super().websocket_handlers)
        for handler_id, table in tuple(self.real.websocket_handlers.items()):
            handlers = self._handlers(handler_id, table)
            if handlers is not None:
                found[handler_id] = handlers
        return found

    def _handlers(
        self, handler_id: str, table: Mapping[str, Any]
    ) -> SocketHandlers | None:
        """Return what was described before, unless the table has changed."""
        known = self._sockets.get(handler_id)
        if known is not None and known[:2] == (table, len(table)):
            return known[2]
        described = self._describer.handlers(handler_id, table)
        self._sockets[handler_id] = (table, len(table), described)
        return described
