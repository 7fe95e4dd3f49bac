"""What two answers differ in, and what `docs/compatibility.md` says about that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

UNCOMPARED: Final = frozenset({"date", "content-length", "connection"})
"""Headers that say nothing of their own: the clock, the body's, the server's."""

_COOKIE_VALUE: Final = re.compile(r"(?<=^tb_session)=[^;]+")
_ROW: Final = re.compile(r"^\| `(?P<key>[a-z0-9-]+)` \|(?P<cells>.*)\|\s*$")
_HEADING: Final = re.compile(r"^#+ (?P<title>.*)$")
COMPARED: Final = "Compared, request by request"


@attrs.frozen
class Answer:
    """An HTTP answer off the wire; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def content(self, masked: frozenset[str]) -> object:
        """Return the body: JSON as its value, with ``masked`` keys' classes."""
        if self.headers.get("content-type") != "application/json" or not self.body:
            return self.body
        value: Any = json.loads(self.body)
        if isinstance(value, dict):
            names = masked & set(value)
            return {**value, **{name: type(value[name]).__name__ for name in names}}
        return value


def differences(
    real: Answer, ours: Answer, masked: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Return what differs: ``status``, ``body``, ``header NAME``."""
    found = {"status"} if real.status != ours.status else set()
    if real.content(masked) != ours.content(masked):
        found.add("body")
    for name in {*real.headers, *ours.headers} - UNCOMPARED:
        if _comparable(name, real) != _comparable(name, ours):
            found.add(f"header {name}")
    return frozenset(found)


def _comparable(name: str, answer: Answer) -> str | None:
    """Return a header; of a cookie, what is not made at random."""
    value = answer.headers.get(name)
    return _COOKIE_VALUE.sub("=…", value) if name == "set-cookie" and value else value


def listed(document: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys of all listed differences: the compared, and the others."""
    compared: set[str] = set()
    others: set[str] = set()
    section = ""
    for line in document.splitlines():
        if heading := _HEADING.match(line):
            section = heading["title"]
        elif row := _ROW.match(line):
            cells = [cell.strip() for cell in row["cells"].split("|")]
            if len(cells) != 3 or not all(cells):
                msg = f"{row['key']}: three cells, none empty: {line}"
                raise ValueError(msg)
            (compared if section == COMPARED else others).add(row["key"])
    return frozenset(compared), frozenset(others)


@attrs.define
class Ledger:
    """Holds what differs against what is claimed to differ.

    ``everywhere`` names the key for what differs in any answer, by what differs.
    """

    keys: frozenset[str]
    everywhere: Mapping[str, str]
    problems: list[str] = attrs.Factory(list)
    seen: set[str] = attrs.Factory(set)

    def enter(
        self, case: str, found: frozenset[str], claims: Mapping[str, str]
    ) -> None:
        """Take in what one request's answers differ in, and what was claimed."""
        for what in sorted(found):
            key = claims.get(what) or self.everywhere.get(what)
            if key is None:
                self.problems.append(f"{case}: {what} differs and is not listed")
            elif key not in self.keys:
                self.problems.append(f"{case}: {key!r} ({what}) is not in the document")
            else:
                self.seen.add(key)
        for what in sorted(set(claims) - found):
            self.problems.append(f"{case}: {what} does not differ ({claims[what]!r})")

    def close(self) -> list[str]:
        """Return all problems, with the listed differences that did not occur."""
        gone = sorted(self.keys - self.seen)
        return [
            *self.problems,
            *(f"{key!r} is listed and did not occur" for key in gone),
        ]
