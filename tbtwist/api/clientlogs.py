"""What pages in browsers report about themselves (``POST /api/client-logs``).

Anybody can send anything here. So it is little at a time, seldom, cut short, and
written down as data: no value can look like a line of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
from twisted.logger import Logger, LogLevel

from tbtwist.api.failures import failure
from tbtwist.api.rates import RateLimit
from tbtwist.api.request import Request
from tbtwist.api.response import Response, json_response
from tbtwist.errors import Refused

_log = Logger(namespace="tbtwist.client")
_audit = Logger(namespace="tbtwist.client.audit")

MAX_ENTRIES: Final = 200
MAX_BYTES: Final = 64 * 1024
MAX_CHARS: Final = 1000
_LEVELS: Final[Mapping[str, Any]] = {
    "DEBUG": LogLevel.debug,
    "INFO": LogLevel.info,
    "WARN": LogLevel.warn,
    "WARNING": LogLevel.warn,
    "ERROR": LogLevel.error,
}
_FIELDS: Final = (
    "message",
    "timestamp",
    "url",
    "source",
    "action",
    "resource",
    "status",
    "details",
)


@attrs.frozen
class ClientLogs:
    """Takes the reports; each address may send ten at once, then one in 2 s."""

    _now: Callable[[], float]
    _rate: RateLimit = attrs.field(factory=lambda: RateLimit(per_s=0.5, burst=10))

    async def take(self, request: Request) -> Response:
        """Write down what the body reports, up to 200 entries."""
        if not self._rate.allows(request.client_ip, self._now()):
            return failure(429, "Too many reports", (("Retry-After", "2"),))
        entries = _entries(request)
        for entry in entries:
            _write(entry, request.client_ip)
        return json_response({"status": "ok", "ingested": len(entries)})


def _entries(request: Request) -> list[Mapping[str, Any]]:
    if len(request.parsed.raw) > MAX_BYTES:
        raise Refused(413, f"Reports are larger than {MAX_BYTES} bytes")
    body = request.parsed.json
    logs = body.get("logs", []) if isinstance(body, Mapping) else None
    if not isinstance(logs, list):
        raise Refused(400, 'Expected a JSON object {"logs": [...]}')
    return [entry for entry in logs[:MAX_ENTRIES] if isinstance(entry, Mapping)]


def _write(entry: Mapping[str, Any], client: str) -> None:
    level = str(entry.get("level", "INFO")).upper()
    audit = entry.get("type") == "audit" or level == "AUDIT"
    facts = {name: _short(entry[name]) for name in _FIELDS if name in entry}
    (_audit if audit else _log).emit(
        _LEVELS.get(level, LogLevel.info),
        "{client}: {facts!r}",
        client=client,
        facts=facts,
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + "…"
