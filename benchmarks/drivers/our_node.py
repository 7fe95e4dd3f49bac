"""A process on our bus: ``… our_node SLOT DIRECTORY``.

``http-1`` receives, handles and answers; ``ws-1`` takes commands: ``publish``,
``forward``, ``call``, ``calls``.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from twisted.internet.defer import Deferred

from benchmarks.drivers import events
from benchmarks.drivers.flow import (
    IN_FLIGHT_PER_KEY,
    KEYS,
    STEP,
    Flow,
    one_by_one,
    side_by_side,
)
from benchmarks.drivers.lines import Command, Lines
from tbtwist.boundaries import EventBus, IncomingCall, Lane, LaneEvents
from tbtwist.events import Delivery, Item, Publication
from tbtwist.identity import WorkerId, new_conn_id
from tbtwist.net.runtime import ensure_private
from tbtwist.uvreactor import install_best


class Receiver:
    """Counts publications, sends every delivery back, answers calls."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._seen = 0
        bus.subscribe(events.TOPIC, self._published)
        bus.on_delivery(self._delivered)
        bus.serve(events.QUESTION, self._asked)

    def _published(self, publication: Publication) -> None:
        if publication.item.event.payload["channel"]:
            self._seen += 1
        if self._seen % STEP == 0:
            self._bus.publish(events.SEEN, events.count(self._seen))

    async def _delivered(self, delivery: Delivery) -> Sequence[Item]:
        return [delivery.item]

    async def _asked(self, call: IncomingCall) -> object:
        return call.payload


class Sender:
    """Makes the load."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._flow = Flow()
        self._keys = [
            new_conn_id(bus.identity, secrets.token_bytes) for _ in range(KEYS)
        ]
        self._handled = 0
        self._going = False
        self._on_the_way = 0
        self._lanes: list[Lane] = []
        bus.subscribe(events.SEEN, self._saw)

    def _saw(self, publication: Publication) -> None:
        self._flow.saw(int(publication.item.event.payload["seen"]))

    async def publish(self, seconds: float) -> dict[str, float]:
        """Publish as fast as the receiver takes it."""

        async def step() -> None:
            for _ in range(STEP):
                self._bus.publish(events.TOPIC, events.news())

        return await self._flow.pump(seconds, step)

    async def forward(self, seconds: float) -> dict[str, float]:
        """Keep some items of every key on the way."""
        if not self._lanes:
            self._lanes = [self._open(number) for number in range(KEYS)]
        self._going = True
        began, before = perf_counter(), self._handled
        for number in range(KEYS):
            for _ in range(IN_FLIGHT_PER_KEY):
                self._forward(number)
        await asyncio.sleep(seconds)
        rate = (self._handled - before) / (perf_counter() - began)
        self._going = False
        while self._on_the_way:
            await asyncio.sleep(0.01)
        return {"per_second": rate, "count": self._handled - before}

    def _open(self, number: int) -> Lane:
        def on_replies(items: Sequence[Item]) -> None:
            self._handled += len(items)
            self._on_the_way -= len(items)
            if self._going:
                for _ in items:
                    self._forward(number)

        return self._bus.open_lane(
            self._keys[number], LaneEvents(on_replies, lambda: None)
        )

    def _forward(self, number: int) -> None:
        self._on_the_way += 1
        self._lanes[number].forward(events.news())

    def _ask(self) -> Awaitable[object]:
        answer = self._bus.call("http", events.QUESTION, {"a": 1}, timeout_s=10)
        return answer.asFuture(asyncio.get_running_loop())

    async def call(self, seconds: float) -> dict[str, float]:
        """Ask one question at a time."""
        return await one_by_one(seconds, self._ask)

    async def calls(self, seconds: float) -> dict[str, float]:
        """Ask a hundred at a time."""
        return await side_by_side(seconds, self._ask, KEYS)


async def _main(reactor: Any, slot: str, directory: str) -> None:
    from tbtwist.bus.endpoints import Endpoints  # noqa: PLC0415 - after the reactor
    from tbtwist.bus.zeromq import ZmqBus  # noqa: PLC0415 - it pulls in a reactor

    ensure_private(Path(directory))
    identity = WorkerId.new(slot, 0, secrets.token_bytes)
    bus = ZmqBus(reactor, identity, Endpoints.inside(Path(directory)))
    commands: dict[str, Command] = {}
    if slot == "http-1":
        Receiver(bus)
    else:
        sender = Sender(bus)
        commands = {
            "publish": sender.publish,
            "forward": sender.forward,
            "call": sender.call,
            "calls": sender.calls,
        }
    await bus.connect().asFuture(asyncio.get_running_loop())
    bus.announce(ready=True)
    await Lines(commands).serve()


def run(slot: str, directory: str) -> None:
    """Run the reactor until the end."""
    install_best()
    from twisted.internet import reactor  # noqa: PLC0415 - after it was installed

    running: Any = reactor

    def start() -> None:
        work = asyncio.ensure_future(_main(running, slot, directory))
        ending: Deferred[None] = Deferred.fromFuture(work)
        _ = ending.addErrback(lambda failure: failure.printTraceback())
        _ = ending.addBoth(lambda _: running.stop())

    running.callWhenRunning(start)
    running.run()


if __name__ == "__main__":
    run(*sys.argv[1:])
