"""Publications: exact topics, numbered by their publisher, gaps counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs
from twisted.logger import Logger

from tbtwist.boundaries import PublicationHandler
from tbtwist.bus.codec import (
    Verb,
    decode_number,
    decode_route,
    encode_number,
    encode_route,
    only,
    pack,
    unpack,
)
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import BadFrame
from tbtwist.events import Item, Publication

_log = Logger()

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

    def missed(self, origin: str, topic: str, number: int) -> int:
        """Take ``number``; return how many are missing between it and the last."""
        last = self._last.get((origin, topic), number - 1)
        self._note(origin, topic, number)
        return max(0, number - last - 1)

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
        """As `EventBus.publish`."""
        name = encode_topic(topic)
        header, body = pack(item)
        self._around.traffic.given += 1
        number = encode_number(self._sent.next(self._identity, topic))
        route = encode_route(Verb.PUBLISH, "", self._identity, number)
        if not self._wire.publish((name, route, header, body)):
            self._around.counters["publication: not sent"] += 1

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
        """Give a publication to those who subscribed to its topic."""
        name, about, header, body = only(frames, 4)
        self._around.traffic.taken += 1
        topic, route = decode_topic(name), decode_route(about)
        handlers = tuple(self._subscribed.get(topic, ()))
        missed = self._seen.missed(route.origin, topic, decode_number(route.rest))
        if missed:
            self._around.counters[f"publication: missed {topic}"] += missed
        publication = Publication(topic, unpack((header, body)), missed)
        for subscription in handlers:
            self._give(subscription, publication)

    def _give(self, subscription: Subscribed, publication: Publication) -> None:
        try:
            subscription.handler(publication)
        except Exception:  # noqa: BLE001 - the other subscribers get it as well
            _log.failure("a subscriber of {topic} failed", topic=publication.topic)
