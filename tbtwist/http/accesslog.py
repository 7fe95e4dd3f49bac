"""The access log: one line a request, written many at a time, off their path.

A request only leaves a tuple here. Lines are made and written in one call when
a tenth of a second has passed or enough have gathered. There is no query in
them, no header but the request id and the trace, and nothing secret.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from tbtwist.observe.records import ACCESS
from tbtwist.tracing import Trace

_log = Logger(namespace=ACCESS)

FLUSH_S: Final = 0.1
_BATCH: Final = 500

AccessFormat = Literal["text", "json"]
Record = tuple[float, str, str, str, int, int, float, str, Trace | None]
"""Wall time, client, method, path, status, bytes of body, seconds, request id, trace."""


def _clean(text: str) -> str:
    """Return ``text`` as one printable ASCII word or line."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


class _Stamp:
    """Makes ISO times; the part down to the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, moment: float) -> str:
        second = int(moment)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S"
            )
        return f"{self._text}.{int(moment * 1000) % 1000:03}Z"


def _text_lines(records: list[Record]) -> str:
    stamp = _Stamp()
    return "".join(
        [
            f"{stamp(at)} info [{ACCESS}] {client} {method} {_clean(path)} "
            f"{status} {size} {seconds * 1000:.1f}ms {request_id}{_named(trace)}\n"
            for at, client, method, path, status, size, seconds, request_id, trace in (
                records
            )
        ]
    )


def _named(trace: Trace | None) -> str:
    if trace is None:
        return ""
    return f" trace_id={trace.trace_id} span_id={trace.span_id}"


def _json_lines(records: list[Record]) -> str:
    stamp = _Stamp()
    lines = [
        msgspec.json.encode(
            {
                "time": stamp(at),
                "level": "info",
                "logger": ACCESS,
                "client": client,
                "method": method,
                "path": _clean(path),
                "status": status,
                "bytes": size,
                "duration_ms": round(seconds * 1000, 1),
                "request_id": request_id,
                **(trace.fields() if trace else {}),
            }
        )
        for at, client, method, path, status, size, seconds, request_id, trace in (
            records
        )
    ]
    return b"\n".join([*lines, b""]).decode()


_FORMATS: Final[dict[AccessFormat, Callable[[list[Record]], str]]] = {
    "text": _text_lines,
    "json": _json_lines,
}


class AccessLog:
    """Gathers records and writes many as one event (its ``log_lines``)."""

    def __init__(self, clock: IReactorTime, log_format: AccessFormat) -> None:
        self._clock = clock
        self._format = _FORMATS[log_format]
        self._records: list[Record] = []
        self._flushing: IDelayedCall | None = None
        self._closed = False

    def add(self, record: Record) -> None:
        """Keep ``record``; it is written within `FLUSH_S`."""
        self._records.append(record)
        if self._closed or len(self._records) >= _BATCH:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._clock.callLater(FLUSH_S, self.flush)

    def close(self) -> None:
        """Write what has gathered; what comes from now on is written at once."""
        self._closed = True
        self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        if self._flushing is not None and self._flushing.active():
            self._flushing.cancel()
        self._flushing = None
        records, self._records = self._records, []
        if records:
            _log.info("{log_lines}", log_lines=self._format(records))
