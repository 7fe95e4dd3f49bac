"""The text of Server-Sent Events, as ToolBoxV2's clients know it (R1.4).

A stream begins with ``stream_start`` and ends with ``stream_end``; in between, a
mapping with the key ``event`` names its event, anything else is data alone.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from twisted.logger import Logger

from tbtwist.apps.encoding import to_json
from tbtwist.errors import TbtwistError

_log = Logger()
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FORMATTED: Final = re.compile(r"(data|event):.*\n\n", re.DOTALL)
FAILED: Final = "Internal error"


async def events(items: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    """Yield the text of each item, with what belongs before and after it.

    An exception of the application is logged and becomes an ``error`` event, which
    says no more about it than any other answer would.
    """
    yield event({"event": "stream_start", "data": {"id": "0"}})
    try:
        async with aclosing(items):
            async for item in items:
                yield event(item)
    except Exception as error:  # noqa: BLE001 - the application's
        _log.failure("a stream of events failed")
        message = str(error) if isinstance(error, TbtwistError) else FAILED
        yield event({"event": "error", "data": {"message": message, "traceback": ""}})
    yield event({"event": "stream_end", "data": {"id": "final"}})


def event(item: object) -> bytes:
    """Return one event; text that is one already stays as it is."""
    if isinstance(item, bytes):
        try:
            return event(item.decode("utf-8"))
        except UnicodeDecodeError:
            return b"event: binary\ndata: " + base64.b64encode(item) + b"\n\n"
    if isinstance(item, str) and _FORMATTED.match(item):
        return item.encode("utf-8", "replace")
    text = item if isinstance(item, str) else _dumped(item)
    fields = _object(text)
    lines = _named(fields, text) if "event" in fields else _data(text)
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _named(fields: Mapping[str, Any], text: str) -> list[str]:
    name, number = fields["event"], fields.get("id")
    payload = fields.get("data", text) if "data" in fields else text
    if isinstance(payload, dict | list):
        payload = json.dumps(payload)
    lines = [f"event: {_line(name)}"] if name else []
    if number is not None:
        lines.append(f"id: {_line(number)}")
    return [*lines, *_data(str(payload))]


def _data(text: str) -> list[str]:
    lines = _LINE_END.split(text)
    if lines[-1] == "":
        lines.pop()
    return [f"data: {line}" for line in lines]


def _line(value: object) -> str:
    """Return text that cannot start another field."""
    return _LINE_END.sub(" ", str(value))


def _dumped(value: object) -> str:
    """Return JSON as ToolBoxV2 spaces it."""
    return json.dumps(json.loads(to_json(value)))


def _object(text: str) -> Mapping[str, Any]:
    """Return the JSON object that ``text`` is, or an empty one."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
