"""ToolBoxV2's registry entries as our `Function` and `SocketHandlers` (R8.3)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
from twisted.logger import Logger

from tbtwist.apps.functions import ExportOptions, Function, SocketHandlers
from tbtwist.apps.request import RequestData
from tbtwist.apps.signature import APP_NAMES
from tbtwist.apps.toolboxv2.values import Values
from tbtwist.auth.access import Target

_log = Logger()

_INSTANCE: Final = "app_instance"
"""Where ToolBoxV2 keeps a module's object among its functions."""

Entry = Mapping[str, Any]
AnyFunction = Callable[..., Any]
Table = Mapping[str, AnyFunction]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@attrs.frozen(eq=False)
class Describer:
    """Makes our descriptions of what the App ``real`` has registered."""

    real: Any
    values: Values

    def function(self, module: str, name: str, entry: Entry) -> Function:
        """Return the description of a function.

        Its wrapper is called, so caches and the like of its decorator work.
        """
        options: ExportOptions = {
            "api": bool(entry.get("api")),
            "level": entry.get("level"),
            "api_methods": entry.get("api_methods"),
            "request_as_kwarg": bool(entry.get("request_as_kwarg")),
            "initial": bool(entry.get("initial")) and not self._is_started(module),
            "exit_f": bool(entry.get("exit_f")),
        }
        convert = self.values.bare if entry.get("row") else self.values.ours
        adapted = self._adapted(entry["func"], module, convert)
        return Function.of(module, name, adapted, options)

    def _is_started(self, module: str) -> bool:
        """Whether ToolBoxV2 has loaded ``module`` itself, and so started it."""
        return self.real.functions.get(module, {}).get(_INSTANCE) is not None

    def handlers(self, handler_id: str, table: Table) -> SocketHandlers | None:
        """Return the description of WebSocket handlers; None, logged, if unusable.

        The handlers themselves are called, not their wrappers: those would take
        the request away and wrap what goes to the client into an envelope.
        """
        module, _, name = handler_id.partition("/")
        ours = self.values.ours
        bare: dict[str, AnyFunction] = {
            event: getattr(f, "__wrapped__", f) for event, f in table.items()
        }
        adapted = {event: self._adapted(f, module, ours) for event, f in bare.items()}
        maker = next(iter(bare.values()), _nothing)
        try:
            return SocketHandlers.of(Target(module, name), maker, adapted)
        except TypeError as error:
            _log.error("{id} is left out: {reason}", id=handler_id, reason=str(error))
            return None

    def _adapted(
        self, func: AnyFunction, module: str, convert: Callable[[object], object]
    ) -> AnyFunction:
        """Return ``func`` taking and returning our values, of the same signature."""
        prepared = _Preparation.of(func, module, self)
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def call(*args: Any, **kwargs: Any) -> Any:
                args, kwargs = prepared(args, kwargs)
                return convert(await func(*args, **kwargs))

            return call

        @functools.wraps(func)
        def call_sync(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = prepared(args, kwargs)
            return convert(func(*args, **kwargs))

        return call_sync

    def receiver(self, parameter: str, module: str) -> Any:
        """Return what a first parameter ``self``, ``state`` or ``app`` gets (R8.2)."""
        instance = None
        if parameter != "app":
            instance = self.real.functions.get(module, {}).get(_INSTANCE)
        return self.real if instance is None else instance


@attrs.frozen(eq=False)
class _Preparation:
    """Turns the arguments of a call into ToolBoxV2's."""

    names: tuple[str, ...]
    module: str
    describer: Describer

    @classmethod
    def of(cls, func: AnyFunction, module: str, describer: Describer) -> _Preparation:
        return cls(tuple(inspect.signature(func).parameters), module, describer)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        if args and self.names[0] in APP_NAMES:
            args = (self.describer.receiver(self.names[0], self.module), *args[1:])
        request = kwargs.get("request")
        if isinstance(request, RequestData):
            kwargs = {**kwargs, "request": self._request(request)}
        return args, kwargs

    def _request(self, request: RequestData) -> Any:
        """Return their request, with ``data`` where its function looks for it."""
        made = self.describer.values.theirs(request)
        if request.data is not None and "data" not in self.names:
            made.data = made.body = request.data
        return made


def _nothing() -> None:
    """Stand for the maker of handlers where there are none."""
