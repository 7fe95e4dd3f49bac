"""Publications: exact topics, numbered by their publisher, gaps counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs
from twisted.logger import Logger

from tbtwist.boundaries import PublicationHandler
from tbtwist.bus.codec import (
    decode_number,
    decode_route,
    only,
)
from tbtwist.bus.news import decode_items, encode_item
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import BadFrame
from tbtwist.events import Item, Publication

_log = Logger()

MISSED: Final = "publication: missed"
"""How the counters of gaps begin; the topic follows."""
REMEMBERED: Final = 10_000
"""Topics that a publisher counts, and publishers' topics that a receiver counts."""


def encode_topic(topic: str) -> bytes:
    """Return a topic for the wire.

    ZeroMQ matches prefixes; the NUL at the end makes them whole topics.
    """
    if "\0" in topic:
        raise BadFrame(reason="a topic has no NUL")
    try:
        return topic.encode() + b"\0"
    except UnicodeEncodeError as error:
        raise BadFrame(reason="a topic is text") from error


def decode_topic(frame: bytes) -> str:
    """Read what `encode_topic` made."""
    if frame.find(b"\0") != len(frame) - 1:
        raise BadFrame(reason="a topic ends with a NUL")
    try:
        return frame[:-1].decode()
    except UnicodeDecodeError as error:
        raise BadFrame(reason="a topic is text") from error


class Sequences:
    """Last numbers by name, the least recently used forgotten beyond a bound."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()

    def next(self, origin: str, topic: str) -> int:
        """Return the next number."""
        number = self._last.get((origin, topic), 0) + 1
        self._note(origin, topic, number)
        return number

    def missed(self, origin: str, topic: str, first: int, count: int = 1) -> int:
        """Take ``count`` from ``first`` on; return how many are missing before."""
        last = self._last.get((origin, topic), first - 1)
        self._note(origin, topic, first + count - 1)
        return max(0, first - last - 1)

    def _note(self, origin: str, topic: str, number: int) -> None:
        self._last[origin, topic] = number
        self._last.move_to_end((origin, topic))
        if len(self._last) > self._bound:
            self._last.popitem(last=False)


@attrs.define(eq=False)
class Subscribed:
    """`boundaries.Subscription` to one topic."""

    topics: Topics
    topic: str
    handler: PublicationHandler

    def cancel(self) -> None:
        """As `boundaries.Subscription.cancel`."""
        self.topics.unsubscribe(self)


class Topics:
    """What we publish and what we subscribed to."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._wire = around.wire
        self._identity = around.name
        self._sent = Sequences(REMEMBERED)
        self._seen = Sequences(REMEMBERED)
        self._subscribed: dict[str, dict[Subscribed, None]] = {}

    def open(self) -> None:
        """Subscribe on the wire, which is open now."""
        for topic in self._subscribed:
            self._wire.subscribe(encode_topic(topic))

    def publish(self, topic: str, item: Item) -> None:
        """As `EventBus.publish`; it leaves at the end of the reactor's turn."""
        name, encoded = encode_topic(topic), encode_item(item)
        number = self._sent.next(self._identity, topic)
        self._around.outbox.publish(name, number, encoded)
        self._around.done["published"] += 1

    def subscribe(
        self, topic: str, handler: PublicationHandler, *, wired: bool
    ) -> Subscribed:
        """As `EventBus.subscribe`; ``wired`` when the wire is open."""
        name = encode_topic(topic)
        subscription = Subscribed(self, topic, handler)
        if topic not in self._subscribed:
            self._subscribed[topic] = {}
            if wired:
                self._wire.subscribe(name)
        self._subscribed[topic][subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscribed) -> None:
        """End a subscription, if it has not been ended."""
        topic = subscription.topic
        handlers = self._subscribed.get(topic, {})
        if handlers.pop(subscription, subscription) is None and not handlers:
            del self._subscribed[topic]
            self._wire.unsubscribe(encode_topic(topic))

    def received(self, frames: Sequence[bytes]) -> None:
        """Give publications to those who subscribed to their topic."""
        name, about, content = only(frames, 3)
        topic, route = decode_topic(name), decode_route(about)
        number, items = decode_number(route.rest), decode_items(content)
        missed = self._missed(route.origin, topic, number, len(items))
        handlers = tuple(self._subscribed.get(topic, ()))
        for item in items:
            publication = Publication(topic, item, missed, route.origin, number)
            number, missed = number + 1, 0
            for subscription in handlers:
                self._give(subscription, publication)

    def _missed(self, origin: str, topic: str, number: int, count: int) -> int:
        """Return how many are missing before these ``count``, and note the last."""
        missed = self._seen.missed(origin, topic, number, count)
        if missed:
            self._around.counters[f"{MISSED} {topic}"] += missed
        self._around.done["received"] += count
        return missed

    def _give(self, subscription: Subscribed, publication: Publication) -> None:
        try:
            subscription.handler(publication)
        except Exception:  # noqa: BLE001 - the other subscribers get it as well
            _log.failure("a subscriber of {topic} failed", topic=publication.topic)
