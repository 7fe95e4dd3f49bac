"""Clients that notice everything, while a server is renewed: ``… update_clients``.

Commands: ``open``, ``take`` (what was felt since the last look), ``settle`` (say
nothing more, wait for what is due, tell what is missing).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, Final

import attrs
import uvloop
from typing_extensions import override

from benchmarks import frames
from benchmarks.drivers.lines import Lines
from benchmarks.felt import Listening, Numbers, Tally
from benchmarks.pacing import AnswerReader

_PATIENCE_S: Final = 20.0
_REQUEST_PAUSE_S: Final = 0.02
_MESSAGE_PAUSE_S: Final = 1.0
_TELL_PAUSE_S: Final = 0.25
_SPREAD_S: Final = 1.0
"""tbtwist.js comes back within this time when a worker restarts."""
_RESTARTED: Final = 1012
_ABNORMAL: Final = 1006
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


class Line(asyncio.Protocol):
    """One WebSocket connection of a `Talker`."""

    transport: asyncio.Transport

    def __init__(self, talker: Talker, port: int) -> None:
        self._talker = talker
        self._port = port
        self._reader = frames.Reader()
        self._head: bytes | None = b""
        self.code = _ABNORMAL
        self.ready = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self.transport = transport
        path = f"/ws/Load/count?{self._talker.listening.query}"
        transport.write(frames.handshake(f"127.0.0.1:{self._port}", path))

    @override
    def data_received(self, data: bytes) -> None:
        """Take what remains of the handshake, then frames."""
        if self._head is not None:
            head, end, data = (self._head + data).partition(_END_OF_HEAD)
            if end and b" 101 " not in head.partition(b"\r\n")[0]:
                self._talker.tally.fail(ConnectionError(head[:80].decode("latin-1")))
                self.transport.close()
            self._head = None if end else head
        for opcode, payload in self._reader.feed(data if self._head is None else b""):
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT:
            self._talker.take(self, payload)
        elif opcode == frames.PING:
            self.transport.write(frames.client_frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            self.transport.write(frames.client_frame(frames.CLOSE, payload[:2]))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.ready = False
        self.ended.set_result(None)

    def say(self, client: int, number: int) -> None:
        """Send a numbered message."""
        text = json.dumps({"client": client, "n": number}).encode()
        self.transport.write(frames.client_frame(frames.TEXT, text))


@attrs.define(eq=False)
class Talker:
    """A WebSocket client that numbers what it says, and comes back."""

    name: int
    ports: Sequence[int]
    tally: Tally
    numbers: Numbers = attrs.Factory(Numbers)
    listening: Listening = attrs.Factory(Listening)
    line: Line | None = None
    in_room: asyncio.Event = attrs.Factory(asyncio.Event)
    """Set when a new token says that it has joined its channel (docs/javascript.md)."""

    async def run(self, going_on: Callable[[], bool]) -> None:
        """Connect, to whichever port, as long as there is something to do."""
        loop = asyncio.get_running_loop()
        while going_on():
            port = random.choice(self.ports)  # noqa: S311 - whichever
            try:
                _, self.line = await loop.create_connection(
                    partial(Line, self, port), "127.0.0.1", port
                )
                await self.line.ended
                if going_on():
                    self._parted(self.line.code)
            except OSError as error:
                self.tally.fail(error)
            await asyncio.sleep(random.uniform(0, _SPREAD_S))  # noqa: S311

    def _parted(self, code: int) -> None:
        self.tally.closed[str(code)] += 1
        if code != _RESTARTED:
            self.tally.fail(ConnectionError(f"a WebSocket was closed with {code}"))

    def take(self, line: Line, payload: bytes) -> None:
        """Hear something."""
        message = self.listening.take(payload)
        kind = message["type"] if message else "told"
        if message is not None and kind == "echo":
            self._answered(message["n"])
        elif message is not None and kind == "resumed" and not message["recovered"]:
            self.tally.fail(ConnectionError(f"not resumed: {message.get('reason')}"))
        elif kind in {"missed", "error"}:
            self.tally.fail(ConnectionError(str(message)))
        elif kind == "token":
            self.in_room.set()
        begins = kind == "connected" and not (message or {}).get("resuming")
        if begins or kind == "resumed":
            self._begin(line)

    def _answered(self, number: int) -> None:
        try:
            sent_at = self.numbers.answer(number)
        except ValueError as error:
            self.tally.fail(error)
        else:
            self.tally.echoed(perf_counter() - sent_at)

    def _begin(self, line: Line) -> None:
        """Say again what was not answered."""
        line.ready = True
        for number in self.numbers.unanswered:
            line.say(self.name, number)

    def say(self) -> None:
        """Say the next number if there is a connection; else it waits for one."""
        number = self.numbers.next(perf_counter())
        if self.line is not None and self.line.ready:
            self.line.say(self.name, number)


class Crowd:
    """All clients of this process."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._talkers: list[Talker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._told: list[int] = []
        self._talking = self._there = True

    async def open(
        self, http: Sequence[int], ws: Sequence[int], function: str, cookie: str,
        requesters: int, talkers: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Begin; come back when every WebSocket is in its channel."""
        self._talkers = [Talker(each, ws, self._tally) for each in range(talkers)]
        for number, talker in enumerate(self._talkers):
            self._spawn(talker.run(lambda: self._there))
            if number % 50 == 49:
                await talker.in_room.wait()
        await asyncio.gather(*(talker.in_room.wait() for talker in self._talkers))
        for number in range(requesters):
            port = http[number % len(http)]
            self._spawn(self._request(Requests(port, cookie, function)))
        if self._talkers:
            self._spawn(self._tell(Requests(http[0], cookie, function)))
            self._spawn(self._talk())
        return {}

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _request(self, requests: Requests) -> None:
        """GET and POST in turns."""
        exchange: Exchange | None = None
        number = 0
        while self._talking:
            number += 1
            request = (requests.post if number % 2 else requests.get)(number)
            exchange = await self._ask(exchange, requests.port, *request)
            await asyncio.sleep(_REQUEST_PAUSE_S)

    async def _ask(
        self, exchange: Exchange | None, port: int, request: bytes, expected: bytes
    ) -> Exchange | None:
        """Send a request, over a connection that is open; return that if it stays."""
        began = perf_counter()
        try:
            if exchange is None or exchange.closed:
                _, exchange = await asyncio.get_running_loop().create_connection(
                    Exchange, "127.0.0.1", port
                )
            status, body = await exchange.ask(request)
            if status != 200 or expected not in body:
                msg = f"answered {status}: {body[:60]!r}"
                raise ConnectionError(msg)
        except (OSError, ValueError, TimeoutError) as error:
            self._tally.fail(error)
            if exchange is not None:
                exchange.transport.abort()
            return None
        self._tally.answered(perf_counter() - began)
        return exchange

    async def _tell(self, requests: Requests) -> None:
        """Have numbers told to all; what was answered must be heard."""
        exchange: Exchange | None = None
        number = 0
        while self._talking:
            number += 1
            request = requests.posted("/api/Load/tell", {"n": number})
            exchange = await self._ask(exchange, requests.port, request, b'"told"')
            if exchange is not None:
                self._told.append(number)
            await asyncio.sleep(_TELL_PAUSE_S)

    async def _talk(self) -> None:
        """Let everybody say something every second, one after another."""
        loop = asyncio.get_running_loop()
        pause_s = _MESSAGE_PAUSE_S / len(self._talkers)
        due = loop.time()
        while self._talking:
            for talker in self._talkers:
                if self._talking:
                    talker.say()
                due += pause_s
                await asyncio.sleep(due - loop.time())

    async def take(self) -> dict[str, Any]:
        """Return what was felt since the last look."""
        return self._tally.take()

    async def settle(self) -> dict[str, Any]:
        """Say nothing more; return what was sent and what never came."""
        self._talking = False
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while self._missing():
                    await asyncio.sleep(0.05)
        lost = self._missing()
        self._there = False
        for talker in self._talkers:
            if talker.line is not None:
                talker.line.transport.abort()
        await asyncio.gather(*self._tasks)
        sent = sum(talker.numbers.last for talker in self._talkers)
        told = len(self._told) * len(self._talkers)
        return {"said": sent, "told": told, "lost": lost, **await self.take()}

    def _missing(self) -> int:
        told = set(self._told)
        unheard = sum(len(told - each.listening.told) for each in self._talkers)
        return unheard + sum(len(each.numbers.unanswered) for each in self._talkers)


async def main() -> None:
    """Obey until the end."""
    crowd = Crowd()
    await Lines(
        {"open": crowd.open, "take": crowd.take, "settle": crowd.settle}
    ).serve()


if __name__ == "__main__":
    uvloop.run(main())
