"""The event that travels in the bus' benchmarks: a broadcast to a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tbtwist.events import Event, EventType, Item

BODY: Final = b'{"type":"note","text":"a message of sixty-four bytes, says Ada"}'
PAYLOAD: Final[Mapping[str, Any]] = {
    "channel": "Bench/echo",
    "exclude": [],
    "binary": False,
}
TOPIC: Final = "bench.news"
SEEN: Final = "bench.seen"
QUESTION: Final = "bench.question"


def news() -> Item:
    """Return the event and its body."""
    event = Event(type=EventType.WS_BROADCAST_CHANNEL, source="ws-1", payload=PAYLOAD)
    return Item(event, BODY)


def count(seen: int) -> Item:
    """Return how many the receiver has seen, as an event."""
    return Item(Event(type=EventType.CUSTOM, payload={"seen": seen}))
