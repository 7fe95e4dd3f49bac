"""A small ToolBoxV2: the shapes of the real package, without the package."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable
from enum import Enum
from inspect import iscoroutinefunction, signature
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import attrs

F = TypeVar("F", bound=Callable[..., Any])


class Kind(str, Enum):  # noqa: UP042 - as it is there
    """Its enumeration of errors."""

    none = "none"
    input_error = "InputError"


class Interface(str, Enum):  # noqa: UP042 - as it is there
    """Its enumeration of places that data goes to."""

    native = "NATIVE"
    remote = "REMOTE"


@attrs.define
class Part:
    """Its ToolBoxResult and ToolBoxInfo in one."""

    data_to: Any = Interface.native
    data_info: Any = None
    data: Any = None
    data_type: Any = None
    exec_code: int = 0
    help_text: str = "OK"


@attrs.define
class Result:
    """Its Result."""

    result: Part | None = attrs.Factory(Part)
    info: Part | None = attrs.Factory(Part)
    error: Any = Kind.none
    origin: Any = None

    @classmethod
    def ok(cls, data: object = None) -> Result:
        """Return a success."""
        return cls(Part(data=data, data_type=type(data).__name__))

    @classmethod
    def failed(cls, code: int, text: str) -> Result:
        """Return a failure."""
        info = Part(exec_code=code, help_text=text)
        return cls(info=info, error=Kind.input_error)

    @classmethod
    def sse(cls, source: Iterable[Any], cleanup_func: Callable[[], object]) -> Result:
        """Return Server-Sent Events, wrapped as it wraps them."""
        made = SSEGenerator.create_sse_stream(source, cleanup_func)
        data = {"generator": made, "content_type": "text/event-stream", "headers": {}}
        return cls(Part(data=data, data_type="stream"))


class ApiResult(Result):
    """Its ApiResult, with plain values."""


class SSEGenerator:
    """Its generators of events."""

    @classmethod
    async def create_sse_stream(
        cls, source: Iterable[Any], cleanup_func: Any = None
    ) -> AsyncIterator[str]:
        """Yield events."""
        for item in source:
            yield f"data: {item}\n\n"
        cleanup_func()

    @classmethod
    async def wrap_sync_generator(cls, generator: Iterable[Any]) -> AsyncIterator[Any]:
        """Yield what a generator yields, on the loop."""
        for item in generator:
            yield item


@attrs.define
class RequestData:
    """Its RequestData."""

    method: str
    user_name: str
    body: Any
    data: Any = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RequestData:
        """Read its shape."""
        request, session = values["request"], values["session"]
        return cls(request["method"], session["user_name"], request["body"])


class FakeToolbox:
    """Its App: registers as it does, and prints."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.functions: dict[str, dict[str, Any]] = {}
        self.websocket_handlers: dict[str, dict[str, Any]] = {}
        self._print: Callable[..., None] = print

    def tb(self, mod_name: str, name: str, **options: Any) -> Callable[[F], F]:
        """Register a function, or the handlers that it returns."""

        def register(func: F) -> F:
            entry = {
                "func": func,
                "api": False,
                "level": -1,
                "api_methods": ["AUTO"],
                "request_as_kwarg": False,
                "row": False,
                "params": list(signature(func).parameters),
                **options,
            }
            self.functions.setdefault(mod_name, {})[name] = entry
            return func

        return register

    async def a_run_function(self, name: Any, **options: Any) -> Any:
        """Run a function as it does: one without ``async`` right here."""
        name = _named(name)
        kwargs = options.get("kwargs_") or {}
        if name[0] not in self.functions:
            self.functions[name[0]] = {name[1]: {"func": lambda **_: "imported"}}
        func = self.functions[name[0]][name[1]]["func"]
        return await func(**kwargs) if iscoroutinefunction(func) else func(**kwargs)

    def run_function(self, name: Any, **options: Any) -> Any:
        """Run a function as it does, in synchronous code."""
        name = _named(name)
        return self.functions[name[0]][name[1]]["func"](**options.get("kwargs_") or {})

    async def a_run_any(self, name: Any, **kwargs: Any) -> Any:
        """Run a function by its name."""
        options = {"tb_run_with_specification": "app", "kwargs_": kwargs}
        return await self.a_run_function(name, **options)

    def on_websocket(self, handler_id: str, **handlers: Callable[..., Any]) -> None:
        """Register handlers in wrappers that envelope what they return."""
        self.websocket_handlers[handler_id] = {
            event: _enveloping(handler) for event, handler in handlers.items()
        }


def _named(name: Any) -> Any:
    """Return module and function that a member of an enumeration stands for."""
    kind: Any = type(name)
    return (kind.NAME.value, name.value) if isinstance(name, Enum) else name


def _enveloping(func: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("request", None)
        return Result.ok(func(*args, **kwargs))

    wrapper.__wrapped__ = func  # type: ignore[attr-defined]
    assert not iscoroutinefunction(wrapper)
    return wrapper


def fake_package(app: FakeToolbox) -> dict[str, ModuleType]:
    """Return the modules that `tbtwist.apps.toolboxv2` imports, by name."""
    modules = {
        name: ModuleType(name)
        for name in (
            "toolboxv2",
            "toolboxv2.utils.system.types",
            "toolboxv2.utils.manifest.loader",
            "toolboxv2.utils.extras.Style",
        )
    }
    package: Any = modules["toolboxv2"]
    package.Result, package.ApiResult, package.RequestData = (
        Result,
        ApiResult,
        RequestData,
    )

    def get_app(from_: str, name: str) -> FakeToolbox:
        app.name = name
        app._print("\x1b[36mwelcome\x1b[0m")
        print("a banner")  # noqa: T201 - that is what it does
        print("half a line", end="", file=sys.stderr)  # noqa: T201
        return app

    package.get_app = get_app
    types: Any = modules["toolboxv2.utils.system.types"]
    types.SSEGenerator = SSEGenerator
    loader: Any = modules["toolboxv2.utils.manifest.loader"]
    loader.ManifestLoader = ManifestLoader
    style: Any = modules["toolboxv2.utils.extras.Style"]
    style.spinners = SimpleNamespace(enabled=True)
    style.SpinnerManager = lambda: style.spinners
    return modules


class Mode(str, Enum):  # noqa: UP042 - as it is there
    """Its database modes."""

    LC = "LC"
    CB = "CB"


class ManifestLoader:
    """Its loader; its own manifest wants a server."""

    def load(self) -> Any:
        """Return a manifest."""
        switch = SimpleNamespace
        return switch(
            database=switch(mode=Mode.CB),
            observability=switch(
                sync=switch(enabled=True), dashboard=switch(enabled=True)
            ),
        )
