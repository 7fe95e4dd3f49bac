"""Conditional requests (RFC 9110 §13); pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Final, Literal

import attrs

_TAG: Final = re.compile(r'(W/)?"([^"]*)"')
Verdict = Literal[200, 304, 412]
Headers = Mapping[str, str]


@attrs.frozen
class Validators:
    """What tells one version of something from another.

    ``etag`` is a strong one, in quotes. ``modified`` are seconds since 1970.
    """

    etag: str
    modified: int | None = None

    @property
    def last_modified(self) -> str | None:
        """Return the date as it stands in a header."""
        if self.modified is None:
            return None
        return formatdate(self.modified, usegmt=True)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that tell a client."""
        date = self.last_modified
        dated = (("Last-Modified", date),) if date else ()
        return (("ETag", self.etag), *dated)


def verdict(headers: Headers, current: Validators) -> Verdict:
    """Return the status for a GET or HEAD, in the order of §13.2.2."""
    if not _unchanged(headers, current):
        return 412
    return 304 if _known(headers, current) else 200


def _unchanged(headers: Headers, current: Validators) -> bool:
    """Whether what a client builds upon is still there."""
    tags = headers.get("if-match")
    if tags is not None:
        return _matches(tags, current.etag, weak=False)
    since = _date(headers.get("if-unmodified-since"))
    return since is None or current.modified is None or current.modified <= since


def _known(headers: Headers, current: Validators) -> bool:
    """Whether the client has this version already."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return _matches(tags, current.etag, weak=True)
    since = _date(headers.get("if-modified-since"))
    return (
        since is not None and current.modified is not None and current.modified <= since
    )


def ranges_apply(headers: Headers, current: Validators) -> bool:
    """Whether If-Range, if there is one, names this very version (§13.1.5)."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    return condition.strip() in (current.etag, current.last_modified)


def _matches(tags: str, etag: str, *, weak: bool) -> bool:
    if tags.strip() == "*":
        return True
    found = _TAG.findall(tags)
    return any((weak or not mark) and f'"{tag}"' == etag for mark, tag in found)


def _date(text: str | None) -> float | None:
    """Return seconds since 1970; None for what is no date, which is ignored."""
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
