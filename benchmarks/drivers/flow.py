"""A stream of messages with a bounded number on the way, the same for every engine.

The receiver tells after every `STEP` messages how many it has seen. So nothing
is dropped for lack of room, and the rate is that of messages that arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from benchmarks.measures import percentile

STEP: Final = 128
WINDOW: Final = 16 * STEP
KEYS: Final = 100
IN_FLIGHT_PER_KEY: Final = 8
_PATIENCE_S: Final = 20.0


class Flow:
    """Counts what was sent and what the receiver has seen."""

    def __init__(self) -> None:
        self._sent = 0
        self._seen = 0
        self._news = asyncio.Event()

    def saw(self, seen: int) -> None:
        """Take the receiver's word."""
        self._seen = seen
        self._news.set()

    async def pump(
        self, seconds: float, send_step: Callable[[], Awaitable[None]]
    ) -> dict[str, float]:
        """Send for ``seconds``; return how many arrived, and how many a second."""
        began, before = perf_counter(), self._seen
        while perf_counter() - began < seconds:
            await send_step()
            self._sent += STEP
            await self._until_at_most(WINDOW - STEP)
            await asyncio.sleep(0)
        rate = (self._seen - before) / (perf_counter() - began)
        await self._until_at_most(0)
        return {"per_second": rate, "count": self._seen - before}

    async def _until_at_most(self, on_the_way: int) -> None:
        while self._sent - self._seen > on_the_way:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), _PATIENCE_S)


Ask = Callable[[], Awaitable[object]]


async def one_by_one(seconds: float, ask: Ask) -> dict[str, float]:
    """Ask again and again; return how long an answer takes."""
    took_ms = []
    end = perf_counter() + seconds
    while (now := perf_counter()) < end:
        await ask()
        took_ms.append((perf_counter() - now) * 1e3)
    return {
        "p50_ms": percentile(took_ms, 50),
        "p99_ms": percentile(took_ms, 99),
        "count": len(took_ms),
    }


async def side_by_side(seconds: float, ask: Ask, askers: int) -> dict[str, float]:
    """Let ``askers`` ask at the same time; return answers a second."""
    count = 0
    began = perf_counter()

    async def asker() -> None:
        nonlocal count
        while perf_counter() - began < seconds:
            await ask()
            count += 1

    await asyncio.gather(*(asker() for _ in range(askers)))
    return {"per_second": count / (perf_counter() - began), "count": count}
