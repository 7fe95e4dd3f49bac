"""How events become lines: text for people, JSON for machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from tbtwist.tracing import current_trace

LogFormat = Literal["text", "json"]
LEVELS: Final = {
    "DEBUG": LogLevel.debug,
    "INFO": LogLevel.info,
    "WARNING": LogLevel.warn,
    "WARN": LogLevel.warn,
    "ERROR": LogLevel.error,
    "CRITICAL": LogLevel.critical,
}
_QUIET: Final = ("log_legacy", "twisted.scripts", "stdout")
_MAX_FILE_BYTES: Final = 10 * 1024 * 1024
_KEPT_FILES: Final = 5
_STARTS_A_RECORD: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?P<level>\w+) ")


def _time_of(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text_line(event: LogEvent) -> str:
    """Return ``time level [where] message``; a failure's traceback follows.

    Under a trace its id stands behind ``where``, in the brackets.
    """
    message = eventAsText(event, includeTimestamp=False, includeSystem=False)
    level = event.get("log_level", LogLevel.info).name
    where = event.get("log_namespace", "-")
    if (trace := current_trace()) is not None:
        where = f"{where} trace_id={trace.trace_id}"
    return f"{_time_of(event)} {level} [{where}] {message}\n"


def json_line(event: LogEvent) -> str:
    """Return one JSON object a line, with the event's own fields beside it.

    Observers are called by whoever logs, so the current trace is the record's.
    """
    record: dict[str, object] = {
        "time": _time_of(event),
        "level": event.get("log_level", LogLevel.info).name,
        "logger": event.get("log_namespace", "-"),
        "message": formatEvent(event),
    }
    if (trace := current_trace()) is not None:
        record |= trace.fields()
    if "log_failure" in event:
        record["traceback"] = event["log_failure"].getTraceback()
    for key, value in event.items():
        if not key.startswith("log_") and key not in record:
            record[key] = _plain(value)
    return msgspec.json.encode(record).decode() + "\n"


def _plain(value: object) -> object:
    plain = value is None or isinstance(value, str | int | float | bool)
    return value if plain else str(value)


FORMATS: Final[dict[LogFormat, Callable[[LogEvent], str]]] = {
    "text": text_line,
    "json": json_line,
}


@implementer(ILogObserver)
class StreamObserver:
    """Writes each event as one record to a stream.

    An event with ``log_lines`` is many records, ready to be written as they are.
    When the stream is a pipe whose reader (the manager) is gone, there is
    nobody left to tell; the role goes on and drains.
    """

    def __init__(self, stream: TextIO, log_format: LogFormat) -> None:
        self._stream = stream
        self._format = FORMATS[log_format]

    def __call__(self, event: LogEvent) -> None:
        """Write ``event``, unless it is only Twisted talking to itself."""
        if event.get("log_namespace", "").startswith(_QUIET) and not event.get(
            "isError"
        ):
            return
        try:
            self._stream.write(event.get("log_lines") or self._format(event))
            self._stream.flush()
        except BrokenPipeError:
            return


def observer(stream: TextIO, log_format: LogFormat, level: str) -> ILogObserver:
    """Return an observer for events of ``level`` and above."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LEVELS[level])
    predicate.setLogLevelForNamespace("twisted.internet", LogLevel.warn)
    filtered: ILogObserver = FilteringLogObserver(
        StreamObserver(stream, log_format), [predicate]
    )
    return filtered


def worker_log(folder: Path, worker: str) -> Any:
    """Open the file that keeps what ``worker`` says; it rotates by size."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LogFile(
        f"{worker}.log",
        str(folder),
        rotateLength=_MAX_FILE_BYTES,
        defaultMode=0o600,
        maxRotatedFiles=_KEPT_FILES,
    )


class WorkerLogs:
    """The files that keep what the workers say, one a worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {}

    def write(self, worker: str, line: str) -> None:
        """Append one line of ``worker``."""
        if worker not in self._files:
            self._files[worker] = worker_log(self._folder, worker)
        self._files[worker].write(line + "\n")
        self._files[worker].flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class Notable:
    """Tells the lines worth a person's attention from the others.

    A record of level warn or above is notable, with all lines that follow it
    until the next record begins (a traceback).
    """

    def __init__(self) -> None:
        self._last: dict[str, bool] = {}

    def __call__(self, worker: str, line: str) -> bool:
        """Return whether ``line`` of ``worker`` should be shown."""
        found = _STARTS_A_RECORD.match(line)
        if found is not None:
            self._last[worker] = found["level"] in {"warn", "error", "critical"}
        return self._last.get(worker, True)
