"""From a `Result` to a `Response` (R1.4, with contract §2's statuses)."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs
from twisted.logger import Logger

from tbtwist.api import downloads
from tbtwist.api.downloads import Download
from tbtwist.api.failures import failure, internal_error
from tbtwist.api.request import Request
from tbtwist.api.response import Response, application_headers, header_value
from tbtwist.api.streams import Streams, is_event_stream
from tbtwist.apps.encoding import to_json
from tbtwist.apps.envelope import attachment
from tbtwist.apps.result import EVENT_STREAM, Result
from tbtwist.identity import RandomBytes

_log = Logger()

_HTML: Final = (("Content-Type", "text/html; charset=utf-8"),)
_JSON: Final = (("Content-Type", "application/json"),)
_BINARY: Final = "application/octet-stream"
_URL_SAFE: Final = ":/?#[]@!$&'()*+,;=%~"
_STREAM_HEADERS: Final = {"X-Accel-Buffering": "no"}
_EVENT_HEADERS: Final = {"Cache-Control": "no-cache", **_STREAM_HEADERS}


@attrs.frozen
class Answering:
    """What is needed to answer a request beside the result."""

    request: Request
    streams: Streams
    random: RandomBytes

    def download(self, download: Download) -> Response:
        """Return as much of ``download`` as was asked for."""
        boundary = self.random(16).hex()
        return downloads.answer(self.request, download, self.streams, boundary)


def to_response(result: Result, answering: Answering) -> Response:
    """Return what the client gets for ``result``."""
    result = _innermost(result)
    if result.is_error():
        return failed(result)
    special = _SPECIAL.get(result.result.data_type)
    if special is not None:
        return special(result, answering)
    if result.raw:
        return _raw(result.result.data)
    return Response(200, _JSON, to_json(result.as_dict()))


def _innermost(result: Result) -> Result:
    """Return the result inside, if a function wrapped the one of another."""
    while isinstance(result.result.data, Result):
        result = result.result.data
    return result


def failed(result: Result) -> Response:
    """Return what clients get for a failed result.

    Codes between 400 and 599 are the status; all others are our 500.
    """
    code = result.info.exec_code
    text = result.info.help_text
    return failure(code if 400 <= code <= 599 else 500, text)


def _raw(data: object) -> Response:
    """Answer with bare data: what ``row=True`` asks for."""
    if isinstance(data, str) and data.lstrip().startswith("<"):
        return Response(200, _HTML, data.encode("utf-8", "replace"))
    if data is None:
        data = {"status": "ok"}
    elif not isinstance(data, Mapping | list | tuple):
        data = {"result": data}
    return Response(200, _JSON, to_json(data))


def _html(result: Result, _: Answering) -> Response:
    body = str(result.result.data).encode("utf-8", "replace")
    return Response(_status_of(result, 200), _HTML, body)


def _special_html(result: Result, _: Answering) -> Response:
    value = _mapping(result.result.data)
    headers = application_headers(_mapping(value.get("headers")))
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*_HTML, *headers)
    html = value.get("html", "")
    body = html if isinstance(html, bytes) else str(html).encode("utf-8", "replace")
    return Response(200, headers, body)


def _redirect(result: Result, _: Answering) -> Response:
    status = _status_of(result, 302)
    location = quote(str(result.result.data), safe=_URL_SAFE)
    headers = (("Content-Type", "text/plain"), ("Location", location))
    return Response(status if 300 <= status <= 399 else 302, headers)


def _binary(result: Result, answering: Answering) -> Response:
    value = _mapping(result.result.data)
    body = _bytes(value.get("data", b""))
    if body is None:
        return _unusable(result)
    kind = header_value(str(value.get("content_type") or _BINARY))
    name = value.get("filename")
    disposition = (_attachment(str(name)),) if name else ()
    return answering.download(Download.of_bytes(body, kind, disposition))


def _file(result: Result, answering: Answering) -> Response:
    name = result.result.data_info.removeprefix("File download: ")
    body = _bytes(result.result.data)
    if body is None:
        return _unusable(result)
    headers = (_attachment(name),)
    return answering.download(Download.of_bytes(body, _type_of(name), headers))


def _file_path(result: Result, answering: Answering) -> Response:
    path = Path(str(result.result.data))
    name = result.result.data_info.removeprefix("filename=") or path.name
    headers = (_attachment(name),)
    try:
        download = Download.of_file(path, _type_of(path.name), headers)
    except (OSError, ValueError):
        return failure(404, f"There is no file {name}")
    return answering.download(download)


def _stream(result: Result, answering: Answering) -> Response:
    """Send what a generator yields, as it yields it.

    ``encoded`` says that its events are text already.
    """
    value = _mapping(result.result.data)
    kind = header_value(str(value.get("content_type") or EVENT_STREAM))
    given = _mapping(value.get("headers"))
    events = is_event_stream(kind)
    length = None if events else _length(given)
    given = {**_unset(_EVENT_HEADERS if events else _STREAM_HEADERS, given), **given}
    headers = application_headers(given)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (("Content-Type", kind), *headers)
    cleanup = value.get("cleanup_func")
    body = answering.streams.make(
        value.get("generator"),
        "" if value.get("encoded") else kind,
        length=length,
        cleanups=(*((cleanup,) if cleanup else ()), answering.request.parsed.close),
    )
    return Response(_status_of(result, 200), headers, body, length)


def _unset(ours: Mapping[str, str], given: Iterable[str]) -> Mapping[str, str]:
    """Return our headers, except those that the application has set."""
    named = {name.lower() for name in given}
    return {name: value for name, value in ours.items() if name.lower() not in named}


def _length(headers: Mapping[str, object]) -> int | None:
    """Return the length that an application promises for its stream."""
    for name, value in headers.items():
        if name.lower() == "content-length" and str(value).isdecimal():
            return int(str(value))
    return None


_SPECIAL: Final[Mapping[str, Callable[[Result, Answering], Response]]] = {
    "html": _html,
    "special_html": _special_html,
    "redirect": _redirect,
    "binary": _binary,
    "file": _file,
    "file_path": _file_path,
    "stream": _stream,
}


def _status_of(result: Result, default: int) -> int:
    code = result.info.exec_code
    return code if 200 <= code <= 599 else default


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _bytes(value: object) -> bytes | None:
    """Return bytes as they are and text as the Base64 that it is; None if neither."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _unusable(result: Result) -> Response:
    _log.error(
        "{origin} returned data of type {data_type} that is neither bytes nor Base64",
        origin=result.origin,
        data_type=result.result.data_type,
    )
    return internal_error()


def _type_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or _BINARY


def _attachment(name: str) -> tuple[str, str]:
    return ("Content-Disposition", attachment(name))
