"""Many WebSocket clients in one process: ``… ws_clients PORT PATH``.

Protocols on uvloop with frames made beforehand, so that the server is what is
measured. Commands: ``open``, ``echo``, ``pace``, ``close``.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any, Final

import uvloop
from typing_extensions import override

from benchmarks import frames
from benchmarks.drivers.events import BODY
from benchmarks.drivers.lines import Lines
from benchmarks.measures import percentile

_NOTE: Final = frames.client_frame(frames.TEXT, BODY)
_NEWS: Final = frames.client_frame(frames.TEXT, b"!" + BODY)
_AT_ONCE: Final = 50
_END_OF_HEAD: Final = b"\r\n\r\n"


class Client(asyncio.Protocol):
    """One connection; ``on_echo`` is called for every message that comes back."""

    transport: asyncio.Transport

    def __init__(self, host: str, path: str, on_lost: Callable[[], None]) -> None:
        self._request = frames.handshake(host, path)
        self._reader = frames.Reader()
        self._head = b""
        self._on_lost = on_lost
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_echo: Callable[[Client], None] = lambda _: None
        self.sent_at: deque[float] = deque()

    @override
    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self.transport = transport
        transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        """Take an echo, or what remains of the handshake."""
        if not self.opened.done():
            data = self._shake_hands(data)
        for opcode, payload in self._reader.feed(data):
            if opcode == frames.TEXT:
                self.on_echo(self)
            elif opcode == frames.PING:
                self.transport.write(frames.client_frame(frames.PONG, payload))

    def _shake_hands(self, data: bytes) -> bytes:
        head, end, rest = (self._head + data).partition(_END_OF_HEAD)
        if not end:
            self._head = head
        elif b" 101 " in head.partition(b"\r\n")[0]:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(ConnectionError(head.decode("latin-1")))
        return rest

    @override
    def connection_lost(self, error: Exception | None) -> None:
        """Tell the crowd."""
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("closed at once"))
        self._on_lost()

    def send(self) -> None:
        """Send the message."""
        self.transport.write(_NOTE)

    def tell_all(self) -> None:
        """Send the message that is for all."""
        self.transport.write(_NEWS)


class Crowd:
    """All clients of this process, and what can be done with them."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self._clients: list[Client] = []
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._lost = 0

    def _lose(self) -> None:
        self._lost += 0 if self._closing else 1

    async def _connect(self, path: str) -> Client:
        host = f"127.0.0.1:{self._port}"
        _, client = await self._loop.create_connection(
            lambda: Client(host, path or self._path, self._lose),
            "127.0.0.1",
            self._port,
        )
        await client.opened
        return client

    async def open(self, count: int, path: str = "") -> dict[str, Any]:
        """Open ``count`` connections, some at a time."""
        self._closing = False
        began = perf_counter()
        for start in range(0, count, _AT_ONCE):
            some = min(_AT_ONCE, count - start)
            self._clients += await asyncio.gather(
                *(self._connect(path) for _ in range(some))
            )
        return {"per_second": count / (perf_counter() - began)}

    async def close(self) -> dict[str, Any]:
        """Drop all connections."""
        self._closing = True
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()
        return {}

    async def echo(self, seconds: float) -> dict[str, Any]:
        """Let every client send again as soon as its message has come back."""
        count = 0

        def again(client: Client) -> None:
            nonlocal count
            count += 1
            client.send()

        for client in self._clients:
            client.on_echo = again
            client.send()
        await asyncio.sleep(seconds / 5)  # until all are at it
        before, began, worked = count, perf_counter(), process_time()
        await asyncio.sleep(seconds)
        took = perf_counter() - began
        result = {
            "per_second": (count - before) / took,
            "client_load": (process_time() - worked) / took,
        }
        await self._quieten()
        return {**result, "lost": self._lost, "count": count + len(self._clients)}

    async def _quieten(self) -> None:
        """Wait until every client has got its last message back."""
        waiting = set(self._clients)
        over = self._loop.create_future()

        def last(client: Client) -> None:
            waiting.discard(client)
            if not (waiting or over.done()):
                over.set_result(None)

        for client in self._clients:
            client.on_echo = last
        await asyncio.wait_for(over, 30)

    async def fan_out(self, seconds: float) -> dict[str, Any]:
        """Let the first client tell all, again when all have heard."""
        count = heard = 0
        first = self._clients[0]

        def told(_: Client) -> None:
            nonlocal count, heard
            count += 1
            heard += 1
            if heard == len(self._clients):
                heard = 0
                first.tell_all()

        for client in self._clients:
            client.on_echo = told
        first.tell_all()
        await asyncio.sleep(seconds / 5)
        before, began, worked = count, perf_counter(), process_time()
        await asyncio.sleep(seconds)
        took = perf_counter() - began
        result = {
            "per_second": (count - before) / took,
            "client_load": (process_time() - worked) / took,
        }
        first.tell_all = lambda: None  # type: ignore[method-assign]
        while heard:
            await asyncio.sleep(0.01)
        del first.tell_all
        return {**result, "lost": self._lost, "count": count}

    async def pace(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send ``rate`` messages a second over all clients; return round trips."""
        trips_ms: list[float] = []

        def came_back(client: Client) -> None:
            trips_ms.append((perf_counter() - client.sent_at.popleft()) * 1e3)

        clients = self._clients[:20]
        for client in clients:
            client.on_echo = came_back
            client.sent_at.clear()
        total = max(1, round(rate * seconds))
        began = self._loop.time()
        for turn in range(total):
            await asyncio.sleep(began + turn / rate - self._loop.time())
            client = clients[turn % len(clients)]
            client.sent_at.append(perf_counter())
            client.send()
        while len(trips_ms) < total:
            await asyncio.sleep(0.01)
        return {"p50_ms": percentile(trips_ms, 50), "p99_ms": percentile(trips_ms, 99)}


async def main(port: int, path: str) -> None:
    """Obey until the end."""
    crowd = Crowd(port, path)
    await Lines(
        {
            "open": crowd.open,
            "close": crowd.close,
            "echo": crowd.echo,
            "pace": crowd.pace,
            "fan_out": crowd.fan_out,
        }
    ).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
