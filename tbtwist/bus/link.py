"""A worker's standing with the broker: announced, heard, echoed.

The worker beats every second and the broker sends its table as often. Once the
table names us, we publish to ourselves until it arrives; then our subscriptions
work, and we are connected. A new boot id means that the broker was restarted:
all of this starts again.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tbtwist.bus.codec import (
    Announcement,
    Beat,
    Verb,
    decode_payload,
    encode_payload,
    encode_route,
)
from tbtwist.bus.table import Change
from tbtwist.bus.topics import Topics
from tbtwist.bus.wire import Surroundings
from tbtwist.events import Event, Item, Publication
from tbtwist.services import wait_until

_log = Logger()


@attrs.frozen
class LinkEvents:
    """What a link asks and tells.

    Our load, whether others can call us directly; what changed around us, and time
    passing.
    """

    load: Callable[[], int]
    direct: Callable[[], bool]
    changed: Callable[[Change], None]
    ticked: Callable[[float], None]


class Link:
    """Keeps us in the broker's table, and its table in ours."""

    def __init__(
        self, around: Surroundings, topics: Topics, events: LinkEvents
    ) -> None:
        self.ready = False
        self._around = around
        self._topics = topics
        self._events = events
        self._echoed = False
        self._heard_at = 0.0
        self._beating = self._looping(self._beat)
        self._echoing = self._looping(self._echo)
        self._joined: Deferred[None] | None = None

    def _looping(self, what: Callable[[], None]) -> LoopingCall:
        def guarded() -> None:
            try:
                what()
            except Exception:  # noqa: BLE001 - it would be the last beat otherwise
                _log.failure("a beat of {name} failed", name=self._around.name)

        loop = LoopingCall(guarded)
        loop.clock = self._around.clock
        return loop

    @property
    def connected(self) -> bool:
        """Whether the broker knows us and our subscriptions have been echoed."""
        return self._around.table.known and self._echoed and not self.is_cut_off

    @property
    def is_cut_off(self) -> bool:
        """Whether the broker has been silent for so long that it counts as dead."""
        silent_s = self._around.clock.seconds() - self._heard_at
        return silent_s > self._around.config.dead_after_s

    def open(self) -> Deferred[None]:
        """Begin; fires when we are connected for the first time."""
        self._topics.subscribe(self._echo_topic, self._heard_echo, wired=True)
        joined = self._joined = Deferred()
        self._heard_at = self._around.clock.seconds()
        _ = self._beating.start(self._around.config.heartbeat_s)
        return joined

    def close(self) -> None:
        """End."""
        self._around.table.known = self._echoed = False
        for loop in (self._beating, self._echoing):
            if loop.running:
                loop.stop()
        if self._joined is not None and not self._joined.called:
            self._joined.cancel()

    def hello(self) -> None:
        """Tell the broker how we are, now."""
        around = self._around
        beat = Beat(
            ready=self.ready,
            load=self._events.load(),
            buried=around.table.returned,
            direct=self._events.direct(),
        )
        route = encode_route(Verb.BEAT, "", around.name)
        if not around.wire.transmit((route, encode_payload(around.name, beat))):
            around.counters["beat not sent"] += 1

    def _beat(self) -> None:
        self._notice_silence()
        self.hello()
        self._events.ticked(self._around.clock.seconds())

    def _notice_silence(self) -> None:
        """Without the broker we are unknown, and must be echoed again."""
        around = self._around
        if around.table.known and self.is_cut_off:
            around.counters["broker lost"] += 1
            around.table.known = self._echoed = False

    @property
    def _echo_topic(self) -> str:
        return f"bus.echo/{self._around.name}"

    def _echo(self) -> None:
        event = Event(type="bus.echo", source=self._around.name)
        self._topics.publish(self._echo_topic, Item(event))

    async def echo(self, timeout_s: float) -> bool:
        """Publish to ourselves, after all that we published; False when it is lost."""
        heard: list[Publication] = []
        subscription = self._topics.subscribe(
            self._echo_topic, heard.append, wired=True
        )
        self._echo()
        clock = self._around.clock
        arrived = await wait_until(clock, lambda: bool(heard), timeout_s)
        subscription.cancel()
        return arrived

    def _heard_echo(self, _: Publication) -> None:
        if self._echoing.running:
            self._echoing.stop()
        self._echoed = self._around.table.known
        if self.connected and self._joined is not None and not self._joined.called:
            self._joined.callback(None)

    def announced(self, header: bytes) -> None:
        """Take the broker's table: its heartbeat, and the news."""
        news = decode_payload(header, Announcement)
        around, table = self._around, self._around.table
        self._notice_silence()
        self._heard_at = around.clock.seconds()
        restarted, was_known = news.boot != table.boot, table.known
        change = table.update(news)
        table.known = around.name in table.members
        if restarted or not was_known:
            self._echoed = False
            change = attrs.evolve(change, matters=True)
        if not table.known or table.returned:
            self.hello()
        if table.known and not (self._echoed or self._echoing.running):
            _ = self._echoing.start(around.config.echo_every_s)
        self._events.changed(change)
