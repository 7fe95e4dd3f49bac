"""Many WebSocket clients that count: each numbers its messages and hears echoes.

A client whose connection ends comes back after a moment, wherever there is room,
and goes on with the first number that was not answered. What each connection
brought is kept as a `Talk`, so that a test can judge afterwards.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from benchmarks import frames
from tbtwist.services import wait

ABNORMAL: Final = 1006
MAX_UNANSWERED: Final = 32
_END_OF_HEAD: Final = b"\r\n\r\n"
_TURN_S: Final = 0.05
_TURNS: Final = 10
"""In each turn every tenth client says something: two messages a second each."""


@attrs.define(eq=False)
class Talk:
    """What one connection brought: numbers sent and heard, and how it ended.

    ``code`` is what the server closed with, `ABNORMAL` if it just went away.
    """

    port: int
    first: int
    conn_id: str = ""
    sent: int = 0
    heard: list[int] = attrs.Factory(list)
    code: int | None = None

    @property
    def answered(self) -> int:
        """Return the first number that was not answered."""
        return self.first + len(self.heard)


class Line(Protocol):
    """The bytes of one connection."""

    transport: Any

    def __init__(self, talk: Talk) -> None:
        self.ended: Deferred[None] = Deferred()
        self._talk = talk
        self._reader = frames.Reader()
        self._head = b""
        self._open = False
        self._code = ABNORMAL

    def connectionMade(self) -> None:
        """Ask for a WebSocket."""
        host = f"127.0.0.1:{self._talk.port}"
        self.transport.write(frames.handshake(host, "/ws/Chaos/count"))

    def dataReceived(self, data: bytes) -> None:
        """Take the answer to the handshake, then frames."""
        if not self._open:
            self._head, end, data = (self._head + data).partition(_END_OF_HEAD)
            self._open = bool(end) and b" 101 " in self._head
            if end and not self._open:
                self.transport.loseConnection()
        if self._open:
            for opcode, payload in self._reader.feed(data):
                self._taken(opcode, payload)

    def _taken(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.PING:
            self.transport.write(frames.client_frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self._code = int.from_bytes(payload[:2], "big")
            self.transport.write(frames.client_frame(frames.CLOSE, payload[:2]))
        elif opcode == frames.TEXT:
            self._told(json.loads(payload))

    def _told(self, message: dict[str, Any]) -> None:
        if message["type"] == "connected":
            self._talk.conn_id = message["conn_id"]
        else:
            self._talk.heard.append(message["n"])

    def say(self) -> None:
        """Send the next number, unless too many wait for their echo."""
        talk = self._talk
        if not talk.conn_id or talk.sent - len(talk.heard) >= MAX_UNANSWERED:
            return
        text = json.dumps({"n": talk.first + talk.sent}).encode()
        talk.sent += 1
        self.transport.write(frames.client_frame(frames.TEXT, text))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, in whatever way."""
        self._talk.code = self._code
        self.ended.callback(None)


class Counting:
    """One client, over one connection after another."""

    def __init__(self, reactor: Any, chance: random.Random) -> None:
        self.talks: list[Talk] = []
        self.line: Line | None = None
        self._reactor = reactor
        self._chance = chance

    @property
    def said(self) -> int:
        """Return the number that it says next."""
        return self.talks[-1].first + self.talks[-1].sent if self.talks else 0

    @property
    def answered(self) -> int:
        """Return the first number that was not answered yet."""
        return self.talks[-1].answered if self.talks else 0

    async def run(self, port: Callable[[], int | None]) -> None:
        """Connect again and again, until there is no ``port`` any more."""
        while (there := port()) is not None:
            talk = Talk(there, self.answered)
            point = TCP4ClientEndpoint(self._reactor, "127.0.0.1", there)
            try:
                line = await connectProtocol(point, Line(talk))
            except ConnectError:
                pass  # nobody listens there now
            else:
                self.talks.append(talk)
                self.line = line
                await line.ended
                self.line = None
            await wait(self._reactor, self._chance.uniform(0.05, 0.3))


class Crowd:
    """All clients, and their clockwork."""

    def __init__(self, reactor: Any, count: int, chance: random.Random) -> None:
        self.ports: Sequence[int] = ()
        self.clients = [Counting(reactor, chance) for _ in range(count)]
        self._chance = chance
        self._talking = LoopingCall(self._turn)
        self._talking.clock = reactor
        self._leaving = False
        self._turns = 0
        self._running: Deferred[Any] | None = None

    @property
    def talks(self) -> list[Talk]:
        """Return what all connections of all clients brought."""
        return [talk for client in self.clients for talk in client.talks]

    def ended(self) -> list[Talk]:
        """Return the connections that were open once and are over."""
        return [each for each in self.talks if each.conn_id and each.code is not None]

    def start(self) -> None:
        """Connect, and begin to talk."""
        runs = (Deferred.fromCoroutine(c.run(self._port)) for c in self.clients)
        self._running = gatherResults([*runs], consumeErrors=True)
        _ = self._talking.start(_TURN_S)

    def _port(self) -> int | None:
        return None if self._leaving else self._chance.choice(self.ports)

    def _turn(self) -> None:
        self._turns += 1
        for client in self.clients[self._turns % _TURNS :: _TURNS]:
            if client.line is not None:
                client.line.say()

    def quieten(self) -> None:
        """Say nothing more."""
        if self._talking.running:
            self._talking.stop()

    async def leave(self) -> None:
        """Drop all connections, and stay away."""
        self.quieten()
        self._leaving = True
        for client in self.clients:
            if client.line is not None:
                client.line.transport.abortConnection()
        if self._running is not None:
            await self._running

    def mark(self) -> Callable[[], Deferred[bool]]:
        """Return what tells whether everybody got an answer to something said later."""
        marks = [client.said for client in self.clients]

        async def passed() -> bool:
            return all(
                client.answered > mark
                for client, mark in zip(self.clients, marks, strict=True)
            )

        return lambda: Deferred.fromCoroutine(passed())

    async def all_answered(self) -> bool:
        """Whether nobody waits for an answer."""
        return all(client.answered == client.said for client in self.clients)
