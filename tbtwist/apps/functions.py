"""What an application registers: functions, and handlers of WebSockets (R8.3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypedDict

import attrs

from tbtwist.apps.signature import Signature
from tbtwist.auth.access import Target
from tbtwist.errors import DefinedTwice, MissingArgument

Runtime = Literal["twisted"] | None

WORDS: Final = ("app", "session", "conn_id", "payload", "request", "redelivered")
"""What a WebSocket handler may name in its signature."""

_EVENTS: Final = ("on_connect", "on_message", "on_disconnect")


class ExportOptions(TypedDict, total=False):
    """The options of `export`; those of ToolBoxV2 without a meaning here included.

    ``api`` (True unless it is a start, exit or test function), ``level`` (None:
    the configured default), ``api_methods``, ``request_as_kwarg``, ``row`` (answer
    with the data alone), ``runtime`` ("twisted": run as a Deferred coroutine),
    ``initial`` (run before the worker is ready), ``exit_f`` (run on an orderly stop)
    and ``websocket_handler`` have a meaning.
    """

    api: bool
    level: int | None
    api_methods: Iterable[str] | None
    request_as_kwarg: bool
    row: bool
    runtime: Runtime
    websocket_handler: str | None
    websocket_context: bool
    helper: str
    version: str | None
    test: bool
    test_only: bool
    restrict_in_virtual_mode: bool
    initial: bool
    exit_f: bool
    memory_cache: bool
    file_cache: bool
    memory_cache_max_size: int
    memory_cache_ttl: int
    state: bool | None
    samples: Any
    interface: Any
    pre_compute: Any
    post_compute: Any


_OPTIONS: Final = frozenset(ExportOptions.__annotations__)


def check_options(name: object, options: Mapping[str, Any]) -> None:
    """Raise TypeError for what `export` cannot be called with."""
    if callable(name):
        msg = "write @export(...) with parentheses"
        raise TypeError(msg)
    for option in options:
        if option not in _OPTIONS:
            msg = f"export() has no option {option!r}"
            raise TypeError(msg)


@attrs.frozen(kw_only=True)
class Function:
    """A function that can be called by its name.

    ``level`` None: the configured one. ``api_methods`` None: every method.
    ``initial`` and ``exit_f`` say that it runs at the start, or at the end.
    """

    module: str
    name: str
    func: Callable[..., Any]
    api: bool = True
    level: int | None = None
    api_methods: frozenset[str] | None = None
    request_as_kwarg: bool = False
    row: bool = False
    runtime: Runtime = None
    initial: bool = False
    exit_f: bool = False
    signature: Signature
    target: Target

    @classmethod
    def of(
        cls,
        module: str,
        name: str,
        func: Callable[..., Any],
        options: ExportOptions | None = None,
    ) -> Function:
        """Return what ``func`` is as ``module``/``name``."""
        given: ExportOptions = options or {}
        api = _is_exposed(given)
        level = _level(given.get("level"))
        methods = _methods(given.get("api_methods"))
        signature = Signature.of(func, f"{module}/{name}")
        return cls(
            module=module,
            name=name,
            func=func,
            api=api,
            level=level,
            api_methods=methods,
            request_as_kwarg=given.get("request_as_kwarg", False),
            row=given.get("row", False),
            runtime=_runtime(given.get("runtime")),
            initial=bool(given.get("initial")),
            exit_f=bool(given.get("exit_f")),
            signature=signature,
            target=Target(
                module,
                name,
                api=api,
                level=level,
                methods=methods,
                takes_request="request" in signature.parameters or signature.open_ended,
            ),
        )

    @property
    def wants_request(self) -> bool:
        """Whether it is worth making a `RequestData` for a call."""
        named = "request" in self.signature.parameters
        return named or (self.request_as_kwarg and self.signature.open_ended)


def _is_exposed(options: ExportOptions) -> bool:
    internal = (
        options.get("test_only") or options.get("initial") or options.get("exit_f")
    )
    return options.get("api", not internal)


def _level(level: int | None) -> int | None:
    return None if level == -1 else level


def _methods(methods: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(methods, str):
        methods = (methods,)
    wanted = frozenset(method.upper() for method in methods or ())
    return None if not wanted or "AUTO" in wanted else wanted


def _runtime(runtime: str | None) -> Runtime:
    if runtime in (None, "twisted"):
        return "twisted" if runtime else None
    msg = f"runtime={runtime!r}: there are None (asyncio) and 'twisted'"
    raise TypeError(msg)


@attrs.frozen
class SocketHandlers:
    """The handlers of one WebSocket route, ``/ws/MODULE/NAME``."""

    module: str
    name: str
    func: Callable[..., Any]
    on_connect: Signature | None
    on_message: Signature | None
    on_disconnect: Signature | None
    target: Target

    @property
    def id(self) -> str:
        """Return ``Module/name``: the route, and the channel of its connections."""
        return f"{self.module}/{self.name}"

    @classmethod
    def of(
        cls, target: Target, maker: Callable[..., Any], table: Mapping[str, Any]
    ) -> SocketHandlers:
        """Return the handlers that ``table``, made by ``maker``, names.

        Raises:
            TypeError: there are other keys, or a handler wants what nobody can
                give it.
        """
        label = f"{target.module}/{target.function}"
        strange = set(table) - {*_EVENTS, "auth"}
        if strange:
            msg = f"{label}: {sorted(strange)} are no events; there are {_EVENTS}"
            raise TypeError(msg)
        if table.get("auth") and target.level is None:
            target = attrs.evolve(target, level=1)
        return cls(
            module=target.module,
            name=target.function,
            func=maker,
            target=target,
            **{e: _handler(table.get(e), f"{label}.{e}") for e in _EVENTS},
        )


def made_by(maker: Function, app: object) -> Mapping[str, Any]:
    """Return the handlers that the function under ``websocket_handler=`` makes.

    Raises:
        TypeError: it wants more than the application, or returns no handlers.
    """
    label = f"{maker.module}/{maker.name}"
    try:
        table = maker.signature.bind(app, {"app": app})()
    except MissingArgument as error:
        msg = (
            f"{label} makes WebSocket handlers, so its only parameter may be the "
            f"application, called app; it has {error.field!r}"
        )
        raise TypeError(msg) from error
    if not isinstance(table, Mapping):
        msg = f"{label} returned no handlers but {table!r}"
        raise TypeError(msg)
    return table


def _handler(func: Callable[..., Any] | None, label: str) -> Signature | None:
    if func is None:
        return None
    signature = Signature.of(func, label)
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in WORDS:
            msg = f"{label} wants {name!r}; there are {', '.join(WORDS)}"
            raise TypeError(msg)
    return signature


def same_place(what: str, known: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Raise `DefinedTwice` unless both come from one file: that is a reload."""
    known_file, first = _place(known)
    new_file, second = _place(new)
    if known_file != new_file:
        raise DefinedTwice(what, first, second)


def _place(func: Callable[..., Any]) -> tuple[str, str]:
    """Return the file of a function, and ``file:line`` for people."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    if code is None:
        return func.__module__, func.__module__
    return code.co_filename, f"{code.co_filename}:{code.co_firstlineno}"
