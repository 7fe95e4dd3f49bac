"""How application code calls other functions of a ToolBoxV2 ``App`` (R8.2).

Its ``a_run_any`` runs a function without ``async`` right on the loop, where nothing
else goes on until it returns. Here such a function runs in the pool, by ToolBoxV2's
own ``run_function``, so that arguments, state and results stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from tbtwist.apps.crossing import HOME, current_loop
from tbtwist.apps.pool import SyncPool

_SOCKETS: Final = "ws_internal"
"""The specification with which it calls a WebSocket handler, not a function."""


def install_running(real: Any, pool: Callable[[], SyncPool]) -> None:
    """Let the App ``real`` await functions without ``async`` in the pool."""
    on_loop = real.a_run_function

    async def a_run_function(name: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a function by its name, beside the loop if it would block that."""
        sockets = _SOCKETS in (*args, *kwargs.values())
        if _is_on_our_loop() and not sockets and _would_block(real, name):
            return await pool().run(partial(real.run_function, name, *args, **kwargs))
        return await on_loop(name, *args, **kwargs)

    real.a_run_function = a_run_function


def _is_on_our_loop() -> bool:
    """Whether the running loop is the worker's: a thread of the pool may wait."""
    home = HOME.get()
    return home is not None and home.loop is current_loop()


def _would_block(real: Any, name: Any) -> bool:
    """Whether this is a function that is known, and is no coroutine function."""
    if isinstance(name, Enum):
        name = (type(name).NAME.value, name.value)  # type: ignore[attr-defined]
    if not isinstance(name, tuple | list) or len(name) < 2:
        return False
    entry = real.functions.get(name[0], {}).get(name[1])
    func = entry.get("func") if isinstance(entry, Mapping) else None
    return callable(func) and not iscoroutinefunction(func)
