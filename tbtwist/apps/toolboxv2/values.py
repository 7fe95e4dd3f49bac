"""The values that cross between a ToolBoxV2 application and us."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from importlib import import_module
from inspect import isawaitable
from types import CodeType, ModuleType
from typing import Any, Final

import attrs

from tbtwist.apps.envelope import NATIVE, NO_ERROR, Info, Payload
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result

_STREAM: Final = "stream"


@attrs.frozen
class Values:
    """Turns ToolBoxV2's results into ours, and our request into its own.

    ``results`` are its classes ``Result`` and ``ApiResult``, ``request_data`` is
    its ``RequestData``. ``wrappers`` are the generators that its ``Result.stream``
    puts around an application's, each with the name under which it holds that one.
    """

    results: tuple[type, ...]
    request_data: Any
    wrappers: Mapping[CodeType, str]

    @classmethod
    def of(cls, package: ModuleType) -> Values:
        """Return what fits the imported package ``toolboxv2``."""
        events = import_module(f"{package.__name__}.utils.system.types").SSEGenerator
        wrappers = {
            events.create_sse_stream.__code__: "source",
            events.wrap_sync_generator.__code__: "generator",
        }
        results = (package.Result, package.ApiResult)
        return cls(results, package.RequestData, wrappers)

    def ours(self, value: object) -> object:
        """Return a result as ours and anything else as it is; await as needed."""
        if isawaitable(value):
            return self._awaited(value)
        return self._result(value) if isinstance(value, self.results) else value

    def bare(self, value: object) -> object:
        """Return what a function with ``row=True`` returned as a result of ours."""
        value = self.ours(value)
        if isawaitable(value) or isinstance(value, Result):
            return value
        return Result.ok(value)

    async def _awaited(self, value: Awaitable[object]) -> object:
        return self.ours(await value)

    def _result(self, value: Any) -> Result:
        return Result(
            outcome=str(_plain(value.error) or NO_ERROR),
            result=self._payload(value.result),
            info=_info(value.info),
            origin=_origin(value.origin),
        )

    def _payload(self, payload: Any) -> Payload:
        if payload is None:
            return Payload()
        kind = str(payload.data_type or type(payload.data).__name__)
        data = payload.data
        return Payload(
            data_to=str(_plain(payload.data_to) or NATIVE),
            data_info=payload.data_info or "",
            data=self._stream(data) if kind == _STREAM else self.ours(data),
            data_type=kind,
        )

    def _stream(self, data: object) -> object:
        """Return a stream with the application's own generator, if that is found.

        ToolBoxV2 has wrapped it already, in a generator that takes the steps of one
        without ``async`` on the loop, and sends tracebacks to clients.
        """
        if not isinstance(data, Mapping):
            return data
        frame = getattr(data.get("generator"), "ag_frame", None)
        held = frame.f_locals if frame is not None else {}
        name = self.wrappers.get(frame.f_code) if frame is not None else None
        if name is None:
            return {**data, "encoded": True}
        cleanup = held.get("cleanup_func") or data.get("cleanup_func")
        return {**data, "generator": held[name], "cleanup_func": cleanup}

    def theirs(self, request: RequestData) -> Any:
        """Return our request as ToolBoxV2's class."""
        return self.request_data.from_dict(request.to_dict())


def _plain(value: Any) -> Any:
    """Return an Enum's value."""
    return getattr(value, "value", value)


def _info(info: Any) -> Info:
    return Info() if info is None else Info(int(info.exec_code), str(info.help_text))


def _origin(origin: object) -> list[str] | None:
    """Return the origin as a list; it may be a tuple or ``Module.function``."""
    if not origin:
        return None
    parts = [origin] if isinstance(origin, str) else origin
    return [str(part) for part in parts] if isinstance(parts, list | tuple) else None
