"""A bus whose wires and workers a test holds in its hands, in simulated time.

Nothing happens by itself here but heartbeats: handlers wait until they are told
to end, a wire can be cut (what it should carry waits in it, in order) and messages
of a kind can get lost.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from typing_extensions import override

from tbtwist.boundaries import Lane, Outgoing
from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.codec import Verb, decode_route
from tbtwist.bus.config import BusConfig
from tbtwist.bus.lane import OriginLane
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.events import Delivery, Item
from tbtwist.identity import WorkerId, new_conn_id
from tests.bus.fakes import Client, item, kill

CONFIG: Final = BusConfig(
    resend_after_s=4.0,
    window_messages=4,
    window_bytes=1200,
    concurrency=3,
    max_deaths=10_000,
)
"""No number of deaths makes an item poison here, so nothing at all may be missing."""

STEP_S: Final = 0.25
_FROM_WORKERS: Final = frozenset(
    {Verb.FORWARD, Verb.FORWARD_ACK, Verb.SEND, Verb.SEND_ACK}
)


class ModelHub(MemoryHub):
    """A hub with wires that can be cut, and messages that get lost on order."""

    def __init__(self, router: RoutingTable, clock: Clock) -> None:
        super().__init__(router, clock, tick_s=STEP_S)
        self.losses: Counter[Verb] = Counter()
        self._cut: dict[bytes, list[Callable[[], object]]] = {}

    @property
    def router(self) -> RoutingTable:
        """Return the broker."""
        assert isinstance(self._router, RoutingTable)
        return self._router

    def restart(self, router: RoutingTable) -> None:
        """Let another broker take over; what is on its way is lost."""
        self._router = router
        self._queue.clear()

    def sever(self, identity: WorkerId) -> None:
        """Cut a wire: whatever it should carry waits, in order."""
        self._cut.setdefault(str(identity).encode(), [])

    def mend(self, identity: WorkerId) -> None:
        """Let a wire carry what waited."""
        for carry in self._cut.pop(str(identity).encode(), ()):
            carry()

    def drop(self, identity: WorkerId) -> None:
        """Lose what waits in a wire, with its worker."""
        self._cut.pop(str(identity).encode(), None)

    @override
    def route(self, frames: Sequence[bytes], peer: bytes | None) -> bool:
        """Bring a message to the router, unless it waits or gets lost."""
        route = decode_route(frames[0])
        held = self._cut.get(route.origin.encode())
        if held is not None:
            held.append(lambda: self.route(frames, peer))
            return True
        if self.losses[route.verb] > 0:
            self.losses[route.verb] -= 1
            return True
        return super().route(frames, peer)

    @override
    def _hand_out(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            route = decode_route(message.frames[0])
            if route.verb in _FROM_WORKERS:
                assert route.origin not in self.router._fenced, route
            self._carry(message)

    def _carry(self, message: Outgoing) -> None:
        held = self._cut.get(message.identity)
        if held is not None:
            held.append(lambda: self._carry(message))
        else:
            super()._hand_out([message])


@attrs.define(eq=False)
class Handling:
    """An item that a worker has in hand."""

    worker: str
    delivery: Delivery
    done: Deferred[None] = attrs.Factory(Deferred)


@attrs.define(eq=False)
class Talker:
    """A connection: its lane, what was said on it, and what came back."""

    bus: MemoryBus
    key: str
    said: int = 0
    closed: bool = False
    client: Client = attrs.Factory(Client)
    lane: Lane = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.lane = self.bus.open_lane(self.key, self.client.events())

    def say(self, count: int) -> None:
        """Say the next numbers."""
        for number in range(self.said, self.said + count):
            self.lane.forward(item(str(number)))
        self.said += count

    def close(self) -> None:
        """Close the lane."""
        self.closed = True
        self.lane.close()

    @property
    def alive(self) -> bool:
        """Whether the process that it belongs to lives."""
        return self.bus._open

    @property
    def heard(self) -> list[int]:
        """Return what came back."""
        return [int(reply) for reply in self.client.replies.things]


@attrs.define(eq=False)
class Sent:
    """What was sent to one connection by one worker, and what became of each."""

    bus: MemoryBus
    owner: MemoryBus
    conn_id: str
    count: int = 0
    taken: list[int] = attrs.Factory(list)
    failed: list[int] = attrs.Factory(list)
    confirmed: list[int] = attrs.Factory(list)

    def send(self) -> None:
        """Send the next number."""
        number = self.count
        self.count += 1
        done = self.bus.send(item(f"{self.bus.identity} {number}", self.conn_id))
        _ = done.addCallbacks(
            lambda _: self.confirmed.append(number),
            lambda _: self.failed.append(number),
        )


class Model:
    """Some ws and http workers, one broker, one clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._boots, self._names = itertools.count(), itertools.count(1)
        self.hub = ModelHub(self._router(), self.clock)
        self.workers: list[MemoryBus] = []
        self.talkers: list[Talker] = []
        self.sent: list[Sent] = []
        self._in_hand: list[Handling] = []
        self.handled: dict[tuple[str, str], list[tuple[str, int, bool]]] = defaultdict(
            list
        )
        self.at_once = False
        self.severed: list[MemoryBus] = []

    def _router(self) -> RoutingTable:
        return RoutingTable(f"boot{next(self._boots)}", CONFIG, self.clock.seconds())

    def _random(self, length: int) -> bytes:
        return next(self._names).to_bytes(length, "big")

    def role(self, role: str) -> list[MemoryBus]:
        """Return the workers of a role that live and mean to stay."""
        self.workers = [bus for bus in self.workers if bus._open]
        return [
            bus
            for bus in self.workers
            if bus.identity.role == role and not bus._leaving
        ]

    @property
    def in_hand(self) -> list[Handling]:
        """Return what is being handled by workers that live."""
        self._in_hand = [each for each in self._in_hand if not each.done.called]
        return self._in_hand

    def run(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.clock.pump([STEP_S] * max(1, round(seconds / STEP_S)))

    # --- what can happen

    def worker(self, slot: str) -> MemoryBus:
        """Start a worker, and let it be ready."""
        identity = WorkerId.new(slot, next(self._names), self._random)
        bus = MemoryBus(self.hub, identity, CONFIG)
        bus.on_delivery(lambda delivery: self._handle(str(identity), delivery))
        bus.on_send(self._take)
        _ = bus.connect().addErrback(lambda _: None)
        bus.announce(ready=True)
        self._watch_bindings(bus)
        self.workers.append(bus)
        return bus

    def _watch_bindings(self, bus: MemoryBus) -> None:
        """See to it that a key is bound to nobody but a ready http worker."""
        book = bus._forwards
        bind = book._bind

        def checked(lane: OriginLane) -> None:
            before = lane.worker
            bind(lane)
            if lane.worker is not None and lane.worker != before:
                assert WorkerId.parse(lane.worker).role == "http", lane.worker
                assert bus._around.table.takes_keys(lane.worker), lane.worker

        book._bind = checked

    async def _handle(self, worker: str, delivery: Delivery) -> Sequence[Item]:
        number = int(delivery.item.body)
        place = delivery.origin, delivery.key
        self.handled[place].append((worker, number, delivery.redelivered))
        if not self.at_once:
            handling = Handling(worker, delivery)
            self._in_hand.append(handling)
            await handling.done
        return [delivery.item]

    def _take(self, one: Item) -> None:
        origin, number = one.body.decode().split()
        for sent in self.sent:
            if str(sent.bus.identity) == origin and sent.conn_id == one.conn_id:
                sent.taken.append(int(number))

    def finish(self, handling: Handling) -> None:
        """Let a handler come to its end."""
        handling.done.callback(None)

    def hurry(self, *, at_once: bool) -> None:
        """Let handlers take no time from now on, or as much as they like."""
        self.at_once = at_once
        while at_once and self.in_hand:
            self.finish(self.in_hand[0])

    def die(self, bus: MemoryBus) -> None:
        """End a worker as kill -9 does, with all that it had in hand."""
        kill(bus)
        self.hub.drop(bus.identity)

    def leave(self, bus: MemoryBus) -> None:
        """Let a worker say goodbye; what it has in hand ends with it."""
        _ = bus.close()

    def sever(self, bus: MemoryBus) -> None:
        """Cut a worker off."""
        self.severed.append(bus)
        self.hub.sever(bus.identity)

    def mend(self, bus: MemoryBus) -> None:
        """Connect it again."""
        self.severed.remove(bus)
        self.hub.mend(bus.identity)

    def restart_broker(self) -> None:
        """Let a new broker begin, which knows nobody."""
        self.hub.restart(self._router())

    def talk(self, bus: MemoryBus) -> None:
        """Open a connection at a ws worker."""
        self.talkers.append(Talker(bus, new_conn_id(bus.identity, self._random)))

    def pair(self, bus: MemoryBus, owner: MemoryBus) -> None:
        """Let a worker send to a connection of another whom it knows from now on."""
        if str(owner.identity) not in bus._around.table.members:
            return
        conn_id = new_conn_id(owner.identity, self._random)
        self.sent.append(Sent(bus, owner, conn_id))

    def heal(self) -> None:
        """Disturb nothing any more, and let everything come to rest."""
        self.hub.losses.clear()
        for bus in tuple(self.severed):
            self.mend(bus)
        self.hurry(at_once=True)
        self.run(2 * CONFIG.dead_after_s)  # until the last of the dead is put out
        for bus in self.role("http"):
            bus.announce(ready=True)
        if not self.role("http"):
            self.worker("http-1")
        self.run(5 * CONFIG.resend_after_s)

    def retire(self) -> list[MemoryBus]:
        """Let all http workers drain but a new one; return those that drain."""
        old = self.role("http")
        self.worker("http-1")
        self.run(1)
        for bus in old:
            bus.announce(ready=False)
        self.run(3)
        return old

    def close(self) -> None:
        """End everyone."""
        for bus in self.workers:
            if bus._open:
                kill(bus)

    # --- what must be true

    def check(self) -> None:
        """Check what is true at every moment."""
        for talker in self.talkers:
            assert talker.heard == [*range(len(talker.heard))], talker.heard
            assert not talker.client.given_up.things
        self._check_windows()
        self._check_handled()
        self._check_sent()

    def _check_windows(self) -> None:
        for bus in self.workers:
            for lane in bus._forwards._lanes.values():
                assert lane.sent <= CONFIG.window_messages
                assert lane.sent <= 1 or lane._sent_bytes <= CONFIG.window_bytes

    def _check_handled(self) -> None:
        """Check order at each worker, and that repetitions are marked."""
        for seen in self.handled.values():
            unmarked = Counter(number for _, number, again in seen if not again)
            assert max(unmarked.values(), default=0) <= 1, seen
            last: dict[str, int] = {}
            for worker, number, _ in seen:
                assert number > last.get(worker, -1), seen
                last[worker] = number
        for talker in self.talkers:
            seen = self.handled[str(talker.bus.identity), talker.key]
            assert {*talker.heard} <= {number for _, number, _ in seen}

    def _check_sent(self) -> None:
        for sent in self.sent:
            assert sent.taken == [*range(len(sent.taken))], sent
            assert {*sent.confirmed} <= {*sent.taken}, sent

    def check_rest(self) -> None:
        """Check what is true once everything has come to rest."""
        self.check()
        for talker in self.talkers:
            if talker.alive:
                assert len(talker.heard) == talker.said, repr(talker)
        for sent in self.sent:
            if sent.bus._open and sent.owner._open:
                assert len(sent.confirmed) == sent.count, repr(sent)
            elif sent.bus._open:
                assert len(sent.confirmed) + len(sent.failed) == sent.count, repr(sent)
        for bus in self.role("ws"):
            assert bus._forwards.empty
        for bus in self.retire():
            assert bus._deliveries.empty, "it drains for ever"
