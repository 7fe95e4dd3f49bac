"""The lanes under a hub that loses messages and brokers, in simulated time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Sequence

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.boundaries import LaneEvents, Outgoing
from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.codec import Verb, decode_route
from tbtwist.bus.config import BusConfig
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.events import Delivery, Item
from tbtwist.identity import WorkerId, new_conn_id
from tbtwist.services import wait
from tests.bus.fakes import Client, item, kill

CONFIG = BusConfig(resend_after_s=2.0, window_messages=5, concurrency=3)
STEP_S = 0.05
POISON = b"poison"


LANES = frozenset({Verb.FORWARD, Verb.FORWARD_ACK, Verb.SEND, Verb.SEND_ACK})


class LossyHub(MemoryHub):
    """A hub that loses some messages of some verbs, as long as it is told to."""

    chance: random.Random
    loss = 0.0
    verbs: Collection[Verb] = LANES

    def _loses(self, frames: Sequence[bytes]) -> bool:
        verb = decode_route(frames[0]).verb
        return verb in self.verbs and self.chance.random() < self.loss

    def _routed(self, frames: Sequence[bytes], peer: bytes | None) -> None:
        if not self._loses(frames):
            super()._routed(frames, peer)

    def _hand_out(self, messages: Sequence[Outgoing]) -> None:
        super()._hand_out([one for one in messages if not self._loses(one.frames)])


class World:
    """Two ws workers, some http workers, one hub, one Clock."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.boots, self.generations = itertools.count(), itertools.count(1)
        self.handled: list[tuple[str, Delivery]] = []
        self.taken: list[str] = []
        self.slow = False
        self.deaths = 0
        self.chance = random.Random(seed)  # noqa: S311 - losses, no secrets
        self.hub = LossyHub(self.router(), self.clock, tick_s=STEP_S)
        self.hub.chance = self.chance
        self.ws = [self.worker(f"ws-{n}") for n in (1, 2)]
        self.http = [self.worker(f"http-{n}") for n in (1, 2)]
        self.run(2)
        self.clients = [Client() for _ in range(4)]
        self.lanes = [
            self.ws[n % 2].open_lane(f"key-{n}", client.events())
            for n, client in enumerate(self.clients)
        ]
        self.conn = new_conn_id(self.ws[0].identity, self.chance.randbytes)
        self.said: list[list[str]] = [[] for _ in self.lanes]
        self.forwarded = self.sent = 0

    def router(self) -> RoutingTable:
        """Return a broker that knows nobody."""
        return RoutingTable(f"boot{next(self.boots)}", CONFIG, self.clock.seconds())

    def worker(self, slot: str) -> MemoryBus:
        """Return a worker that answers, takes and is ready."""
        identity = WorkerId.new(slot, next(self.generations), self.chance.randbytes)
        bus = MemoryBus(self.hub, identity, CONFIG)

        async def handle(delivery: Delivery) -> Sequence[Item]:
            self.handled.append((str(identity), delivery))
            if delivery.item.body.startswith(POISON):
                self.clock.callLater(0, self.replace, bus)
                await Deferred[None]()
            if self.slow:
                await wait(self.clock, self.chance.uniform(0, 0.6))
            return [delivery.item]

        bus.on_delivery(handle)
        bus.on_send(lambda one: self.taken.append(one.body.decode()))
        _ = bus.connect().addErrback(lambda _: None)
        bus.announce(ready=True)
        return bus

    def run(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.clock.pump([STEP_S] * round(seconds / STEP_S))

    def act(self, step: str) -> None:
        """Do one thing, and let a moment pass."""
        getattr(self, f"do_{step}")()
        self.run(0.3)

    def say(self, client: int, text: str) -> None:
        """Let a client say something."""
        self.said[client].append(text)
        self.lanes[client].forward(item(text))

    def do_forward(self) -> None:
        """Every client says seven things."""
        for client in range(len(self.lanes)):
            for number in range(self.forwarded, self.forwarded + 7):
                self.say(client, str(number))
        self.forwarded += 7

    def do_poison(self) -> None:
        """A client says something that kills whoever handles it."""
        client = self.chance.randrange(len(self.lanes))
        self.say(client, f"{POISON.decode()} {len(self.said[client])}")

    def do_send(self) -> None:
        """Something is sent to a connection."""
        sent = self.ws[1].send(item(str(self.sent), self.conn))
        self.sent += 1
        _ = sent.addErrback(lambda _: None)

    def do_http(self) -> None:
        """Kill one http worker, and start another."""
        self.replace(self.http[0])

    def replace(self, bus: MemoryBus) -> None:
        """Let an http worker die, if it has not yet, and start another."""
        if bus in self.http:
            self.deaths += 1
            kill(bus)
            self.http.remove(bus)
            self.http.append(self.worker("http-1"))

    def do_broker(self) -> None:
        """A new broker that knows nobody; what was on its way is lost."""
        self.hub._router = self.router()
        self.hub._queue.clear()

    def do_drain(self) -> None:
        """One http worker takes nothing new."""
        self.http[0].announce(ready=False)
        self.http.reverse()

    def do_lossy(self) -> None:
        """Messages get lost from now on."""
        self.hub.loss = 0.3

    def do_calm(self) -> None:
        """No message gets lost any more."""
        self.hub.loss = 0.0

    def do_wait(self) -> None:
        """Do nothing for a while."""

    def heal(self) -> None:
        """Lose nothing any more, and let everything come to rest."""
        self.hub.loss = 0.0
        for bus in self.http:
            bus.announce(ready=True)
        self.run(60)
        for _ in range(50):
            if all(bus._forwards.empty for bus in self.ws):
                break
            self.run(20)

    def close(self) -> None:
        """End everyone."""
        for bus in (*self.ws, *self.http):
            kill(bus)


actions = st.lists(
    st.sampled_from(
        [
            "forward",
            "forward",
            "send",
            "http",
            "poison",
            "broker",
            "drain",
            "lossy",
            "calm",
            "wait",
        ]
    ),
    min_size=5,
    max_size=40,
)


class SimulationTests(SynchronousTestCase):
    """Nothing is lost, nothing overtakes, nothing is done twice without the mark."""

    @settings(max_examples=40)
    @given(actions, st.integers(0, 2**32))
    def test_whatever_happens(self, steps: list[str], seed: int) -> None:
        """Every message is answered in order, every send arrives in order.

        Except for what was in hand at two workers that died: what kills them always
        ends that way, and nothing does before two have died.
        """
        world = World(seed)
        world.slow = True
        for step in steps:
            world.act(step)
        world.heal()
        for client, said in zip(world.clients, world.said, strict=True):
            given_up = client.given_up.things
            self.assertEqual(
                client.replies.things, [text for text in said if text not in given_up]
            )
            self.assertEqual(given_up, [text for text in said if text in given_up])
            poison = {text for text in said if text.startswith(POISON.decode())}
            self.assertLessEqual(poison, set(given_up))
            self.assertTrue(world.deaths >= CONFIG.max_deaths or not given_up)
        self.assertEqual(world.taken, [str(n) for n in range(world.sent)])
        self.check_handled(world.handled)
        world.close()
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def check_handled(self, handled: list[tuple[str, Delivery]]) -> None:
        """At one worker never twice; anywhere, a second time only with the mark."""
        at_worker: set[tuple[str, str, str, int]] = set()
        anywhere: set[tuple[str, str, int]] = set()
        for worker, delivery in handled:
            what = (delivery.origin, delivery.key, delivery.number)
            self.assertNotIn((worker, *what), at_worker)
            self.assertTrue(what not in anywhere or delivery.redelivered, what)
            at_worker.add((worker, *what))
            anywhere.add(what)

    def test_a_worker_without_acknowledgements_is_asked_again(self) -> None:
        """An acknowledgement that got lost is sent again, and nothing handled twice."""
        world = World(1)
        client = Client()
        world.hub.loss, world.hub.verbs = 1.0, {Verb.FORWARD_ACK}
        world.ws[0].open_lane("key", client.events()).forward(item("x"))
        world.run(1)
        self.assertEqual((len(world.handled), client.replies.things), (1, []))
        world.heal()
        self.assertEqual((len(world.handled), client.replies.things), (1, ["x"]))
        self.assertGreaterEqual(world.ws[0].counters["sent again"], 1)
        world.close()

    def test_a_farewell_that_got_lost(self) -> None:
        """A key may come back to a worker that missed its farewell.

        And whoever drains asks for the farewells that are missing.
        """
        world = World(5)
        one, two = world.http
        two.announce(ready=False)
        client = Client()
        world.run(1)
        lane = world.ws[0].open_lane("key", client.events())
        for worker, other in ((one, two), (two, one), (one, two)):
            lane.forward(item(str(len(client.replies.things))))
            world.run(1)
            world.hub.loss, world.hub.verbs = 1.0, {Verb.FORWARD}
            other.announce(ready=True)
            worker.announce(ready=False)
            world.run(0.3)
            self.assertFalse(worker._deliveries.empty)
            world.hub.loss = 0.0
        self.assertEqual(client.replies.things, ["0", "1", "2"])
        world.run(2)
        self.assertTrue(one._deliveries.empty)
        world.close()

    def test_idle_sends_leave_nothing_behind(self) -> None:
        """A lane to a connection is forgotten on both sides when it is not used."""
        world = World(2)
        _ = world.http[0].send(item("x", world.conn))
        world.run(1)
        self.assertEqual(len(world.http[0]._sends._lanes), 1)
        self.assertEqual(len(world.ws[0]._receptions._inbox), 1)
        world.run(CONFIG.idle_after_s + 2)
        self.assertEqual(len(world.http[0]._sends._lanes), 0)
        self.assertEqual(len(world.ws[0]._receptions._inbox), 0)
        world.close()

    def test_a_broker_that_is_away_stops_sending(self) -> None:
        """Without a broker items wait at their origin; they go when it is back."""
        world = World(3)
        world.hub.loss, world.hub.verbs = 1.0, frozenset(Verb)
        world.run(CONFIG.dead_after_s + 2)
        self.assertFalse(any(bus.connected for bus in world.ws))
        client = Client()
        world.ws[0].open_lane("key", client.events()).forward(item("x"))
        self.assertEqual(world.ws[0]._around.outbox._waiting, {})
        world.hub._router = world.router()
        world.heal()
        self.assertTrue(all(bus.connected for bus in world.ws))
        self.assertEqual(client.replies.things, ["x"])
        world.close()

    def test_an_owner_that_fails_is_logged(self) -> None:
        """A connection whose replies cannot be taken does not stop the others."""
        world = World(4)

        def fail(_: Sequence[Item]) -> None:
            raise ZeroDivisionError

        lane = world.ws[0].open_lane("bad", LaneEvents(fail, lambda: None))
        good = Client()
        lane.forward(item("1"))
        lane.forward(item("2"))
        world.ws[0].open_lane("good", good.events()).forward(item("3"))
        world.run(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(good.replies.things, ["3"])
        self.assertTrue(world.ws[0]._forwards.empty)
        world.close()
