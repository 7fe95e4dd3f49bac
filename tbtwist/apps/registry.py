"""The application of a process: what it registers, and how that is called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar, overload

from typing_extensions import Unpack

from tbtwist.apps.addresses import Address, split
from tbtwist.apps.background import BackgroundTasks
from tbtwist.apps.calls import (
    bind,
    failed,
    perform,
    perform_on_reactor,
    refused,
    result_of,
    wait_for,
)
from tbtwist.apps.functions import (
    ExportOptions,
    Function,
    SocketHandlers,
    check_options,
    made_by,
    same_place,
)
from tbtwist.apps.messaging import Messaging
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.result import Result
from tbtwist.auth.access import Target
from tbtwist.errors import FunctionNotFound, TbtwistError

F = TypeVar("F", bound=Callable[..., Any])
_IGNORED: Final = ("tb_run_function_with_state", "tb_run_with_specification")
"""Arguments of ToolBoxV2's `a_run_any` without a meaning here."""


class App(Messaging):
    """What an application consists of; one per process, see `get_app`.

    ``pool`` runs functions without ``async``; ``timeout_s`` bounds event handlers
    and `run_any`. Both may be set until the first call.
    """

    def __init__(
        self,
        name: str = "tbtwist",
        *,
        pool: SyncPool | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        super().__init__(pool or SyncPool(threads=20, queue=200), timeout_s)
        self.name = name
        self._functions: dict[str, dict[str, Function]] = {}
        self._websockets: dict[str, SocketHandlers] = {}
        self._background = BackgroundTasks()

    @property
    def functions(self) -> Mapping[str, Mapping[str, Function]]:
        """Return every function, by module and name."""
        return self._functions

    @property
    def websocket_handlers(self) -> Mapping[str, SocketHandlers]:
        """Return the handlers of WebSockets by their id, ``Module/name``."""
        return self._websockets

    # --- registering ---------------------------------------------------------

    def tb(
        self,
        name: str | None = None,
        mod_name: str = "",
        **options: Unpack[ExportOptions],
    ) -> Callable[[F], F]:
        """Register the decorated function, and return it (see `ExportOptions`).

        With ``websocket_handler="room"`` the function is called right away, and
        returns the handlers ``{"on_connect", "on_message", "on_disconnect"}`` of
        ``/ws/Module/room``.

        Raises:
            TypeError: there is no such option, or a handler cannot be called.
            DefinedTwice: another file has registered something under this name.
        """
        check_options(name, options)
        handler = options.get("websocket_handler")

        def register(func: F) -> F:
            module = mod_name or func.__module__.rpartition(".")[2]
            if handler:
                self._add_handlers(Function.of(module, handler, func, options))
            else:
                self._add(Function.of(module, name or func.__name__, func, options))
            return func

        return register

    def _add(self, function: Function) -> None:
        known = self._functions.setdefault(function.module, {})
        if function.name in known:
            same_place(
                f"{function.module}/{function.name}",
                known[function.name].func,
                function.func,
            )
        known[function.name] = function

    def _add_handlers(self, maker: Function) -> None:
        table = made_by(maker, self)
        target = Target(maker.module, maker.name, api=True, level=maker.level)
        handlers = SocketHandlers.of(target, maker.func, table)
        known = self._websockets.get(handlers.id)
        if known is not None:
            same_place(f"the WebSocket {handlers.id}", known.func, maker.func)
        self._websockets[handlers.id] = handlers

    def find(self, module: str, function: str) -> Function | None:
        """Return a function by its name."""
        return self._functions.get(module, {}).get(function)

    # --- calling -------------------------------------------------------------

    @overload
    async def call(self, target: Function, method: Mapping[str, object]) -> Result: ...

    @overload
    async def call(
        self, target: str, method: str, payload: object = None, timeout_s: float = 5.0
    ) -> Any: ...

    async def call(
        self,
        target: Function | str,
        method: Mapping[str, object] | str,
        payload: object = None,
        timeout_s: float = 5.0,
    ) -> Any:
        """Call a function of this process, or ask another worker; in asyncio code.

        ``call(function, kwargs)`` runs a function of this application with what a
        client sent: arguments are converted to what it asks for and strays left
        out. What it raises is logged and becomes an internal error, except our
        own errors, among them `BadArgument`, `MissingArgument` and `PoolFull`.

        ``call(target, method, payload, timeout_s=5)`` asks one worker
        (``"http-1"``), any of a role (``"http"``) or all of it (``"http*"``: a
        list), which answer with `serve`. It raises `Unroutable`, `CallTimeout`,
        `CallRefused`, or `NoBus`.
        """
        if isinstance(target, Function) and isinstance(method, Mapping):
            return await self._call(target, method)
        if isinstance(target, str) and isinstance(method, str):
            return await self._ask(target, method, payload, timeout_s)
        msg = "call(function, kwargs) or call(target, method, payload)"
        raise TypeError(msg)

    async def _call(self, function: Function, kwargs: Mapping[str, object]) -> Result:
        call = bind(function, self, kwargs)
        try:
            if function.runtime == "twisted":
                value = await perform_on_reactor(call)
            else:
                value = await perform(call, self.pool)
        except TbtwistError:
            raise
        except Exception:  # noqa: BLE001 - the application's; logged there
            return failed(function)
        return self._finished(function, value)

    async def a_run_any(
        self,
        mod_function: Address,
        *args: object,
        get_results: bool = False,
        **kwargs: object,
    ) -> Any:
        """Call a function by its name (R8.2); never raises.

        Returns the data, or with ``get_results`` the `Result`, which also says
        what went wrong.
        """
        try:
            function, named = self._addressed(mod_function, args, kwargs)
            result = await self._call(function, named)
        except TbtwistError as error:
            result = refused(error)
        return result if get_results else result.get()

    def run_any(
        self,
        mod_function: Address,
        *args: object,
        get_results: bool = False,
        **kwargs: object,
    ) -> Any:
        """Call a function by its name from synchronous code, as `a_run_any`.

        A ``def`` runs in this thread, an ``async def`` where the caller's own
        coroutines run.

        Raises:
            RuntimeError: it would block the loop that this thread runs.
        """
        try:
            function, named = self._addressed(mod_function, args, kwargs)
            result = self._run_here(function, named)
        except TbtwistError as error:
            result = refused(error)
        return result if get_results else result.get()

    def _run_here(self, function: Function, kwargs: Mapping[str, object]) -> Result:
        if function.signature.is_coroutine or function.runtime == "twisted":
            outcome: Result = wait_for(
                lambda: self._call(function, kwargs), self.timeout_s
            )
            return outcome
        call = bind(function, self, kwargs)
        try:
            value = call()
        except TbtwistError:
            raise
        except Exception:  # noqa: BLE001 - as in _call
            return failed(function)
        return self._finished(function, value)

    def _addressed(
        self, address: Address, args: tuple[object, ...], kwargs: dict[str, Any]
    ) -> tuple[Function, dict[str, Any]]:
        """Find the function, and put its arguments under their names (R8.2)."""
        module, name = split(address)
        function = self.find(module, name)
        if function is None:
            raise FunctionNotFound(module, name)
        for ignored in _IGNORED:
            kwargs.pop(ignored, None)
        values = (*args, *(kwargs.pop("args_", None) or ()))
        nested = kwargs.pop("kwargs_", None) or {}
        return function, {**function.signature.positional(values), **nested, **kwargs}

    def _finished(self, function: Function, value: object) -> Result:
        result = result_of(function, value)
        if result.background is not None:
            self._background.spawn(
                f"what {function.module}/{function.name} does after its answer",
                result.background,
            )
        return result

    def close(self) -> None:
        """Leave the bus and cancel background tasks; on the reactor's thread."""
        self.disconnect_bus()
        self._background.cancel_all()


_default: App | None = None
_lock: Final = threading.Lock()


def get_app(from_: str | None = None, name: str | None = None, **_: object) -> App:
    """Return the application of this process; made when it is first asked for.

    ToolBoxV2's parameters are accepted; ``name`` names a new application.
    """
    global _default  # noqa: PLW0603 - one per process is what it is for
    with _lock:
        if _default is None:
            _default = App(name or from_ or "tbtwist")
        return _default


@contextmanager
def as_default(app: App) -> Iterator[None]:
    """Make ``app`` the application of this process for the time being."""
    global _default  # noqa: PLW0603 - as above
    before, _default = _default, app
    try:
        yield
    finally:
        _default = before


def export(
    name: str | None = None, mod_name: str = "", **options: Unpack[ExportOptions]
) -> Callable[[F], F]:
    """Register the decorated function with this process's application (`App.tb`)."""
    return get_app().tb(name, mod_name, **options)
