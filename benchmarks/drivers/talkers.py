"""WebSocket clients that number what they say, and come back as tbtwist.js does."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final

import attrs
from typing_extensions import override

from benchmarks import frames
from benchmarks.felt import Listening, Numbers, Tally

_SPREAD_S: Final = 1.0
"""tbtwist.js comes back within this time when a worker restarts."""
_RESTARTED: Final = 1012
_ABNORMAL: Final = 1006
_END_OF_HEAD: Final = b"\r\n\r\n"


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
