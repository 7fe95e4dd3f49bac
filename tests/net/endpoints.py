"""One server and its peers: the same tests over Twisted's transports and ours."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - the runner's own reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tbtwist.net.endpoint import LoopPort
from tbtwist.net.listening import bind_tcp, port_of, serve
from tbtwist.net.surroundings import DEFAULT_LIMITS, Limits
from tbtwist.services import wait

REACTOR: Any = reactor
HAS_LOOP = hasattr(reactor, "_asyncioEventloop")
"""Whether this run's reactor can have our transports at all."""
PATIENCE_S = 20
KERNEL_BYTES = 512 * 1024
"""More than what two small socket buffers hold."""


async def until(reached: Callable[[], bool]) -> None:
    """Wait for something that has to happen."""
    deadline = REACTOR.seconds() + PATIENCE_S
    while not reached():
        if REACTOR.seconds() > deadline:
            raise AssertionError("it did not happen")
        await wait(REACTOR, 0.001)


async def turns(count: int = 5) -> None:
    """Let the reactor turn some times."""
    for _ in range(count):
        await wait(REACTOR, 0)


class Recorder(Protocol):
    """Writes down what happens to it; does what the test told the factory."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: list[Failure] = []
        self.events: list[str] = []

    @property
    def wire(self) -> Any:
        """Return the transport."""
        return self.transport

    def connectionMade(self) -> None:
        """Do what the test wants."""
        self.events.append("made")
        self.recorders.on_made(self)

    @property
    def recorders(self) -> Recorders:
        """Return the factory."""
        assert isinstance(self.factory, Recorders)
        return self.factory

    def dataReceived(self, data: bytes) -> None:
        """Keep it, and do what the test wants."""
        self.received += data
        self.recorders.on_data(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.lost.append(reason)
        self.events.append("lost")
        self.recorders.on_lost(self)


def nothing(*_: object) -> None:
    """Do nothing."""


class Recorders(ServerFactory):
    """Makes recorders, and remembers them."""

    noisy = False
    protocol: Any = Recorder

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.started: list[str] = []
        self.on_made: Callable[[Any], object] = nothing
        self.on_data: Callable[[Any, bytes], object] = nothing
        self.on_lost: Callable[[Any], object] = nothing

    def startFactory(self) -> None:
        """Take note."""
        self.started.append("start")

    def stopFactory(self) -> None:
        """Take note."""
        self.started.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        """Make one."""
        made = super().buildProtocol(addr)
        self.made.append(made)
        return made


class Peer:
    """A client with a plain socket, as slow as the test wants it."""

    def __init__(self, port: int, *, buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.received = bytearray()
        self.ended: str = ""

    def send(self, data: bytes) -> None:
        """Send a little."""
        self.socket.send(data)

    async def send_all(self, data: bytes) -> None:
        """Send much, as fast as it is taken."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                await wait(REACTOR, 0.001)

    def read(self) -> bool:
        """Read what is there; return whether there was something."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            self.ended = "reset"
            return False
        self.received += data
        if not data:
            self.ended = "end"
        return bool(data)

    async def read_until(self, reached: Callable[[], bool]) -> None:
        """Read on until something is reached."""

        def read_and_look() -> bool:
            while self.read():
                pass
            return reached()

        await until(read_and_look)

    async def read_bytes(self, count: int) -> bytes:
        """Read until there are ``count`` bytes in all, and return them."""
        await self.read_until(lambda: len(self.received) >= count or bool(self.ended))
        return bytes(self.received)

    async def read_to_end(self) -> bytes:
        """Read until the connection has ended, and return everything."""
        await self.read_until(lambda: bool(self.ended))
        return bytes(self.received)

    def finish_sending(self) -> None:
        """Half-close."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def reset(self) -> None:
        """Leave without a word."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


class Over:
    """What a test of either transport has."""

    timeout = 60
    limits = DEFAULT_LIMITS

    def setUp(self) -> None:
        """Listen, with small buffers in the kernel."""
        self.listener = bind_tcp("127.0.0.1", 0, backlog=50, what="a test")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.factory = Recorders()
        self.port: Any = self.listen(self.factory)
        self.peers: list[Peer] = []
        self.case.addCleanup(lambda: Deferred.fromCoroutine(self.clean_up()))

    @property
    def case(self) -> TestCase:
        """Return this as the test case that it is mixed into."""
        assert isinstance(self, TestCase)
        return self

    def listen(self, factory: Any) -> Any:
        """Return a port that serves ``factory``."""
        raise NotImplementedError

    async def clean_up(self) -> None:
        """Stop, and see that every connection has ended."""
        for peer in self.peers:
            peer.close()
        await maybeDeferred(self.port.stopListening)
        self.listener.close()
        for made in self.factory.made:
            if made.transport is not None and not made.lost:
                made.transport.abortConnection()
        await until(lambda: all(made.lost for made in self.factory.made))
        self.case.assertEqual(
            [made.events for made in self.factory.made if made.events[1:] != ["lost"]],
            [],
        )

    def peer(self, *, buffer_bytes: int = 0) -> Peer:
        """Connect."""
        peer = Peer(port_of(self.listener), buffer_bytes=buffer_bytes)
        self.peers.append(peer)
        return peer

    async def connected(self, *, buffer_bytes: int = 0) -> tuple[Peer, Any]:
        """Return a peer, and the recorder at the server's end."""
        before = len(self.factory.made)
        peer = self.peer(buffer_bytes=buffer_bytes)
        await until(lambda: bool(self.factory.made[before:]))
        await until(lambda: bool(self.factory.made[before].events))
        return peer, self.factory.made[before]

    async def lost(self, recorder: Any) -> Failure:
        """Wait for the end of a connection and return why it ended."""
        await until(lambda: bool(recorder.lost))
        reason: Failure = recorder.lost[0]
        return reason


class OverStock(Over):
    """Twisted's own transports."""

    def listen(self, factory: Any) -> Any:
        """Listen as Twisted does."""
        return REACTOR.adoptStreamPort(
            self.listener.fileno(), self.listener.family, factory
        )


class OverLoop(Over):
    """Ours."""

    def listen(self, factory: Any, limits: Limits | None = None) -> LoopPort:
        """Listen as `serve` does on a reactor with a loop."""
        port = serve(
            REACTOR, self.listener, factory, backlog=50, limits=limits or self.limits
        )
        assert isinstance(port, LoopPort)
        return port
