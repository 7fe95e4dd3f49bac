"""Clients that notice everything, while a server is renewed: ``… update_clients``.

Commands: ``open``, ``take`` (what was felt since the last look), ``settle`` (say
nothing more, wait for what is due, tell what is missing).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

import uvloop

from benchmarks.drivers.exchanges import Exchange, Requests
from benchmarks.drivers.lines import Lines
from benchmarks.drivers.talkers import Talker
from benchmarks.felt import Tally

_PATIENCE_S: Final = 20.0
_REQUEST_PAUSE_S: Final = 0.02
_MESSAGE_PAUSE_S: Final = 1.0
_TELL_PAUSE_S: Final = 0.25


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
