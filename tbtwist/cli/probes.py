"""Clients that notice everything: for ``update --prove``.

They do what good clients do, and count whatever a user could have felt: a request
without an answer, a connection that was refused, a message that was never answered.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from itertools import count
from time import monotonic
from typing import Final, TypeVar

import attrs
import msgspec

T = TypeVar("T")

_PATIENCE_S: Final = 10.0
_LIMIT: Final = 1024 * 1024
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_SERVICE_RESTART: Final = 1012
_ASKED_TO_GO: Final = frozenset({1001, _SERVICE_RESTART})


class Broken(Exception):
    """An answer that is none."""


class _Closed(Exception):
    """The server has said goodbye."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


@attrs.define(eq=False)
class Tally:
    """What the clients of one slot went through; times in seconds."""

    sent: int = 0
    answered: int = 0
    slowest_s: float = 0.0
    gap_s: float = 0.0
    failures: Counter[str] = attrs.Factory(Counter)
    closed: Counter[str] = attrs.Factory(Counter)
    _last: float = attrs.field(factory=monotonic)

    def answer(self, began: float) -> None:
        """Count an answer to what was sent at ``began``."""
        now = monotonic()
        self.answered += 1
        self.slowest_s = max(self.slowest_s, now - began)
        self.gap_s = max(self.gap_s, now - self._last)
        self._last = now

    def goodbye(self, end: _Closed) -> None:
        """Count a connection that the server has closed; a restart is no failure."""
        self.closed[str(end.code)] += 1
        if end.code not in _ASKED_TO_GO:
            self.fail(end)

    def fail(self, error: Exception) -> None:
        """Count something that a user would have felt."""
        self.failures[f"{type(error).__name__}: {error}"[:120]] += 1


async def http_client(
    place: tuple[str, int],
    tally: Tally,
    *,
    pause_s: float,
    going_on: Callable[[], bool],
) -> None:
    """Send GETs and POSTs in turn over a connection that is kept alive."""
    connection: _Http | None = None
    number = 0
    try:
        while going_on():
            number += 1
            tally.sent += 1
            began = monotonic()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    if connection is None:
                        connection = await _Http.connect(place)
                    keep = await connection.ask(post=number % 2 == 0)
                tally.answer(began)
            except (OSError, EOFError, Broken, TimeoutError) as error:
                tally.fail(error)
                keep = False
            if not keep and connection is not None:
                connection.close()
                connection = None
            await asyncio.sleep(pause_s)
    finally:
        if connection is not None:
            connection.close()


class _Http:
    """One connection, kept alive."""

    def __init__(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, place: tuple[str, int]) -> _Http:
        reader, writer = await asyncio.open_connection(*place, limit=_LIMIT)
        return cls(f"{place[0]}:{place[1]}", reader, writer)

    async def ask(self, *, post: bool) -> bool:
        """Send a request and read its answer; return whether to keep going."""
        line = "POST /validateSession" if post else "GET /api/ping"
        head = f"{line} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: tbtwist-probe\r\n"
        body = "{}" if post else ""
        if post:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(f"{head}\r\n{body}".encode())
        await self._writer.drain()
        status, headers = _read_head(await self._reader.readuntil(b"\r\n\r\n"))
        if "content-length" in headers:
            await self._reader.readexactly(int(headers["content-length"]))
        if status >= 500:
            msg = f"the answer was {status}"
            raise Broken(msg)
        return headers.get("connection", "").lower() != "close"

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _read_head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        msg = f"the answer began with {first!r}"
        raise Broken(msg)
    fields = (line.partition(":") for line in lines if line)
    return int(parts[1]), {name.lower(): value.strip() for name, _, value in fields}


def _must_be(wanted: int, status: int) -> None:
    if status != wanted:
        msg = f"the answer was {status}"
        raise Broken(msg)


async def socket_client(
    place: tuple[str, int],
    cookie: str,
    tally: Tally,
    *,
    pause_s: float,
    going_on: Callable[[], bool],
) -> None:
    """Send numbered messages over a WebSocket; connect again when asked to go.

    What had no answer when the server said goodbye is sent again, as a good client
    does. It counts as lost only if it never gets one.
    """
    numbers = count(1)
    waiting = next(numbers)
    while going_on():
        try:
            socket = await _within_time(_Socket.connect(place, cookie))
            with closing(socket):
                while going_on():
                    tally.sent += 1
                    began = monotonic()
                    await _within_time(socket.ask(waiting))
                    tally.answer(began)
                    waiting = next(numbers)
                    await asyncio.sleep(pause_s)
        except _Closed as goodbye:
            tally.goodbye(goodbye)
        except (OSError, EOFError, Broken, TimeoutError) as error:
            tally.fail(error)
            await asyncio.sleep(pause_s)


async def _within_time(work: Awaitable[T]) -> T:
    async with asyncio.timeout(_PATIENCE_S):
        return await work


class _Socket:
    """The little of RFC 6455 that a probe needs."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, place: tuple[str, int], cookie: str) -> _Socket:
        """Open a WebSocket and wait until it is welcomed."""
        reader, writer = await asyncio.open_connection(*place, limit=_LIMIT)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws/tbtwist/probe HTTP/1.1\r\nHost: {place[0]}:{place[1]}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nCookie: {cookie}\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        socket = cls(reader, writer)
        try:
            status, _ = _read_head(await reader.readuntil(b"\r\n\r\n"))
            _must_be(101, status)
            while (await socket._hear()).get("type") != "connected":
                pass
        except BaseException:
            writer.close()
            raise
        return socket

    async def ask(self, number: int) -> None:
        """Send message ``number`` and wait for its own answer."""
        self._send(_TEXT, msgspec.json.encode({"type": "ping", "id": number}))
        while (heard := await self._hear()).get("type") != "pong":
            pass
        if heard.get("id") != number:
            msg = f"message {number} was answered as {heard.get('id')}"
            raise Broken(msg)

    async def _hear(self) -> dict[str, object]:
        """Return the next message that is a JSON object."""
        while True:
            opcode, payload = await self._frame()
            if opcode == _PING:
                self._send(_PONG, payload)
            elif opcode == _CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                self._send(_CLOSE, payload[:2])
                raise _Closed(code)
            elif opcode == _TEXT:
                found = msgspec.json.decode(payload)
                if isinstance(found, dict):
                    return found

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
        return first & 0x0F, await self._reader.readexactly(length)

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._writer.write(bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
