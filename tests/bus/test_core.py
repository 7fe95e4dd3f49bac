"""The bus' core on a Clock: limits, odd messages, and the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.boundaries import IncomingCall
from tbtwist.broker.routing import RoutingTable
from tbtwist.bus import memory, topics
from tbtwist.bus.codec import Verb, encode_event, encode_route
from tbtwist.bus.config import BusConfig
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.bus.topics import Sequences
from tbtwist.errors import CallRefused, QueueFull, Undeliverable, Unroutable
from tbtwist.events import Delivery, Event, Item, Publication
from tbtwist.identity import WorkerId, new_conn_id
from tests.bus.fakes import Client, item

CONFIG = BusConfig()
ODD_ENDS = (GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError)
"""What is no Exception, and may come out of application code all the same."""


class CoreCase(SynchronousTestCase):
    """A hub, a Clock, and workers that are ready."""

    def setUp(self) -> None:
        """Start the hub."""
        self.clock = Clock()
        router = RoutingTable("boot", CONFIG, 0.0)
        self.hub = MemoryHub(router, self.clock)

    def worker(self, slot: str, config: BusConfig = CONFIG) -> MemoryBus:
        """Return a connected worker."""
        bus = MemoryBus(self.hub, WorkerId.new(slot, 1, secrets.token_bytes), config)
        self.addCleanup(bus._shut)
        joined = bus.connect()
        bus.announce(ready=True)
        self.run_for(0.1)
        self.successResultOf(joined)
        return bus

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([0.05] * max(1, round(seconds / 0.05)))


class NoRoomTests(CoreCase):
    """The wire takes nothing for a while."""

    def test_lanes_send_again_soon(self) -> None:
        """What there was no room for is counted, and sent again a moment later."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        handled: list[bytes] = []

        async def handle(delivery: Delivery) -> list[Item]:
            handled.append(delivery.item.body)
            return []

        http.on_delivery(handle)
        taken: list[Item] = []
        ws.on_send(taken.append)
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        ws_full = self.patch(ws._around.wire, "transmit", lambda _: False)
        http_full = self.patch(http._around.wire, "push", lambda _: False)
        ws.open_lane("key", Client().events()).forward(item("x"))
        sent = http.send(item("y", conn))
        self.clock.advance(0)
        self.assertEqual(ws.counters["forward: no room"], 1)
        self.assertEqual(http.counters["send: no room"], 1)
        ws_full.restore()
        http_full.restore()
        self.run_for(CONFIG.retry_after_s + 0.1)
        self.successResultOf(sent)
        self.assertEqual((handled, [one.body for one in taken]), ([b"x"], [b"y"]))


