"""What a line of a log says, whether it is text or JSON; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import msgspec

ACCESS: Final = "tbtwist.access"
"""The logger of the access log."""

GRAVE: Final = frozenset({"warn", "error", "critical"})
"""Levels that a person should see."""

MAX_RECORD_BYTES: Final = 8000
"""Longer lines are cut on their way through the manager, and no JSON any more."""

_INTEGER_BITS: Final = 64
_LIMITS: Final = (5000, 1000, 100)
_FIRST: Final = (
    "time", "level", "worker", "role", "pid", "logger", "message", "trace_id", "span_id",
)  # fmt: skip
"""What is kept of a record that is far too long."""
_TEXT: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<level>\w+) \[(?P<logger>[^]]*?)"
    r"( trace_id=(?P<trace_id>[0-9a-f]{32}))?\] ?"
)


class Record(msgspec.Struct, frozen=True):
    """What JSON records have; those of requests say with fields what happened."""

    time: str
    level: str
    message: str = ""
    logger: str = "-"
    worker: str = ""
    traceback: str = ""
    trace_id: str = ""

    @property
    def where(self) -> str:
        """Return what stands in the brackets of a text record."""
        return (
            f"{self.logger} trace_id={self.trace_id}" if self.trace_id else self.logger
        )


@attrs.frozen
class Source:
    """Whose records these are: the process's slot, as in ``http-1``, and its role."""

    worker: str
    role: str
    pid: Callable[[], int]

    def fields(self) -> dict[str, object]:
        """Return what stands in each of them."""
        return {"worker": self.worker, "role": self.role, "pid": self.pid()}


def iso_utc(seconds: float) -> str:
    """Return a moment of the wall clock as every record has it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def starts_record(line: str) -> bool:
    """Whether ``line`` is no part of a traceback or message that began before."""
    return _is_json(line) or _TEXT.match(line) is not None


def _is_json(line: str) -> bool:
    """Whether ``line`` is a JSON object: a record of ours or of somebody else."""
    if not line.startswith("{"):
        return False
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def text_level(line: str) -> str | None:
    """Return the level of the text record that ``line`` begins, if it begins one."""
    found = _TEXT.match(line)
    return found["level"] if found else None


def is_request(line: str) -> bool:
    """Whether ``line`` is the access log's record of one request."""
    return f" [{ACCESS}" in line or f'"logger":"{ACCESS}"' in line


def record_of(line: str) -> Record | None:
    """Return the record that ``line`` is or begins, in text or JSON, or None."""
    found = _TEXT.match(line)
    if found is None:
        return parsed(line)
    message = line[found.end() :]
    return Record(found["time"], found["level"], message, found["logger"])


def parsed(line: str) -> Record | None:
    """Return the JSON record that ``line`` is, or None."""
    if not line.startswith("{"):
        return None
    try:
        return msgspec.json.decode(line, type=Record)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def encoded(record: Mapping[str, object]) -> str:
    """Return ``record`` as JSON in one line that is not too long to be kept whole."""
    text = _json(record)
    for limit in _LIMITS:
        if _fits(text):
            return text
        text = _json({key: _shortened(value, limit) for key, value in record.items()})
    if _fits(text):
        return text
    kept = {key: record[key] for key in _FIRST if key in record}
    return _json({key: _shortened(value, _LIMITS[-1]) for key, value in kept.items()})


def _fits(text: str) -> bool:
    return len(text) <= MAX_RECORD_BYTES and len(text.encode()) <= MAX_RECORD_BYTES


def _json(record: Mapping[str, object]) -> str:
    try:
        return msgspec.json.encode(record).decode()
    except (UnicodeEncodeError, OverflowError):
        plain = {key: _encodable(value) for key, value in record.items()}
        return msgspec.json.encode(plain).decode()


def _encodable(value: object) -> object:
    small = isinstance(value, int) and value.bit_length() < _INTEGER_BITS
    if small or value is None or isinstance(value, float):
        return value
    return str(value).encode(errors="backslashreplace").decode()


def _shortened(value: object, limit: int) -> object:
    """Leave out the middle: a traceback's end says more than its beginning."""
    if not isinstance(value, str) or len(value) <= limit:
        return value
    head = limit // 5
    return f"{value[:head]} […] {value[head - limit :]}"


def wrapped(
    line: str,
    now: float,
    source: Mapping[str, object],
    *,
    level: str = "warn",
    logger: str = "output",
) -> str:
    """Return what is no record (a C library's words, a crash) as one."""
    head = {"time": iso_utc(now), "level": level, **source}
    return _json({**head, "logger": logger, "message": line})


def with_source(lines: str, source: Mapping[str, object]) -> str:
    """Return JSON lines with the source in each of them."""
    fields = _json(source)[1:-1]
    return lines.replace("}\n", f",{fields}}}\n")


def readable(line: str) -> str:
    """Return a JSON record as text, with its traceback; any other line as it is."""
    record = parsed(line)
    if record is None:
        return line
    traceback = record.traceback.rstrip()
    behind = f"\n{traceback}" if traceback else ""
    head = f"{record.time} {record.level} [{record.where}]"
    return f"{head} {record.message or _own_fields(line)}{behind}"


def _own_fields(line: str) -> str:
    fields: dict[str, object] = msgspec.json.decode(line)
    return " ".join(
        f"{name}={value}"
        for name, value in fields.items()
        if name not in Record.__struct_fields__ and name not in {"role", "pid"}
    )


def as_json(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Return lines, each with its worker, as JSON records; what is one stays as it is.

    A text record takes the worker's lines behind it along: they are its traceback.
    """
    held: dict[str, Any] = {}
    for worker, line in lines:
        if held and held["worker"] == worker and not starts_record(line):
            held["message"] += f"\n{line}"
            continue
        if held:
            yield _json(held)
        held = {} if _is_json(line) else _from_text(worker, line)
        if not held:
            yield line
    if held:
        yield _json(held)


def _from_text(worker: str, line: str) -> dict[str, Any]:
    found = _TEXT.match(line)
    if found is None:
        return {"worker": worker, "message": line}
    said = {
        name: value for name, value in found.groupdict().items() if value is not None
    }
    return {**said, "worker": worker, "message": line[found.end() :]}
