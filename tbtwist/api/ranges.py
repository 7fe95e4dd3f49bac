"""Which bytes a Range header asks for (RFC 9110 §14); pure."""

from __future__ import annotations

import re
from typing import Final

import attrs

_MAX_RANGES: Final = 16
_UNIT: Final = re.compile(r"\s*bytes\s*=(.*)\Z", re.IGNORECASE | re.DOTALL)
_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)\Z")


@attrs.frozen
class Span:
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Return how many bytes that is."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Return what Content-Range says about it."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


@attrs.frozen
class Unsatisfiable:
    """None of the ranges has a byte in it: 416."""


Wanted = tuple[Span, ...] | Unsatisfiable | None
"""None: the whole, because the header says nothing that we understand."""


def wanted(header: str, size: int) -> Wanted:
    """Return which of ``size`` bytes ``header`` asks for.

    Many ranges, or ranges that sum up to more than there is, are an attack more
    often than a wish; the whole is a right answer to them too (§14.2).
    """
    specs = _specs(header)
    if not specs or size == 0:
        return None
    spans = tuple(span for spec in specs if (span := _span(*spec, size)) is not None)
    if not spans:
        return Unsatisfiable()
    return spans if sum(span.length for span in spans) <= size else None


def _specs(header: str) -> list[tuple[str, str]]:
    """Return first and last position of each range; none if one is malformed."""
    found = _UNIT.match(header)
    texts = [t.strip() for t in found[1].split(",") if t.strip()] if found else []
    matches = [_SPEC.match(text) for text in texts[: _MAX_RANGES + 1]]
    specs = [(match[1], match[2]) for match in matches if match is not None]
    if len(specs) != len(texts) or any(not _is_valid(*spec) for spec in specs):
        return []
    return specs if len(specs) <= _MAX_RANGES else []


def _is_valid(first: str, last: str) -> bool:
    if not first:
        return bool(last)
    return not last or int(first) <= int(last)


def _span(first: str, last: str, size: int) -> Span | None:
    """Return the part of a range that exists."""
    if first:
        start = int(first)
        stop = min(int(last) + 1, size) if last else size
    else:
        start, stop = max(0, size - int(last)), size
    return Span(start, stop) if start < stop else None
