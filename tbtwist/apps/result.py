"""What an application function returns: a `Result` (R1.5).

It has the shape of the envelope that clients see, see `tbtwist.apps.envelope`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final, overload

import attrs

from tbtwist.apps.envelope import (
    CUSTOM_ERROR,
    FUTURE,
    INPUT_ERROR,
    INTERNAL_ERROR,
    NATIVE,
    NO_ERROR,
    REMOTE,
    Info,
    Payload,
    attachment,
    page,
    special_html,
)

EVENT_STREAM: Final = "text/event-stream"

Stream = AsyncIterable[Any] | Iterable[Any]
Cleanup = Callable[[], object]


class _Error:
    """``Result.error(...)`` makes a failure; ``result.error`` names its kind."""

    @overload
    def __get__(self, instance: None, owner: object) -> Callable[..., Result]: ...

    @overload
    def __get__(self, instance: Result, owner: object) -> str: ...

    def __get__(
        self, instance: Result | None, owner: object
    ) -> Callable[..., Result] | str:
        """Return the constructor on the class, the kind on a result (R1.5)."""
        return _error if instance is None else instance.outcome


@attrs.frozen
class Result:
    """The outcome of a function, good or bad; see the constructors.

    ``origin`` is ``[module, function, "tb"]`` once it has been called through an
    `App`. ``raw`` says that the function was exported with ``row=True``: clients
    get the data without the envelope. ``background`` is started after the call.
    """

    outcome: str = NO_ERROR
    result: Payload = attrs.Factory(Payload)
    info: Info = attrs.Factory(Info)
    origin: list[str] | None = None
    raw: bool = False
    background: Coroutine[Any, Any, object] | None = attrs.field(
        default=None, repr=False, eq=False
    )
    error = _Error()

    # --- it worked -----------------------------------------------------------

    @classmethod
    def ok(
        cls,
        data: object = None,
        data_info: str = "",
        info: str = "OK",
        interface: str = NATIVE,
    ) -> Result:
        """Return a success with any data."""
        return _success(Payload(interface, data_info, data, type(data).__name__), info)

    @classmethod
    def json(
        cls,
        data: object = None,
        info: str = "OK",
        *,
        exec_code: int = 0,
        status_code: int | None = None,
        interface: str = REMOTE,
    ) -> Result:
        """Return a success whose data is JSON."""
        payload = Payload(interface, "JSON response", data, "json")
        return _success(payload, info, status_code or exec_code)

    @classmethod
    def text(
        cls,
        text_data: str = "",
        content_type: str = "text/plain",
        *,
        status: int = 200,
        info: str = "OK",
        headers: Mapping[str, str] | None = None,
    ) -> Result:
        """Return text; another type than text/plain goes out without the envelope."""
        payload = Payload(REMOTE, "Text response", text_data, "text")
        if headers or content_type != "text/plain":
            sent = {"Content-Type": content_type, **(headers or {})}
            payload = special_html(text_data, "Text response", sent)
        return _success(payload, info, status)

    @classmethod
    def html(
        cls,
        data: str = "",
        data_info: str = "",
        info: str = "OK",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        row: bool = False,
    ) -> Result:
        """Return HTML; a fragment is put into ``div.main-content`` unless ``row``."""
        html = data if row else page(data)
        payload = Payload(REMOTE, data_info, html, "html")
        if headers:
            payload = special_html(html, data_info, headers)
        return _success(payload, info, status)

    @classmethod
    def redirect(
        cls, url: str, status_code: int = 302, info: str = "Redirect"
    ) -> Result:
        """Send the client to ``url``."""
        return _success(Payload(REMOTE, "", url, "redirect"), info, status_code)

    @classmethod
    def binary(
        cls,
        data: bytes,
        content_type: str = "application/octet-stream",
        download_name: str | None = None,
        info: str = "OK",
    ) -> Result:
        """Return bytes; with a name, clients save them."""
        value = {"data": data, "content_type": content_type, "filename": download_name}
        return _success(Payload(REMOTE, "Binary response", value, "binary"), info)

    @classmethod
    def file(cls, data: bytes | str, filename: str, info: str = "OK") -> Result:
        """Return a download; ``data`` is bytes, or already Base64 text."""
        encoded = data if isinstance(data, str) else base64.b64encode(data).decode()
        info_of = f"File download: {filename}"
        return _success(Payload(REMOTE, info_of, encoded, "file"), info)

    @classmethod
    def file_path(
        cls, path: str | Path, filename: str | None = None, info: str = "OK"
    ) -> Result:
        """Return a file of this machine as a download, without reading it here."""
        info_of = f"filename={filename or Path(path).name}"
        return _success(Payload(REMOTE, info_of, str(path), "file_path"), info)

    @classmethod
    def stream(
        cls,
        stream_generator: Stream,
        content_type: str = EVENT_STREAM,
        headers: Mapping[str, str] | None = None,
        info: str = "OK",
        cleanup_func: Cleanup | None = None,
    ) -> Result:
        """Send what a generator yields, as it comes.

        ``cleanup_func`` is called once, also when the client leaves.
        """
        value = {
            "type": "stream",
            "generator": stream_generator,
            "content_type": content_type,
            "headers": dict(headers or {}),
            "cleanup_func": cleanup_func,
        }
        return _success(Payload(REMOTE, "Streaming response", value, "stream"), info)

    @classmethod
    def sse(
        cls, stream_generator: Stream, *, cleanup_func: Cleanup | None = None
    ) -> Result:
        """Send what a generator yields as Server-Sent Events."""
        return cls.stream(stream_generator, cleanup_func=cleanup_func)

    @classmethod
    def file_stream(
        cls,
        stream_generator: Stream,
        filename: str,
        content_type: str = "application/octet-stream",
        size: int | None = None,
    ) -> Result:
        """Send what a generator yields as a download."""
        length = {} if size is None else {"Content-Length": str(size)}
        headers = {"Content-Disposition": attachment(filename), **length}
        return cls.stream(stream_generator, content_type, headers)

    @classmethod
    def future(cls, data: object = None, data_info: str = "") -> Result:
        """Return data that is still to come (see `aget`)."""
        return _success(Payload(FUTURE, data_info, data, "future"), "OK")

    # --- it did not ----------------------------------------------------------

    @classmethod
    def default_user_error(
        cls, info: str = "", exec_code: int = -3, data: object = None
    ) -> Result:
        """Say that the caller asked for something wrong."""
        return _failure(INPUT_ERROR, info, exec_code, data)

    @classmethod
    def default_internal_error(
        cls, info: str = "", exec_code: int = -2, data: object = None
    ) -> Result:
        """Say that something of ours is broken."""
        return _failure(INTERNAL_ERROR, info, exec_code, data)

    @classmethod
    def custom_error(
        cls,
        data: object = None,
        data_info: str = "",
        info: str = "",
        exec_code: int = -1,
    ) -> Result:
        """Say what went wrong in terms of your own."""
        return _failure(CUSTOM_ERROR, info, exec_code, data, data_info)

    # --- reading it ----------------------------------------------------------

    def is_error(self) -> bool:
        """Whether it failed; a result inside of this one has the last word.

        A failure with code 0 is none, as in ToolBoxV2; one with code 200 is.
        """
        data = self.result.data
        if isinstance(data, Result):
            return data.is_error()
        return self.outcome != NO_ERROR and self.info.exec_code != 0

    def is_ok(self) -> bool:
        """Whether it worked."""
        return not self.is_error()

    def get(self, key: object = None, default: Any = None) -> Any:
        """Return the data, or one key of it."""
        data = self.result.data
        if isinstance(data, Result):
            return data.get(key, default)
        if key is not None and isinstance(data, Mapping):
            return data.get(key, default)
        return default if data is None else data

    async def aget(self, key: object = None, default: Any = None) -> Any:
        """Return the data as `get` does, waiting for it if it is still to come."""
        value = self.get(key, default)
        return await value if isawaitable(value) else value

    def task(self, work: Coroutine[Any, Any, object]) -> Result:
        """Return this result, with work that goes on after the answer."""
        return attrs.evolve(self, background=work)

    def of(self, origin: list[str], *, raw: bool) -> Result:
        """Return this result, as that of the function ``origin``."""
        return Result(
            self.outcome, self.result, self.info, origin, raw, self.background
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the envelope (contract §2)."""
        data = self.result.data
        inner = data.as_dict() if isinstance(data, Result) else data
        return {
            "error": self.outcome,
            "result": self.result.as_dict(inner),
            "info": self.info.as_dict(),
            "origin": self.origin,
        }


def _error(
    data: object = None, data_info: str = "", info: str = "", exec_code: int = 450
) -> Result:
    """Say that it failed, with the HTTP status to answer with (``exec_code``)."""
    return _failure(CUSTOM_ERROR, info, exec_code, data, data_info)


def _success(payload: Payload, info: str, exec_code: int = 0) -> Result:
    return Result(result=payload, info=Info(exec_code, info))


def _failure(
    outcome: str, info: str, exec_code: int, data: object, data_info: str = ""
) -> Result:
    payload = Payload(NATIVE, data_info, data, type(data).__name__)
    return Result(outcome, payload, Info(exec_code, info))
