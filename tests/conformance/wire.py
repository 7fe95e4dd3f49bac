"""Responses off the wire: read strictly, because the client here is the judge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs


class BadResponse(AssertionError):
    """What the server sent is not HTTP."""


@attrs.frozen
class Got:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        """Return a JSON body."""
        return json.loads(self.body)


def read_all(raw: bytes, *, heads: Iterable[int] = (), ended: bool = True) -> list[Got]:
    """Return the responses in ``raw``; those at ``heads`` answer a HEAD.

    ``ended`` says that the server has closed, which is how some bodies end.

    Raises:
        BadResponse: there is something that is no response.
    """
    found: list[Got] = []
    silent = set(heads)
    while raw:
        final = len([got for got in found if got.status != 100])
        got, raw = _read_one(raw, silent=final in silent, ended=ended)
        found.append(got)
    return found


def _read_one(raw: bytes, *, silent: bool, ended: bool) -> tuple[Got, bytes]:
    head, gap, rest = raw.partition(b"\r\n\r\n")
    if not gap:
        raise BadResponse(raw)
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    if version != "HTTP/1.1" or len(status) != 3:
        raise BadResponse(first)
    headers = _headers(lines)
    if silent or int(status) in (100, 204, 304):
        return Got(int(status), headers, b""), rest
    body, rest, complete = _body(headers, rest, ended=ended)
    return Got(int(status), headers, body, complete), rest


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if not colon or name != name.strip():
            raise BadResponse(line)
        headers[name.lower()] = value
    if {"content-length", "transfer-encoding"} <= set(headers):
        raise BadResponse(lines)
    return headers


def _body(
    headers: dict[str, str], rest: bytes, *, ended: bool
) -> tuple[bytes, bytes, bool]:
    if headers.get("transfer-encoding") == "chunked":
        return _chunks(rest)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return rest[:length], rest[length:], len(rest) >= length
    if headers.get("connection") != "close":
        raise BadResponse(headers)
    return rest, b"", ended


def _chunks(raw: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while raw:
        line, gap, raw = raw.partition(b"\r\n")
        size = int(line, 16)
        if size == 0:
            if raw[:2] != b"\r\n":
                raise BadResponse(raw)
            return body, raw[2:], True
        if raw[size : size + 2] != b"\r\n" or not gap:
            return body + raw[:size], b"", False
        body, raw = body + raw[:size], raw[size + 2 :]
    return body, b"", False
