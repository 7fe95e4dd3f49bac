"""HTTP over a connection that is kept alive, and what is asked there."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import attrs
from typing_extensions import override

from benchmarks.pacing import AnswerReader

_PATIENCE_S: Final = 20.0
_END_OF_HEAD: Final = b"\r\n\r\n"


class Exchange(asyncio.Protocol):
    """A connection for one HTTP request after another."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._head = b""
        self.closed = False

    @override
    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(_PATIENCE_S):
            return await self._answer

    @override
    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        self._head = (self._head + data)[:1024]
        try:
            found = self._reader.feed(data)
        except ValueError as error:
            self._fail(error)
            return
        if found is not None and self._answer is not None:
            head = self._head.partition(_END_OF_HEAD)[0].lower()
            self.closed |= b"\r\nconnection: close" in head
            self._head = b""
            if not self._answer.done():
                self._answer.set_result(found)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more can be asked here; what was asked has failed."""
        self.closed = True
        self._fail(exc or ConnectionError("closed instead of an answer"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


@attrs.frozen
class Requests:
    """What HTTP clients send: in turns, each with what its answer has in it."""

    port: int
    cookie: str
    function: str

    def get(self, number: int) -> tuple[bytes, bytes]:
        """Return a GET and a part of its answer."""
        head = self._head(f"GET {self.function}?name=n{number} HTTP/1.1")
        return f"{head}\r\n".encode(), f'"n{number}"'.encode()

    def post(self, number: int) -> tuple[bytes, bytes]:
        """Return a POST and a part of its answer."""
        return self.posted(
            self.function, {"name": f"n{number}"}
        ), f'"n{number}"'.encode()

    def posted(self, path: str, value: object) -> bytes:
        """Return a POST of ``value``."""
        body = json.dumps(value)
        head = self._head(f"POST {path} HTTP/1.1")
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"{head}{more}\r\n{body}".encode()

    def _head(self, line: str) -> str:
        return f"{line}\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {self.cookie}\r\n"