class JoinTests(CoreCase):
    """Being connected, and the end of it."""

    def test_connected_is_known_and_echoed(self) -> None:
        """A worker is connected when its own publication came back, not before."""
        bus = MemoryBus(self.hub, WorkerId("http-1", 1, "aa"), CONFIG)
        self.addCleanup(bus._shut)
        self.patch(MemoryHub, "_published", lambda *_: None)
        joined = bus.connect()
        self.run_for(5)
        self.assertTrue(bus._around.table.known)
        self.assertNoResult(joined)
        self.assertFalse(bus.connected)
        bus._shut()
        self.failureResultOf(joined, CancelledError)

    def test_the_default_bounds(self) -> None:
        """A bus without a configuration has bounds all the same."""
        bus = MemoryBus(self.hub, WorkerId("http-1", 1, "aa"))
        self.assertEqual(bus._around.config, BusConfig())

    def test_closing_before_it_began(self) -> None:
        """A bus that never connected closes at once."""
        bus = MemoryBus(self.hub, WorkerId("http-1", 1, "aa"), CONFIG)
        self.successResultOf(bus.close())

    def test_closing_while_it_joins(self) -> None:
        """Whoever waits for the connection learns that it will not come."""
        bus = MemoryBus(self.hub, WorkerId("http-1", 1, "aa"), CONFIG)
        joined = bus.connect()
        self.successResultOf(bus.close())
        self.failureResultOf(joined, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_twice(self) -> None:
        """Closing again is fine, and nothing is left."""
        bus = self.worker("http-1")
        first, second = bus.close(), bus.close()
        self.run_for(0.1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_without_a_broker_ends_in_time(self) -> None:
        """If nobody answers the goodbye, we go after a moment."""
        bus = self.worker("http-1")
        self.patch(MemoryHub, "_routed", lambda *_: None)
        closed = bus.close()
        self.run_for(CONFIG.heartbeat_s - 0.2)
        self.assertNoResult(closed)
        self.run_for(0.3)
        self.successResultOf(closed)

    def test_closing_tells_everyone_who_waits(self) -> None:
        """Sends and calls that are open end; what runs is cancelled."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        running: Deferred[Any] = Deferred()
        http.serve("slow", lambda _: running)
        call = ws.call("http-1", "slow", None, timeout_s=60)
        unowned = new_conn_id(WorkerId("ws-9", 1, "aa"), secrets.token_bytes)
        send = ws.send(item("x", unowned))
        self.run_for(0.1)
        ws.close()
        http.close()
        self.run_for(0.1)
        self.failureResultOf(call, Unroutable)
        self.failureResultOf(send, Undeliverable)
        self.assertTrue(running.called)

    def test_a_closed_bus_takes_nothing(self) -> None:
        """After the end every verb says so, and nothing waits for ever."""
        ws = self.worker("ws-1")
        lane = ws.open_lane("key", Client().events())
        ws.close()
        self.run_for(0.1)
        self.assertFalse(lane.forward(item("x")))
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        self.failureResultOf(ws.send(item("x", conn)), Undeliverable)
        self.failureResultOf(ws.call("http", "m", 1, timeout_s=60), Unroutable)
        ws.publish("news", item("x"))
        self.assertEqual(ws.counters["publication: not sent"], 1)

    def test_a_handler_that_is_cancelled_by_the_end(self) -> None:
        """A delivery that runs at the end is cancelled and not acknowledged."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        running: Deferred[Any] = Deferred()
        http.on_delivery(lambda _: running)
        client = Client()
        ws.open_lane("key", client.events()).forward(item("x"))
        self.run_for(0.1)
        http.close()
        self.run_for(0.1)
        self.assertTrue(running.called)
        self.assertFalse(ws._forwards.empty)
        second = self.worker("http-2")
        seen: list[bool] = []

        async def handle(delivery: Any) -> list[Item]:
            seen.append(delivery.redelivered)
            return []

        second.on_delivery(handle)
        self.run_for(0.1)
        self.assertEqual((seen, ws._forwards.empty), ([True], True))

    def test_a_beat_that_fails_is_not_the_last(self) -> None:
        """Heartbeats go on after an error, which is logged."""
        bus = self.worker("http-1")
        real = bus._link._events

        def fail(_: float) -> None:
            raise ZeroDivisionError

        bus._link._events = attrs.evolve(real, ticked=fail)
        self.run_for(1.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        bus._link._events = real
        self.run_for(10)
        self.assertTrue(bus.connected)


class BrokerAwayTests(CoreCase):
    """What a worker knows and does when the broker falls silent."""

    def setUp(self) -> None:
        """A worker, and a hub that can be silenced."""
        super().setUp()
        self.bus = self.worker("http-1")
        self.run_for(2)

    def silence(self) -> None:
        """Let nothing through any more."""
        self.silent = self.patch(MemoryHub, "_hand_out", lambda *_: None)

    def test_connected_ends_in_time(self) -> None:
        """Silence ends the connection after ``dead_after_s``, and not a beat later."""
        heard_at = self.bus._link._heard_at
        self.silence()
        self.clock.advance(heard_at + CONFIG.dead_after_s - self.clock.seconds())
        self.assertTrue(self.bus.connected)
        self.clock.advance(0.01)
        self.assertFalse(self.bus.connected)

    def test_connected_again_only_with_an_echo(self) -> None:
        """When the broker is back, our own publication has to come back as well."""
        self.silence()
        self.run_for(CONFIG.dead_after_s + 2)
        echoes = self.patch(MemoryHub, "_published", lambda *_: None)
        self.silent.restore()
        self.run_for(3)
        self.assertTrue(self.bus._around.table.known)
        self.assertFalse(self.bus.connected)
        echoes.restore()
        self.run_for(0.1)
        self.assertTrue(self.bus.connected)

    def test_a_silence_that_ends_between_two_beats(self) -> None:
        """A silence that was long enough counts, even if no beat noticed it."""
        self.bus._link._beating.stop()
        self.silence()
        self.clock.advance(CONFIG.dead_after_s + 1)
        self.silent.restore()
        self.patch(MemoryHub, "_published", lambda *_: None)
        self.run_for(1.5)
        self.assertEqual(self.bus.counters["broker lost"], 1)
        self.assertFalse(self.bus.connected)

    def bound(self) -> Deferred[list[Item]]:
        """Bring a message to the worker that is answered when the test says so."""
        answer: Deferred[list[Item]] = Deferred()
        self.bus.on_delivery(lambda _: answer)
        ws = self.worker("ws-1")
        ws.open_lane("key", Client().events()).forward(item("x"))
        self.run_for(0.1)
        self.assertEqual(self.bus._deliveries.load, 1)
        return answer

    def test_drained_without_a_broker(self) -> None:
        """Lanes that rest here keep nobody when there is no broker to move them."""
        self.bound().callback([])
        self.silence()
        drained = self.bus.drain(60)
        self.run_for(CONFIG.dead_after_s - 1)
        self.assertNoResult(drained)
        self.run_for(1.2)
        self.assertTrue(self.successResultOf(drained))

    def test_what_runs_is_waited_for(self) -> None:
        """Without a broker as well, a drain waits for what is being handled."""
        answer = self.bound()
        self.silence()
        drained = self.bus.drain(60)
        self.run_for(10)
        self.assertNoResult(drained)
        answer.callback([])
        self.run_for(0.2)
        self.assertTrue(self.successResultOf(drained))

    def test_what_was_not_acknowledged_is_waited_for(self) -> None:
        """What we still keep for others is not left behind before the time is up."""
        self.silence()
        sent = self.bus.send(item("x", new_conn_id(WorkerId("ws-9", 1, "aa"), bytes)))
        drained = self.bus.drain(10)
        self.run_for(9)
        self.assertNoResult(drained)
        self.run_for(1.2)
        self.assertFalse(self.successResultOf(drained))
        self.bus._shut()
        self.failureResultOf(sent, Undeliverable)


class OddMessageTests(CoreCase):
    """Messages that make no sense."""

    def test_they_are_counted(self) -> None:
        """A malformed or unexpected message is counted and dropped."""
        bus = self.worker("http-1")

        def route(verb: Verb) -> bytes:
            return encode_route(verb, str(bus.identity), "broker")

        odd = [
            (b"",),
            (route(Verb.BEAT),),
            (route(Verb.TABLE), b"\xc1"),
            (route(Verb.FORWARD), b"x"),
            (route(Verb.CALL),),
            (route(Verb.UNROUTABLE),),
            (route(Verb.FENCED), b"more"),
        ]
        for frames in odd:
            bus._received(frames)
        bus._published((b"topic",))
        self.assertEqual(bus.counters["dropped: bad frame"], len(odd) + 1)
        self.assertTrue(bus.connected)

    def test_answers_to_nobody(self) -> None:
        """A late answer, count or refusal is counted and dropped."""
        bus = self.worker("http-1")
        header = encode_event(Event(type="bus.reply", correlation_id="77"))
        name = str(bus.identity)
        call = encode_route(Verb.CALL, "http", name)
        for frames in (
            (encode_route(Verb.REPLY, name, "http-9.1.aa"), header),
            (encode_route(Verb.EXPECT, name, "broker", bytes(8)), header),
            (encode_route(Verb.UNROUTABLE, name, "broker"), call, header),
        ):
            bus._received(frames)
        self.assertEqual(bus.counters["call: late answer"], 1)
        self.assertEqual(bus.counters["dropped: bad frame"], 0)

    def test_an_item_that_cannot_be_read(self) -> None:
        """A damaged item is refused by the owner, and its lane goes on."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        taken: list[bytes] = []

        def take(one: Item) -> None:
            taken.append(one.body)

        ws.on_send(take)
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        bad = http.send(item("bad", conn))
        http._sends._lanes[conn].entries[0].packed = (b"\xc1", b"bad")
        http._around.outbox._waiting.clear()
        http._sends._again(http._sends._lanes[conn])
        good = http.send(item("good", conn))
        self.run_for(0.1)
        self.failureResultOf(bad, Undeliverable)
        self.successResultOf(good)
        self.assertEqual(taken, [b"good"])


class SendTests(CoreCase):
    """The end of a send."""

    def test_an_owner_that_cannot(self) -> None:
        """No connections here, or an owner that fails: the sender hears it."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        first = http.send(item("x", conn))
        self.run_for(0.1)
        self.failureResultOf(first, Undeliverable)

        def fail(_: Item) -> str | None:
            raise ZeroDivisionError

        ws.on_send(fail)
        second = http.send(item("x", conn))
        self.run_for(0.1)
        self.assertIn(
            "failed", self.failureResultOf(second, Undeliverable).value.reason
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_full_lane(self) -> None:
        """Too much for one connection is refused at once, and counted."""
        small = attrs.evolve(CONFIG, queue_messages=2)
        http = self.worker("http-1", small)
        conn = new_conn_id(WorkerId("ws-9", 1, "aa"), secrets.token_bytes)
        sends = [http.send(item("x", conn)) for _ in range(3)]
        self.failureResultOf(sends[2], QueueFull)
        self.assertEqual(http.counters["refused: QueueFull"], 1)
        self.run_for(5)
        for send in sends[:2]:
            self.failureResultOf(send, Undeliverable)

    def test_whoever_does_not_wait_any_more(self) -> None:
        """Cancelling a send's Deferred does not disturb its lane."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        ws.on_send(lambda _: None)
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        first, second = (http.send(item("x", conn)) for _ in range(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.run_for(0.1)
        self.successResultOf(second)


class CallTests(CoreCase):
    """The bounds of calls."""

    def test_open_calls_are_bounded(self) -> None:
        """Too many open calls are refused at once."""
        bus = self.worker("ws-1", attrs.evolve(CONFIG, calls=1))
        bus.serve("slow", lambda _: Deferred())
        first = bus.call("ws-1", "slow", None, timeout_s=60)
        self.failureResultOf(bus.call("ws-1", "slow", None, timeout_s=60), QueueFull)
        self.assertNoResult(first)
        bus._shut()
        self.failureResultOf(first, Unroutable)

    def test_answering_is_bounded(self) -> None:
        """A worker that answers too many calls refuses the next."""
        asked = self.worker("http-1", attrs.evolve(CONFIG, calls=1))
        asker = self.worker("ws-1")
        slow: Deferred[object] = Deferred()
        asked.serve("slow", lambda _: slow)
        first, second = (
            asker.call("http-1", "slow", None, timeout_s=60) for _ in range(2)
        )
        self.run_for(0.1)
        self.failureResultOf(second, CallRefused)
        slow.callback("done")
        self.run_for(0.1)
        self.assertEqual(self.successResultOf(first), "done")

    def test_an_unexpected_error_is_logged_where_it_happens(self) -> None:
        """The caller gets a sentence, the log the traceback; one refusal is enough."""
        asker = self.worker("ws-1")

        async def fail(_: IncomingCall) -> object:
            raise ZeroDivisionError

        for slot in ("http-1", "http-2"):
            self.worker(slot).serve("fail", fail)
        call = asker.call("http*", "fail", None, timeout_s=60)
        self.run_for(0.1)
        refused = self.failureResultOf(call, CallRefused).value
        self.assertEqual(refused.reason, "ZeroDivisionError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_whatever_whoever_answers_raises(self) -> None:
        """The caller is refused at once, not left to wait for the deadline."""
        asker, asked = self.worker("ws-1"), self.worker("http-1")
        for end in ODD_ENDS:

            async def answer(_: IncomingCall, end: type[BaseException] = end) -> object:
                raise end

            asked.serve("odd", answer)
            call = asker.call("http-1", "odd", None, timeout_s=60)
            self.run_for(0.1)
            refused = self.failureResultOf(call, CallRefused).value
            self.assertEqual(refused.reason, end.__name__)
        self.assertEqual(len(self.flushLoggedErrors(*ODD_ENDS)), len(ODD_ENDS))

    def test_a_wire_without_room(self) -> None:
        """A call that cannot leave fails at once."""
        bus = self.worker("ws-1")
        self.patch(memory, "QUEUE_LIMIT", 0)
        self.failureResultOf(bus.call("http", "x", 1, timeout_s=60), QueueFull)
        bus.announce(ready=True)
        self.assertEqual(bus.counters["beat not sent"], 1)


class DeliveryTests(CoreCase):
    """The bounds of deliveries."""

    def test_so_many_side_by_side(self) -> None:
        """Different keys run side by side up to the bound, the others wait."""
        http = self.worker("http-1", attrs.evolve(CONFIG, concurrency=2))
        ws = self.worker("ws-1")
        running: list[Deferred[list[Item]]] = []

        def handle(_: object) -> Deferred[list[Item]]:
            running.append(Deferred())
            return running[-1]

        http.on_delivery(handle)
        for key in "abc":
            ws.open_lane(key, Client().events()).forward(item("x"))
        self.run_for(0.1)
        self.assertEqual((len(running), http._deliveries.load), (2, 3))
        running[0].callback([])
        self.assertEqual(len(running), 3)

    def test_many_keys_with_a_quick_handler(self) -> None:
        """Thousands of keys at once do not exhaust the stack."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        handled: list[str] = []

        async def handle(delivery: Any) -> list[Item]:
            handled.append(delivery.key)
            return []

        for number in range(3000):
            ws.open_lane(f"k{number}", Client().events()).forward(item("x"))
        self.run_for(0.1)
        http.on_delivery(handle)
        self.assertEqual(len(handled), 3000)

    def test_whatever_a_handler_raises(self) -> None:
        """Every end of a handler is acknowledged, and the key goes on."""
        http, ws = self.worker("http-1"), self.worker("ws-1")
        ends = [*ODD_ENDS]

        async def handle(delivery: Any) -> list[Item]:
            if ends:
                raise ends.pop(0)
            return [delivery.item]

        http.on_delivery(handle)
        client = Client()
        lane = ws.open_lane("key", client.events())
        for _ in ODD_ENDS:
            lane.forward(item("bad"))
        lane.forward(item("good"))
        self.run_for(0.1)
        self.assertEqual(client.replies.things, ["good"])
        self.assertTrue(ws._forwards.empty)
        self.assertEqual(len(self.flushLoggedErrors(*ODD_ENDS)), len(ODD_ENDS))

    def test_a_handler_of_losses_that_fails(self) -> None:
        """It is logged; the bus goes on."""
        http, ws = self.worker("http-1"), self.worker("ws-1")

        async def handle(_: object) -> list[Item]:
            return []

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        http.on_delivery(handle)
        http.on_origin_lost(fail)
        ws.open_lane("key", Client().events()).forward(item("x"))
        self.run_for(0.1)
        ws.close()
        self.run_for(0.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(http.connected)


class TopicTests(CoreCase):
    """Publications and their numbers."""

    def test_a_subscriber_that_fails(self) -> None:
        """The others hear the publication all the same."""
        bus = self.worker("ws-1")
        heard: list[Publication] = []

        def fail(_: Publication) -> None:
            raise ZeroDivisionError

        bus.subscribe("news", fail)
        bus.subscribe("news", heard.append)
        bus.publish("news", item("x"))
        self.run_for(0.1)
        self.assertEqual([one.item.body for one in heard], [b"x"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_subscribing_before_connecting(self) -> None:
        """What is subscribed to before the start is heard from the start."""
        bus = MemoryBus(self.hub, WorkerId("ws-1", 1, "aa"), CONFIG)
        self.addCleanup(bus._shut)
        heard: list[Publication] = []
        bus.subscribe("news", heard.append)
        _ = bus.connect()
        bus.publish("news", item("x"))
        self.run_for(0.1)
        self.assertEqual(len(heard), 1)

    def test_one_of_two_subscriptions_ends(self) -> None:
        """The other one goes on."""
        bus = self.worker("ws-1")
        heard: list[Publication] = []
        bus.subscribe("news", heard.append)
        bus.subscribe("news", heard.append).cancel()
        bus.publish("news", item("x"))
        self.run_for(0.1)
        self.assertEqual(len(heard), 1)

    def test_numbers(self) -> None:
        """Gaps are counted for each publisher and topic; a new one has none."""
        seen = Sequences(10)
        self.assertEqual(seen.missed("a", "t", 7), 0)
        self.assertEqual(seen.missed("a", "t", 10), 2)
        self.assertEqual(seen.missed("b", "t", 9), 0)
        self.assertEqual(seen.missed("a", "t", 3), 0)
        self.assertEqual(seen.missed("a", "t", 4), 0)

    def test_the_memory_of_numbers_is_bounded(self) -> None:
        """The topic that was not used for longest is forgotten."""
        sent = Sequences(2)
        numbers = [sent.next("me", topic) for topic in "abacba"]
        self.assertEqual(numbers, [1, 1, 2, 1, 1, 1])
        self.assertEqual(topics.REMEMBERED, 10_000)


class HubTests(CoreCase):
    """The memory engine."""

    def test_nothing_happens_from_within(self) -> None:
        """Whoever sends is never called back before the next turn."""
        bus = self.worker("ws-1")
        order: list[str] = []
        bus.subscribe("news", lambda _: order.append("heard"))
        bus.publish("news", item("x"))
        order.append("published")
        self.clock.advance(0)
        self.assertEqual(order, ["published", "heard"])

    def test_a_turn_is_bounded(self) -> None:
        """A long queue is worked off in several turns."""
        self.patch(memory, "PER_WAKE_UP", 3)
        turns: list[int] = []
        real: Callable[..., Any] = self.hub.clock.callLater

        def call_later(delay: float, what: Any, *args: Any) -> Any:
            turns.append(1)
            return real(delay, what, *args)

        bus = self.worker("ws-1")
        heard: list[Publication] = []
        for number in range(9):
            bus.subscribe(f"news {number}", heard.append)
        self.patch(self.clock, "callLater", call_later)
        for number in range(9):
            bus.publish(f"news {number}", item("x"))
        self.clock.advance(0)
        self.assertEqual((len(heard), len(turns)), (9, 3))

    def test_the_last_one_stops_the_clock(self) -> None:
        """Nothing is left when everybody has gone."""
        self.worker("ws-1")._shut()
        self.assertEqual(self.clock.getDelayedCalls(), [])
