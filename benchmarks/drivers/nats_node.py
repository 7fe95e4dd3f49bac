"""A process on NATS, with nats-py: ``… nats_node receiver|sender URL``.

The same events in the same encoding (msgpack by msgspec) as on our bus. NATS
has no reliable lane; ``forward`` is request and reply, which is neither ordered
nor sent again.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import msgspec
import uvloop

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
from tbtwist.events import Item

_nats: Any = import_module("nats")  # of the extra `bench`; without types
_decode = msgspec.msgpack.Decoder(Item).decode
_encode = msgspec.msgpack.Encoder().encode


class Receiver:
    """Counts publications, and answers questions with what was asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._seen = 0

    async def start(self) -> None:
        """Subscribe."""
        await self._connection.subscribe(events.TOPIC, cb=self._published)
        await self._connection.subscribe(events.QUESTION, cb=self._asked)
        await self._connection.flush()

    async def _published(self, message: Any) -> None:
        if _decode(message.data).event.payload["channel"]:
            self._seen += 1
        if self._seen % STEP == 0:
            await self._connection.publish(
                events.SEEN, _encode(events.count(self._seen))
            )

    async def _asked(self, message: Any) -> None:
        await message.respond(_encode(_decode(message.data)))


class Sender:
    """Makes the load."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._flow = Flow()

    async def start(self) -> None:
        """Subscribe."""
        await self._connection.subscribe(events.SEEN, cb=self._saw)
        await self._connection.flush()

    async def _saw(self, message: Any) -> None:
        self._flow.saw(int(_decode(message.data).event.payload["seen"]))

    async def publish(self, seconds: float) -> dict[str, float]:
        """Publish as fast as the receiver takes it."""

        async def step() -> None:
            for _ in range(STEP):
                await self._connection.publish(events.TOPIC, _encode(events.news()))

        return await self._flow.pump(seconds, step)

    async def _ask(self) -> Item:
        asked = _encode(events.news())
        answer = await self._connection.request(events.QUESTION, asked, timeout=10)
        return _decode(answer.data)

    async def forward(self, seconds: float) -> dict[str, float]:
        """Keep as many on the way as our lanes do."""
        return await side_by_side(seconds, self._ask, KEYS * IN_FLIGHT_PER_KEY)

    async def call(self, seconds: float) -> dict[str, float]:
        """Ask one question at a time."""
        return await one_by_one(seconds, self._ask)

    async def calls(self, seconds: float) -> dict[str, float]:
        """Ask a hundred at a time."""
        return await side_by_side(seconds, self._ask, KEYS)


async def main(role: str, url: str) -> None:
    """Connect and obey until the end."""
    connection = await _nats.connect(url)
    commands: dict[str, Command] = {}
    if role == "receiver":
        await Receiver(connection).start()
    else:
        sender = Sender(connection)
        await sender.start()
        commands = {
            "publish": sender.publish,
            "forward": sender.forward,
            "call": sender.call,
            "calls": sender.calls,
        }
    await Lines(commands).serve()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
