"""How events become lines: text for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
)
from zope.interface import implementer

from tbtwist.observe.files import LogFolder, RotatingFile
from tbtwist.observe.records import (
    GRAVE,
    Source,
    encoded,
    iso_utc,
    parsed,
    starts_record,
    text_level,
    with_source,
    wrapped,
)
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
_QUIET: Final = ("log_legacy", "twisted.scripts")


class Stream(Protocol):
    """What is logged to: standard output, or a file that rotates."""

    def write(self, text: str, /) -> object:
        """Take whole lines."""

    def flush(self) -> None:
        """Keep nothing back."""


def _time_of(event: LogEvent) -> str:
    return iso_utc(event.get("log_time", 0.0))


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


def json_line(event: LogEvent, source: Mapping[str, object]) -> str:
    """Return one JSON object a line, with the event's own fields behind the source's.

    An own field whose name is taken is called ``event_`` and that name.
    Observers are called by whoever logs, so the current trace is the record's.
    """
    record: dict[str, object] = {
        "time": _time_of(event),
        "level": event.get("log_level", LogLevel.info).name,
        **source,
        "logger": event.get("log_namespace", "-"),
        "message": formatEvent(event),
    }
    if (trace := current_trace()) is not None:
        record |= trace.fields()
    if "log_failure" in event:
        record["traceback"] = event["log_failure"].getTraceback()
    taken = frozenset(record)
    for key, value in event.items():
        if not key.startswith("log_"):
            record[f"event_{key}" if key in taken else key] = _plain(value)
    return encoded(record) + "\n"


def _plain(value: object) -> object:
    plain = value is None or isinstance(value, str | int | float | bool)
    return value if plain else str(value)


@implementer(ILogObserver)
class StreamObserver:
    """Writes each event as one record to a stream.

    An event with ``log_lines`` is many records, ready to be written as they are.
    When the stream is a pipe whose reader (the manager) is gone, or a file on a full
    disk, there is nobody left to tell; the role goes on, or drains.
    """

    def __init__(self, stream: Stream, log_format: LogFormat, source: Source) -> None:
        self._stream = stream
        self._json = log_format == "json"
        self._source = source

    def __call__(self, event: LogEvent) -> None:
        """Write ``event``, unless it is only Twisted talking to itself."""
        if event.get("log_namespace", "").startswith(_QUIET) and not event.get(
            "isError"
        ):
            return
        try:
            self._stream.write(self._record(event))
            self._stream.flush()
        except OSError:
            return

    def _record(self, event: LogEvent) -> str:
        lines: str | None = event.get("log_lines")
        if not self._json:
            return lines or text_line(event)
        source = self._source.fields()
        if not lines:
            return json_line(event, source)
        if lines.startswith("{"):
            return with_source(lines, source)
        at, logger = event.get("log_time", 0.0), event.get("log_namespace", "-")
        kept = (
            wrapped(line, at, source, level="info", logger=logger)
            for line in lines.splitlines()
        )
        return "\n".join([*kept, ""])


def observer(
    stream: Stream, log_format: LogFormat, level: str, source: Source
) -> ILogObserver:
    """Return an observer for events of ``level`` and above, all of one ``source``."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LEVELS[level])
    predicate.setLogLevelForNamespace("twisted.internet", LogLevel.warn)
    filtered: ILogObserver = FilteringLogObserver(
        StreamObserver(stream, log_format, source), [predicate]
    )
    return filtered


class WorkerLogs:
    """The files that keep what the workers say, one a worker.

    In JSON, every line of a file is a record, whatever the worker wrote.
    """

    def __init__(self, folder: LogFolder, log_format: LogFormat) -> None:
        self._folder = folder
        self._json = log_format == "json"
        self._files: dict[str, RotatingFile] = {}

    def write(self, worker: str, line: str, pid: int | None = None) -> None:
        """Append one line of ``worker``, whose process is or was ``pid``."""
        if worker not in self._files:
            self._files[worker] = self._folder.file(worker)
        if self._json:
            self._files[worker].write(self._record(worker, line, pid) + "\n")
        else:
            self._files[worker].write(line + "\n", begins=starts_record(line))

    def _record(self, worker: str, line: str, pid: int | None) -> str:
        found = parsed(line)
        if found is not None and found.worker:
            return line
        source = {"worker": worker, "role": worker.partition("-")[0], "pid": pid}
        return wrapped(line, self._folder.now(), source)

    def tidy(self) -> None:
        """Set aside and remove what is due, though nobody writes."""
        for file in self._files.values():
            file.tidy()
        self._folder.sweep()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class Notable:
    """Tells the lines worth a person's attention from the others.

    A record of level warn or above is notable, with all lines that follow it
    until the next record begins (a traceback). A record in JSON is one line.
    """

    def __init__(self) -> None:
        self._last: dict[str, bool] = {}

    def __call__(self, worker: str, line: str) -> bool:
        """Return whether ``line`` of ``worker`` should be shown."""
        record = parsed(line)
        if record is not None:
            self._last.pop(worker, None)  # what is no JSON belongs to none
            return record.level in GRAVE
        level = text_level(line)
        if level is not None:
            self._last[worker] = level in GRAVE
        return self._last.get(worker, True)
