"""The bus as a worker sees it, over any engine.

`BusCore` implements `EventBus` over a `Wire`. It announces itself to the broker
and beats every second; the broker's table, which comes as often, is its
heartbeat. The parts: `Forwards` and `Sends` (what we send on lanes),
`Deliveries` and `Receptions` (what we get), `Calls`, `Topics`.

A new boot id in the table means that the broker has been restarted: everything
unacknowledged is sent again as soon as its destination is back in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from tbtwist.boundaries import (
    BusFigures,
    CallHandler,
    DeliveryHandler,
    LaneEvents,
    OriginLostHandler,
    PublicationHandler,
    SendHandler,
)
from tbtwist.bus.arrivals import Arrivals, Taker, acknowledgements_to, parcels_to
from tbtwist.bus.calls import Calls
from tbtwist.bus.codec import (
    Route,
    Verb,
    decode_route,
    encode_route,
    only,
)
from tbtwist.bus.config import BusConfig
from tbtwist.bus.figures import figures_of
from tbtwist.bus.incoming import Deliveries, Receptions
from tbtwist.bus.lane import Budget
from tbtwist.bus.link import Link, LinkEvents
from tbtwist.bus.outgoing import ForwardLane, Forwards, Sends
from tbtwist.bus.shortcuts import NoShortcuts, Shortcuts
from tbtwist.bus.table import Change
from tbtwist.bus.topics import Subscribed, Topics
from tbtwist.bus.wire import Outbox, Surroundings, Wire
from tbtwist.errors import BadFrame
from tbtwist.events import Item
from tbtwist.identity import WorkerId
from tbtwist.services import wait_until_twice
from tbtwist.tracing import Trace


class BusCore:
    """`EventBus` over a `Wire`. ``counters`` counts every drop by its reason."""

    def __init__(
        self,
        clock: IReactorTime,
        identity: WorkerId,
        wire: Wire,
        config: BusConfig,
        shortcuts: Shortcuts | None = None,
        counters: Counter[str] | None = None,
    ) -> None:
        name = str(identity)
        outbox = Outbox(clock, wire, name, counters)
        around = self._around = Surroundings(
            clock, name, config, wire, outbox, counters=outbox.counters
        )
        budget = self._budget = Budget(config.total_bytes)
        outbox.on_refused = self._not_taken
        self._identity = identity
        self._forwards = Forwards(around, budget)
        self._sends = Sends(around, budget)
        self._deliveries = Deliveries(around)
        self._receptions = Receptions(around)
        self._shortcuts = shortcuts or NoShortcuts()
        self._calls = Calls(around, self._shortcuts)
        self._topics = Topics(around)
        events = LinkEvents(
            self._load, lambda: self._shortcuts.open, self._changed, self._tick
        )
        self._link = Link(around, self._topics, events)
        self._open = self._leaving = False
        self._left: Deferred[None] = Deferred()
        self._fenced: Callable[[], None] | None = None
        self._arrivals = Arrivals(
            self._takers(), around.counters, around.table.has_buried
        )

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, refused or sent again, by reason."""
        return self._around.counters

    def _load(self) -> int:
        """Return how much we have to do, in things that are being handled."""
        return self._deliveries.load + self._calls.answering

    # --- lifetime

    @property
    def identity(self) -> WorkerId:
        """As `EventBus.identity`."""
        return self._identity

    @property
    def connected(self) -> bool:
        """As `EventBus.connected`."""
        return self._link.connected

    def colleagues(self, role: str) -> int:
        """As `EventBus.colleagues`."""
        return self._around.table.count(role)

    def figures(self) -> BusFigures:
        """As `EventBus.figures`."""
        books = (self._forwards, self._sends)
        parts = self._around, books, self._budget, self._deliveries, self._calls
        return figures_of(*parts)

    def connect(self) -> Deferred[None]:
        """As `EventBus.connect`."""
        self._around.wire.open(self._received, self._published)
        self._shortcuts.begin(self._asked_directly, self._received)
        self._open = True
        self._topics.open()
        return self._link.open()

    def announce(self, *, ready: bool) -> None:
        """As `EventBus.announce`."""
        self._link.ready = ready
        if self._open:
            self._link.hello()

    def drain(self, timeout_s: float) -> Deferred[bool]:
        """As `EventBus.drain`."""
        self.announce(ready=False)
        clock, pause_s = self._around.clock, self._around.config.echo_every_s
        return Deferred.fromCoroutine(
            wait_until_twice(clock, self._is_drained, pause_s, timeout_s)
        )

    def _is_drained(self) -> bool:
        """Whether nobody counts on us; without a broker, nobody can say so."""
        if not (self._forwards.empty and self._sends.empty):
            return False
        if self._link.is_cut_off:
            return not self._deliveries.load
        table = self._around.table
        announced = not (table.known and table.takes_keys(self._around.name))
        return announced and self._deliveries.empty

    async def published(self, timeout_s: float) -> bool:
        """Wait until what we published has passed the broker; False if it has not."""
        return await self._link.echo(timeout_s)

    def close(self) -> Deferred[None]:
        """As `EventBus.close`: say goodbye, and wait a moment for the answer."""
        self._leaving = True
        around = self._around
        if not (self._open and around.table.known):
            self._shut()
            return self._left
        around.outbox.flush()
        if self._link.ready:  # a goodbye is no death
            self.announce(ready=False)
        if not around.wire.transmit((encode_route(Verb.LEAVE, "", around.name),)):
            around.counters["goodbye not sent"] += 1
        patience = around.clock.callLater(around.config.heartbeat_s, self._shut)

        def stop_waiting(_: None) -> None:
            if patience.active():
                patience.cancel()

        _ = self._left.addCallback(stop_waiting)
        return self._left

    def _shut(self) -> None:
        """Free everything at once."""
        self._open = False
        self._link.close()
        for part in (self._deliveries, self._calls, self._forwards, self._sends):
            part.close()
        self._around.outbox.discard()
        self._shortcuts.close()
        self._around.wire.close()
        if not self._left.called:
            self._left.callback(None)

    def on_fenced(self, handler: Callable[[], None]) -> None:
        """Call ``handler`` when the broker has declared us dead: start again anew.

        The bus is closed then; its identity is never heard again.
        """
        self._fenced = handler

    # --- the verbs

    def publish(self, topic: str, item: Item) -> None:
        """As `EventBus.publish`."""
        self._topics.publish(topic, item)

    def subscribe(self, topic: str, handler: PublicationHandler) -> Subscribed:
        """As `EventBus.subscribe`."""
        return self._topics.subscribe(topic, handler, wired=self._open)

    def open_lane(self, key: str, events: LaneEvents) -> ForwardLane:
        """As `EventBus.open_lane`; ValueError if ``key`` has an open lane."""
        return self._forwards.open(key, events)

    def send(self, item: Item) -> Deferred[None]:
        """As `EventBus.send`."""
        return self._sends.send(item)

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        *,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """As `EventBus.call`."""
        return self._calls.call(target, method, payload, timeout_s, trace)

    def serve(self, method: str, handler: CallHandler) -> None:
        """As `EventBus.serve`."""
        self._calls.serve(method, handler)

    def on_delivery(self, handler: DeliveryHandler) -> None:
        """As `EventBus.on_delivery`."""
        self._deliveries.handle_with(handler)

    def on_send(self, handler: SendHandler) -> None:
        """As `EventBus.on_send`."""
        self._receptions.take_with(handler)

    def on_origin_lost(self, handler: OriginLostHandler) -> None:
        """As `EventBus.on_origin_lost`."""
        self._deliveries.tell_losses(handler)

    # --- what arrives

    def _takers(self) -> dict[Verb, Taker]:
        calls = self._calls
        return {
            Verb.TABLE: lambda _, frames: self._link.announced(only(frames, 1)[0]),
            Verb.FENCED: self._put_out,
            Verb.UNROUTABLE: self._unroutable,
            Verb.EXPECT: calls.expect,
            Verb.CALL: calls.asked,
            Verb.REPLY: calls.answered,
            Verb.REFUSED: calls.answered,
            Verb.FORWARD: parcels_to(self._deliveries),
            Verb.SEND: parcels_to(self._receptions),
            Verb.FORWARD_ACK: acknowledgements_to(self._forwards),
            Verb.SEND_ACK: acknowledgements_to(self._sends),
        }

    def _received(self, frames: Sequence[bytes]) -> None:
        """Take a message of the broker's, or an answer."""
        if self._open:
            self._arrivals.take(frames)

    def _asked_directly(self, frames: Sequence[bytes]) -> None:
        """Answer a question on the way that it came."""
        self._arrivals.guarded(self._calls.asked_directly, frames)

    def _published(self, frames: Sequence[bytes]) -> None:
        self._arrivals.guarded(self._topics.received, frames)

    def _changed(self, change: Change) -> None:
        self._calls.changed(change)
        self._deliveries.changed(change)
        self._receptions.changed(change)
        self._forwards.changed(change)
        self._sends.changed(change)

    def _tick(self, now: float) -> None:
        self._forwards.tick(now)
        self._sends.tick(now)
        if not self._link.ready:
            self._deliveries.ask_to_be_forgotten()

    def _unroutable(self, _: Route, frames: Sequence[bytes]) -> None:
        """Something of ours was not delivered; lanes try again, calls fail."""
        old = decode_route(frames[0]) if frames else None
        if old is None:
            raise BadFrame(reason="nothing said about what was unroutable")
        self.counters[f"unroutable: {old.verb.name.lower()}"] += 1
        if old.verb is Verb.CALL:
            self._calls.unroutable(only(frames[1:], 1)[0])
        else:
            self._not_taken(old.verb, old.destination)

    def _not_taken(self, verb: Verb, destination: str) -> None:
        """Let the lanes to ``destination`` send again soon what did not get there."""
        if verb is Verb.FORWARD:
            self._forwards.lost(destination)
        elif verb is Verb.SEND:
            self._sends.lost(destination)

    def _put_out(self, _: Route, frames: Sequence[bytes]) -> None:
        """The broker does not want us: as the answer to LEAVE, or for good."""
        only(frames, 0)
        self._shut()
        if not self._leaving and self._fenced is not None:
            self._fenced()
