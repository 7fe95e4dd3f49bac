"""One suite of promises, kept by every engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from msgspec import UNSET
from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tbtwist.boundaries import EventBus, IncomingCall, LaneEvents
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.keys import BusKeys
from tbtwist.errors import (
    BadFrame,
    CallRefused,
    CallTimeout,
    NoBus,
    QueueFull,
    Undeliverable,
    Unroutable,
)
from tbtwist.events import Delivery, Item, Publication
from tbtwist.identity import WorkerId, new_conn_id
from tbtwist.tracing import Trace, current_trace
from tests.bus.fakes import (
    FAST,
    Client,
    MemoryRig,
    Rig,
    Seen,
    ZmqRig,
    failures_logged,
    item,
    kill,
    on_tcp,
)

reactor: Any = global_reactor
TRACE = Trace("ab" * 16, "cd" * 8, sampled=True, state="a=1")


if TYPE_CHECKING:
    Base = TestCase
else:
    Base = object


class Contract(Base):
    """The promises; engines mix this into a `TestCase`."""

    timeout = 60

    def make_rig(self) -> Rig:
        """Return the engine's rig."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Start afresh."""
        self.rig = self.make_rig()
        self.rig.start()
        self.handled: Seen[tuple[str, Delivery]] = Seen()
        self.taken: Seen[tuple[str, Item]] = Seen()

    async def join(
        self, slot: str, generation: int = 1, config: BusConfig = FAST
    ) -> BusCore:
        """Return a bus that is connected and ready; http ones answer, ws ones take."""
        identity = WorkerId.new(slot, generation, secrets.token_bytes)
        bus = self.rig.bus(identity, config)
        self.addCleanup(bus.close)
        as_promised: EventBus = bus
        as_promised.on_delivery(self.answer(slot))
        as_promised.on_send(self.take(slot))
        await as_promised.connect()
        as_promised.announce(ready=True)
        return bus

    async def joined(self, *slots: str) -> list[BusCore]:
        """Return ready buses that have all heard of each other."""
        buses = [await self.join(slot) for slot in slots]
        for bus in buses:
            await self.sees(bus, len(buses))
        return buses

    async def sees(self, bus: BusCore, ready: int) -> None:
        """Wait until ``bus`` sees so many ready workers."""
        await self.until(
            lambda: sum(m.ready for m in bus._around.table.members.values()) == ready
        )

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something that nobody tells us of."""
        while not reached():
            await self.moment(0.005)

    def moment(self, seconds: float) -> Deferred[None]:
        """Fire a moment later."""
        return deferLater(reactor, seconds)

    def answer(self, slot: str) -> Callable[[Delivery], Any]:
        """Return a handler that notes and answers."""

        async def handle(delivery: Delivery) -> Sequence[Item]:
            self.handled((slot, delivery))
            return [item(f"re {delivery.item.body.decode()}")]

        return handle

    def take(self, slot: str) -> Callable[[Item], str | None]:
        """Return a handler of sends that notes and takes."""

        def taken(one: Item) -> str | None:
            self.taken((slot, one))
            return "it is closed" if one.body == b"closed" else None

        return taken

    # --- forward

    async def test_every_message_once_and_in_order(self) -> None:
        """Each message of a client is handled once, in order, and answered in order."""
        _, _, *ws = await self.joined("http-1", "http-2", "ws-1", "ws-2")
        clients: list[Client] = []
        for number in range(12):
            client = Client()
            lane = ws[number % 2].open_lane(f"key-{number}", client.events())
            for message in range(20):
                lane.forward(item(str(message)))
            clients.append(client)
        for client in clients:
            await client.replies.count(20)
            self.assertEqual(client.replies.things, [f"re {n}" for n in range(20)])
        self.assertEqual(len(self.handled.things), 240)
        self.assertFalse(any(d.redelivered for _, d in self.handled.things))

    async def test_a_key_stays_with_its_worker(self) -> None:
        """A connection talks to one worker, and connections share the workers."""
        _, _, ws = await self.joined("http-1", "http-2", "ws-1")
        for number in range(40):
            lane = ws.open_lane(f"key-{number}", Client().events())
            lane.forward(item("a"))
            lane.forward(item("b"))
        await self.handled.count(80)
        seats = {(d.key, slot) for slot, d in self.handled.things}
        self.assertEqual(len(seats), 40)
        self.assertEqual({slot for _, slot in seats}, {"http-1", "http-2"})

    async def test_messages_wait_for_a_worker(self) -> None:
        """What a client says before any worker is ready is handled when one is."""
        (ws,) = await self.joined("ws-1")
        client = Client()
        ws.open_lane("early", client.events()).forward(item("hello"))
        await self.join("http-1")
        await client.replies.count(1)
        self.assertEqual(client.replies.things, ["re hello"])

    async def test_a_message_comes_as_it_was_sent(self) -> None:
        """Bytes, payload and type arrive unchanged."""
        http, ws = await self.joined("http-1", "ws-1")
        got: Seen[Delivery] = Seen()

        async def handle(delivery: Delivery) -> Sequence[Item]:
            got(delivery)
            return ()

        http.on_delivery(handle)
        sent = Item(item("", "some-id").event, bytes(range(256)))
        ws.open_lane("key", Client().events()).forward(sent)
        await got.count(1)
        self.assertEqual(
            got.things, [Delivery(str(ws.identity), "key", 1, sent, redelivered=False)]
        )

    async def test_a_killed_workers_messages_go_to_another(self) -> None:
        """When a worker dies, what it had not answered is handled by another, marked."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        never: Deferred[Sequence[Item]] = Deferred()
        stuck: Seen[Delivery] = Seen()

        def handle(delivery: Delivery) -> Deferred[Sequence[Item]]:
            stuck(delivery)
            return never

        http1.on_delivery(handle)
        await self.rename_ready(http2, ready=False, seen_by=ws, count=2)
        client = Client()
        lane = ws.open_lane("key", client.events())
        for number in range(5):
            lane.forward(item(str(number)))
        await stuck.count(1)
        await self.rename_ready(http2, ready=True, seen_by=ws, count=3)
        kill(http1)
        await client.replies.count(5)
        self.assertEqual(client.replies.things, [f"re {n}" for n in range(5)])
        self.assertEqual({slot for slot, _ in self.handled.things}, {"http-2"})
        self.assertTrue(all(d.redelivered for _, d in self.handled.things))

    async def test_a_death_that_is_announced_moves_keys_at_once(self) -> None:
        """Whoever saw a worker end says so, and nobody waits for its silence."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        http1.on_delivery(lambda _: Deferred())
        await self.rename_ready(http2, ready=False, seen_by=ws, count=2)
        client = Client()
        ws.open_lane("key", client.events()).forward(item("x"))
        await self.until(lambda: http1._deliveries.load == 1)
        await self.rename_ready(http2, ready=True, seen_by=ws, count=3)
        kill(http1)
        self.rig.ended(http1.identity)
        await client.replies.count(1)
        self.assertEqual(client.replies.things, ["re x"])
        self.assertTrue(self.handled.things[0][1].redelivered)
        self.assertEqual(self.rig.counters["declared dead: it ended"], 1)
        self.assertEqual(self.rig.counters["declared dead: silent"], 0)

    async def test_whose_end_was_announced_is_never_heard_again(self) -> None:
        """A process that was announced dead is put out, though it still speaks."""
        http, ws = await self.joined("http-1", "ws-1")
        fenced: Seen[str] = Seen()
        http.on_fenced(lambda: fenced("out"))
        self.rig.ended(http.identity)
        await fenced.count(1)
        self.assertGreaterEqual(self.rig.counters["refused: fenced"], 1)
        await self.until(lambda: str(http.identity) not in ws._around.table.members)

    async def test_what_kills_two_workers_is_given_up(self) -> None:
        """A message that kills whoever handles it is given up; the next one is not."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        died: Seen[str] = Seen()

        def deadly(bus: BusCore) -> Callable[[Delivery], Any]:
            async def handle(_: Delivery) -> Sequence[Item]:
                reactor.callLater(0, kill, bus)
                died(bus.identity.slot)
                return await Deferred[Sequence[Item]]()

            return handle

        http1.on_delivery(deadly(http1))
        http2.on_delivery(deadly(http2))
        client = Client()
        lane = ws.open_lane("key", client.events())
        lane.forward(item("poison"))
        lane.forward(item("good"))
        await died.count(2)
        await client.given_up.count(1)
        await self.join("http-3")
        await client.replies.count(1)
        self.assertEqual(client.given_up.things, ["poison"])
        self.assertEqual(client.replies.things, ["re good"])
        self.assertEqual({*died.things}, {"http-1", "http-2"})

    async def rename_ready(
        self, bus: BusCore, *, ready: bool, seen_by: BusCore, count: int
    ) -> None:
        """Change readiness, and wait until it is seen."""
        bus.announce(ready=ready)
        await self.sees(seen_by, count)

    async def test_a_broker_restart_loses_nothing(self) -> None:
        """While the broker is replaced every message is still handled once, in order."""
        _, _, ws = await self.joined("http-1", "http-2", "ws-1")
        clients = [Client() for _ in range(8)]
        lanes = [ws.open_lane(f"k{n}", c.events()) for n, c in enumerate(clients)]
        for number in range(60):
            for lane in lanes:
                lane.forward(item(str(number)))
            if number in {20, 40}:
                await self.handled.count(number)
                self.rig.stop_broker()
                self.rig.start()
        for client in clients:
            await client.replies.count(60)
            self.assertEqual(client.replies.things, [f"re {n}" for n in range(60)])
        self.assertEqual(len(self.handled.things), 8 * 60)

    async def test_a_draining_worker_is_left_in_peace(self) -> None:
        """A draining worker finishes what it has, gets nothing new, and knows the end."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        await self.rename_ready(http2, ready=False, seen_by=ws, count=2)
        client = Client()
        lane = ws.open_lane("key", client.events())
        lane.forward(item("first"))
        await client.replies.count(1)
        await self.rename_ready(http2, ready=True, seen_by=ws, count=3)
        self.assertTrue(await http1.drain(30))
        lane.forward(item("second"))
        await client.replies.count(2)
        self.assertEqual(
            [slot for slot, _ in self.handled.things], ["http-1", "http-2"]
        )
        self.assertFalse(self.handled.things[1][1].redelivered)

    async def test_drain_says_when_the_time_was_too_short(self) -> None:
        """A drain that does not end in time says so."""
        http, ws = await self.joined("http-1", "ws-1")
        http.on_delivery(lambda _: Deferred())
        ws.open_lane("key", Client().events()).forward(item("stuck"))
        await self.until(lambda: http._deliveries.load == 1)
        self.assertFalse(await http.drain(0.05))

    async def test_a_failing_handler_does_not_stop_the_key(self) -> None:
        """A handler that raises is logged; the message counts as handled."""
        http, ws = await self.joined("http-1", "ws-1")

        async def handle(delivery: Delivery) -> Sequence[Item]:
            if delivery.number == 1:
                raise NoBus
            return [delivery.item]

        http.on_delivery(handle)
        client = Client()
        lane = ws.open_lane("key", client.events())
        lane.forward(item("bad"))
        lane.forward(item("good"))
        await client.replies.count(1)
        self.assertEqual(client.replies.things, ["good"])
        self.assertEqual(len(self.flushLoggedErrors(NoBus)), 1)

    async def test_keys_do_not_wait_for_each_other(self) -> None:
        """One slow client does not hold up the others of its worker."""
        http, ws = await self.joined("http-1", "ws-1")
        slow: Deferred[Sequence[Item]] = Deferred()

        async def handle(delivery: Delivery) -> Sequence[Item]:
            return await slow if delivery.key == "slow" else [delivery.item]

        http.on_delivery(handle)
        clients = Client(), Client()
        ws.open_lane("slow", clients[0].events()).forward(item("1"))
        ws.open_lane("quick", clients[1].events()).forward(item("2"))
        await clients[1].replies.count(1)
        self.assertEqual(clients[0].replies.things, [])
        slow.callback([item("at last")])
        await clients[0].replies.count(1)

    async def test_a_full_window_pauses_and_goes_on(self) -> None:
        """A client that talks too fast is paused, and told when there is room."""
        http, ws = await self.joined("http-1", "ws-1")
        gate: Deferred[None] = Deferred()

        async def handle(delivery: Delivery) -> Sequence[Item]:
            if not gate.called:
                await gate
            return [delivery.item]

        http.on_delivery(handle)
        client = Client()
        lane = ws.open_lane("key", client.events())
        accepted = [lane.forward(item(str(n))) for n in range(FAST.window_messages)]
        self.assertEqual(accepted, [True] * (FAST.window_messages - 1) + [False])
        await self.until(lambda: http._deliveries.load == 1)
        self.assertEqual(client.rooms.things, [])
        gate.callback(None)
        await client.rooms.count(1)
        await client.replies.count(FAST.window_messages)
        self.assertEqual(len(client.rooms.things), 1)

    async def test_a_source_that_ignores_the_pause_is_refused(self) -> None:
        """Whoever goes on regardless gets an error, and what was taken is kept."""
        small = attrs.evolve(FAST, window_messages=2, queue_messages=4)
        ws = await self.join("ws-1", config=small)
        client = Client()
        lane = ws.open_lane("key", client.events())
        for number in range(4):
            lane.forward(item(str(number)))
        self.assertRaises(QueueFull, lane.forward, item("4"))
        await self.join("http-1")
        await client.replies.count(4)
        self.assertEqual(client.replies.things, ["re 0", "re 1", "re 2", "re 3"])

    async def test_a_closed_lane_is_forgotten_on_both_sides(self) -> None:
        """Closing a connection leaves nothing behind, and its key is free again."""
        http, ws = await self.joined("http-1", "ws-1")
        lane = ws.open_lane("key", Client().events())
        self.assertRaises(ValueError, ws.open_lane, "key", Client().events())
        lane.forward(item("bye"))
        lane.close()
        await self.handled.count(1)
        await self.until(lambda: http._deliveries.empty)
        self.assertRaises(Undeliverable, lane.forward, item("late"))
        client = Client()
        ws.open_lane("key", client.events()).forward(item("again"))
        await client.replies.count(1)

    async def test_the_loss_of_an_origin_is_told_once(self) -> None:
        """When a ws worker dies, its http worker learns which connections went too."""
        http, ws1, ws2 = await self.joined("http-1", "ws-1", "ws-2")
        lost: Seen[tuple[WorkerId, tuple[str, ...]]] = Seen()
        http.on_origin_lost(lambda worker, keys: lost((worker, tuple(keys))))
        lanes = {key: ws1.open_lane(key, Client().events()) for key in "abc"}
        ws2.open_lane("other", Client().events()).forward(item("x"))
        for lane in lanes.values():
            lane.forward(item("x"))
        lanes["b"].close()
        await self.handled.count(4)
        await self.until(lambda: len(http._deliveries._inbox) == 3)
        kill(ws1)
        await lost.count(1)
        self.assertEqual(lost.things, [(ws1.identity, ("a", "c"))])

    # --- send

    async def test_a_send_reaches_the_owner_in_order(self) -> None:
        """What is sent to a connection arrives at its worker, in order."""
        http1, http2, ws1, _ = await self.joined("http-1", "http-2", "ws-1", "ws-2")
        conn = new_conn_id(ws1.identity, secrets.token_bytes)
        sent = [http1.send(item(str(n), conn)) for n in range(200)]
        sent += [http2.send(item("other", conn))]
        await gatherResults(sent)
        texts = [one.body.decode() for slot, one in self.taken.things if slot == "ws-1"]
        self.assertEqual(len(texts), 201)
        texts.remove("other")
        self.assertEqual(texts, [str(n) for n in range(200)])

    async def test_the_owner_says_why_it_did_not_take_it(self) -> None:
        """A send to a closed connection fails with the owner's reason."""
        http, ws = await self.joined("http-1", "ws-1")
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        with self.assertRaises(Undeliverable) as caught:
            await http.send(item("closed", conn))
        self.assertEqual(caught.exception.reason, "it is closed")
        await http.send(item("open", conn))

    async def test_a_send_to_nobody_fails(self) -> None:
        """A connection of a worker that is gone, or no connection at all: an error."""
        (http,) = await self.joined("http-1")
        gone = new_conn_id(WorkerId("ws-7", 3, "ab"), secrets.token_bytes)
        for conn_id in (gone, "no-connection-id", ""):
            with self.assertRaises(Undeliverable):
                await http.send(item("x", conn_id))

    async def test_a_send_to_a_worker_that_dies_fails(self) -> None:
        """When the owner dies with a send on its way, the sender learns it."""
        http, ws = await self.joined("http-1", "ws-1")
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        kill(ws)
        with self.assertRaises(Undeliverable):
            await http.send(item("x", conn))

    async def test_sends_survive_a_broker_restart(self) -> None:
        """Sends that meet a broker restart arrive once, in order."""
        http, ws = await self.joined("http-1", "ws-1")
        conn = new_conn_id(ws.identity, secrets.token_bytes)
        sent = [http.send(item(str(n), conn)) for n in range(30)]
        self.rig.stop_broker()
        sent += [http.send(item(str(n), conn)) for n in range(30, 60)]
        self.rig.start()
        await gatherResults(sent)
        texts = [one.body.decode() for _, one in self.taken.things]
        self.assertEqual(texts, [str(n) for n in range(60)])

    # --- call

    def serve(self, *buses: BusCore) -> None:
        """Answer some calls."""

        async def refuse(_: IncomingCall) -> object:
            raise Undeliverable(target="you", reason="not today")

        for bus in buses:

            async def who(call: IncomingCall, bus: BusCore = bus) -> object:
                return [bus.identity.slot, call.payload]

            bus.serve("who", who)
            bus.serve("refuse", refuse)
            bus.serve("silence", lambda _: Deferred())

    async def test_calls_find_their_target(self) -> None:
        """A slot, any worker of a role, or all of them answer a call."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        self.serve(http1, http2, ws)
        payload = {"a": [1, None, "x"], "b": b"bytes"}
        answer = await ws.call("http-2", "who", payload, timeout_s=30)
        self.assertEqual(answer, ["http-2", payload])
        anyone = [await ws.call("http", "who", 1, timeout_s=30) for _ in range(4)]
        self.assertEqual({slot for slot, _ in anyone}, {"http-1", "http-2"})
        everyone = await http1.call("http*", "who", 2, timeout_s=30)
        self.assertEqual(sorted(everyone), [["http-1", 2], ["http-2", 2]])
        self.assertEqual(await ws.call("ws-1", "who", 3, timeout_s=30), ["ws-1", 3])

    async def test_a_call_goes_to_who_has_least_to_do(self) -> None:
        """A worker that is busy with calls is spared while another one is idle."""
        http1, http2, ws = await self.joined("http-1", "http-2", "ws-1")
        self.serve(http1, http2)
        stuck = [ws.call("http-1", "silence", None, timeout_s=60) for _ in range(9)]
        for each in stuck:
            each.addErrback(lambda failure: failure.trap(Unroutable))
        busy = str(http1.identity)
        await self.until(lambda: ws._around.table.members[busy].load == 9)
        answers = [await ws.call("http", "who", n, timeout_s=30) for n in range(6)]
        self.assertEqual(answers, [["http-2", n] for n in range(6)])

    async def test_a_call_to_nobody_fails_at_once(self) -> None:
        """Nobody there: an error, long before the deadline."""
        (ws,) = await self.joined("ws-1")
        for target in ("http-1", "http", "http*", "nonsense"):
            with self.assertRaises(Unroutable) as caught:
                await ws.call(target, "who", None, timeout_s=3600)
            self.assertEqual(caught.exception.target, target)

    async def test_a_call_fails_when_who_has_it_dies(self) -> None:
        """Nobody waits for the deadline of a call that died with its worker."""
        http, other, ws = await self.joined("http-1", "http-2", "ws-1")
        self.serve(http, other)
        lost = ws.call("http-1", "silence", None, timeout_s=3600)
        await self.until(lambda: http._calls.answering == 1)
        kill(http)
        with self.assertRaises(Unroutable) as caught:
            await lost
        self.assertEqual(caught.exception.target, "http-1")
        answer = await ws.call("http", "who", 1, timeout_s=30)
        self.assertEqual(answer, ["http-2", 1])

    async def test_a_call_goes_to_the_newest_generation(self) -> None:
        """During an update the slot's name means its newest ready generation."""
        old, new = await self.join("http-1", 1), await self.join("http-1", 2)
        (ws,) = [await self.join("ws-1")]
        for bus, name in ((old, "old"), (new, "new")):

            async def which(_: IncomingCall, name: str = name) -> object:
                return name

            bus.serve("which", which)
        await self.sees(ws, 3)
        self.assertEqual(await ws.call("http-1", "which", None, timeout_s=30), "new")
        await self.rename_ready(new, ready=False, seen_by=ws, count=2)
        self.assertEqual(await ws.call("http-1", "which", None, timeout_s=30), "old")

    async def test_an_unanswered_call_ends_in_time(self) -> None:
        """Silence ends at the deadline."""
        http, ws = await self.joined("http-1", "ws-1")
        self.serve(http)
        with self.assertRaises(CallTimeout) as caught:
            await ws.call("http-1", "silence", None, timeout_s=0.05)
        self.assertIn("silence", str(caught.exception))

    async def test_a_refusal_brings_its_sentence(self) -> None:
        """An error of the other side arrives as a sentence, without a traceback."""
        http, ws = await self.joined("http-1", "ws-1")
        self.serve(http)
        with self.assertRaises(CallRefused) as caught:
            await ws.call("http-1", "refuse", None, timeout_s=30)
        self.assertEqual(caught.exception.reason, "Not delivered to you: not today.")
        with self.assertRaises(CallRefused) as caught:
            await ws.call("http-1", "unheard", None, timeout_s=30)
        self.assertIn("does not know unheard", caught.exception.reason)

    async def test_an_answer_that_cannot_travel_is_a_refusal(self) -> None:
        """A result that msgpack cannot carry is refused, not lost."""
        http, ws = await self.joined("http-1", "ws-1")

        async def odd(_: IncomingCall) -> object:
            return object()

        http.serve("odd", odd)
        with self.assertRaises(CallRefused):
            await ws.call("http-1", "odd", None, timeout_s=30)
        with self.assertRaises(BadFrame):
            await ws.call("http-1", "odd", object(), timeout_s=30)

    # --- traces

    async def test_a_call_is_answered_under_its_trace(self) -> None:
        """Whoever answers works in a span of their own, below the caller's."""
        http, ws = await self.joined("http-1", "ws-1")
        seen: Seen[Trace | None] = Seen()

        async def answer(_: IncomingCall) -> object:
            await self.moment(0)
            seen(current_trace())
            return 1

        http.serve("m", answer)
        await ws.call("http-1", "m", None, timeout_s=30, trace=TRACE)
        await ws.call("http-1", "m", None, timeout_s=30)
        traced, plain = seen.things
        self.assert_child(traced)
        self.assertIsNone(plain)

    async def test_a_refused_call_is_logged_under_its_trace(self) -> None:
        """What a handler raised is logged in the span that it worked in."""
        http, ws = await self.joined("http-1", "ws-1")
        logged = failures_logged(self)

        async def fail(_: IncomingCall) -> object:
            raise ZeroDivisionError

        http.serve("m", fail)
        with self.assertRaises(CallRefused):
            await ws.call("http-1", "m", None, timeout_s=30, trace=TRACE)
        self.assert_child(logged.things[0])
        self.flushLoggedErrors(ZeroDivisionError)

    async def test_a_message_is_handled_under_its_trace(self) -> None:
        """A handler works below the client's span, each message in its own.

        What it sends back carries that; messages without a trace are under none.
        """
        http, ws = await self.joined("http-1", "ws-1")
        seen: Seen[Trace | None] = Seen()
        back: Seen[Item] = Seen()

        async def handle(delivery: Delivery) -> Sequence[Item]:
            await self.moment(0)
            seen(current_trace())
            return [item("re")]

        def replied(items: Sequence[Item]) -> None:
            for one in items:
                back(one)

        http.on_delivery(handle)
        lane = ws.open_lane("key", LaneEvents(replied, lambda: None))
        for trace in (TRACE, TRACE, None):
            lane.forward(item("x").traced(trace))
        await back.count(3)
        first, second, plain = seen.things
        self.assert_child(first)
        self.assert_child(second)
        self.assertNotEqual(first, second)
        self.assertIsNone(plain)
        self.assertEqual(
            [one.event.traceparent for one in back.things],
            [first and first.traceparent, second and second.traceparent, UNSET],
        )

    async def test_a_failing_message_is_logged_under_its_trace(self) -> None:
        """What a handler raised is logged in the span that it worked in."""
        http, ws = await self.joined("http-1", "ws-1")
        logged = failures_logged(self)

        async def fail(_: Delivery) -> Sequence[Item]:
            raise ZeroDivisionError

        http.on_delivery(fail)
        ws.open_lane("key", Client().events()).forward(item("x").traced(TRACE))
        await logged.count(1)
        self.assert_child(logged.things[0])
        self.flushLoggedErrors(ZeroDivisionError)

    async def test_sends_and_publications_carry_a_trace(self) -> None:
        """Both headers arrive as they were sent, and are not there if there are none."""
        http, ws = await self.joined("http-1", "ws-1")
        heard: Seen[Publication] = Seen()
        ws.subscribe("news", heard)
        await self.hears(http, ws)
        conn_id = new_conn_id(ws.identity, secrets.token_bytes)
        for trace in (TRACE, None):
            await http.send(item("x", conn_id).traced(trace))
            http.publish("news", item("x").traced(trace))
        await heard.count(2)
        taken = [one.event for _, one in self.taken.things]
        published = [one.item.event for one in heard.things]
        for traced, plain in (taken, published):
            self.assertEqual(
                (traced.traceparent, traced.tracestate), (TRACE.traceparent, "a=1")
            )
            self.assertEqual((plain.traceparent, plain.tracestate), (UNSET, UNSET))

    def assert_child(self, trace: Trace | None) -> None:
        """Fail unless this is a span of its own below `TRACE`."""
        assert trace is not None
        self.assertEqual(
            trace, attrs.evolve(TRACE, span_id=trace.span_id, parent_id=TRACE.span_id)
        )
        self.assertNotEqual(trace.span_id, TRACE.span_id)

    # --- publish

    async def test_publications_reach_exactly_their_topic(self) -> None:
        """Every subscriber of a topic gets it in order, and no other topic."""
        http, ws1, ws2 = await self.joined("http-1", "ws-1", "ws-2")
        got: Seen[tuple[str, str]] = Seen()
        others: Seen[Publication] = Seen()
        for name, bus in (("ws-1", ws1), ("ws-2", ws2)):

            def heard(one: Publication, name: str = name) -> None:
                got((name, one.item.body.decode()))

            bus.subscribe("news", heard)
            bus.subscribe("new", others)
            bus.subscribe("newspaper", others)
        await self.hears(http, ws1, ws2)
        for number in range(50):
            http.publish("news", item(str(number)))
        await got.count(100)
        for name in ("ws-1", "ws-2"):
            texts = [text for slot, text in got.things if slot == name]
            self.assertEqual(texts, [str(n) for n in range(50)])
        self.assertEqual(others.things, [])

    async def hears(self, publisher: BusCore, *subscribers: BusCore) -> None:
        """Wait until what ``publisher`` publishes reaches everyone."""
        for bus in subscribers:
            heard: Seen[Publication] = Seen()
            subscription = bus.subscribe("probe", heard)
            while not heard.things:
                publisher.publish("probe", item("?"))
                await self.moment(0.02)
            subscription.cancel()
            subscription.cancel()

    async def test_gaps_are_counted(self) -> None:
        """Who missed publications learns how many."""
        http, ws = await self.joined("http-1", "ws-1")
        got: Seen[Publication] = Seen()
        ws.subscribe("news", got)
        await self.hears(http, ws)
        http.publish("news", item("1"))
        await got.count(1)
        http._topics._sent.next(str(http.identity), "news")
        http._topics._sent.next(str(http.identity), "news")
        http.publish("news", item("4"))
        await got.count(2)
        self.assertEqual([p.missed for p in got.things], [0, 2])
        self.assertEqual(ws.figures().incidents, {"publication: missed": 2})

    async def test_a_cancelled_subscription_is_silent(self) -> None:
        """After cancelling nothing arrives any more."""
        http, ws = await self.joined("http-1", "ws-1")
        ended: Seen[Publication] = Seen()
        going: Seen[Publication] = Seen()
        subscription = ws.subscribe("news", ended)
        ws.subscribe("news", going)
        await self.hears(http, ws)
        subscription.cancel()
        http.publish("news", item("x"))
        await going.count(1)
        self.assertEqual(ended.things, [])

    # --- figures

    async def test_what_was_done_is_counted(self) -> None:
        """Each verb is counted at both ends, and what waits is known."""
        http, ws = await self.joined("http-1", "ws-1")
        before = http.figures().done["received"]
        heard: Seen[Publication] = Seen()
        http.subscribe("news", heard)
        await self.hears(ws, http)
        client = Client()
        ws.open_lane("key", client.events()).forward(item("hello"))
        await client.replies.count(1)
        await http.send(item("x", new_conn_id(ws.identity, secrets.token_bytes)))
        http.serve("who", answered)
        self.assertEqual(await ws.call("http-1", "who", None, timeout_s=60), "me")
        ours, theirs = ws.figures(), http.figures()
        self.assertEqual((ours.done["forwarded"], theirs.done["handled"]), (1, 1))
        self.assertEqual((theirs.done["sent"], ours.done["taken"]), (1, 1))
        self.assertEqual((ours.done["delivered"], theirs.done["delivered"]), (1, 1))
        self.assertEqual((ours.done["asked"], theirs.done["answered"]), (1, 1))
        self.assertGreater(ours.done["published"], 0)
        self.assertGreater(theirs.done["received"], before)
        self.assertEqual(theirs.now["lanes_bound"], 1)
        idle = dict.fromkeys(theirs.now, 0) | {"lanes_bound": 1}
        self.assertEqual(theirs.now, idle)

    async def test_what_waits_and_what_went_wrong_is_counted(self) -> None:
        """What nobody has acknowledged waits; failures have their reasons."""
        http, ws = await self.joined("http-1", "ws-1")
        http.on_delivery(lambda _: Deferred())
        lane = ws.open_lane("key", Client().events())
        lane.forward(item("one"))
        lane.forward(item("two"))
        http.serve("never", lambda _: Deferred())
        asked = ws.call("http-1", "never", None, timeout_s=0.05)
        await self.until(lambda: http.figures().now["calls_answering"] == 1)
        await self.until(lambda: http.figures().now["deliveries_waiting"] == 1)
        self.assertEqual(ws.figures().now["lane_items"], 2)
        self.assertGreater(ws.figures().now["lane_bytes"], 0)
        with self.assertRaises(CallTimeout):
            await asked
        self.assertEqual(ws.figures().incidents["call: CallTimeout"], 1)
        self.assertEqual(ws.figures().now["calls_open"], 0)

    async def test_news_of_one_turn_arrive_in_order(self) -> None:
        """However much is published at once, it arrives whole, numbered and in order."""
        http, ws = await self.joined("http-1", "ws-1")
        got: Seen[Publication] = Seen()
        ws.subscribe("news", got)
        await self.hears(http, ws)
        for number in range(500):
            http.publish("news", item(str(number)))
        await got.count(500)
        self.assertEqual(
            [(p.item.body.decode(), p.number, p.missed) for p in got.things],
            [(str(n), n + 1, 0) for n in range(500)],
        )
        self.assertEqual({p.origin for p in got.things}, {str(http.identity)})

    # --- life

    async def test_a_worker_that_slept_is_put_out(self) -> None:
        """A worker that was declared dead is told so, once, and stays out."""
        http, ws = await self.joined("http-1", "ws-1")
        fenced: Seen[str] = Seen()
        http.on_fenced(lambda: fenced("out"))
        http._link._beating.stop()
        await self.until(lambda: str(http.identity) not in ws._around.table.members)
        http._link.hello()
        await fenced.count(1)
        self.assertFalse(http.connected)
        with self.assertRaises(Unroutable):
            await ws.call("http-1", "who", None, timeout_s=3600)

    async def test_leaving_is_noticed_at_once(self) -> None:
        """A worker that says goodbye is gone for everyone, and nothing is fenced."""
        http, ws = await self.joined("http-1", "ws-1")
        fenced: Seen[str] = Seen()
        http.on_fenced(lambda: fenced("out"))
        await http.close()
        await self.until(lambda: str(http.identity) not in ws._around.table.members)
        self.assertEqual(fenced.things, [])
        self.assertFalse(http.connected)

    async def test_a_worker_is_connected_again_after_a_broker_restart(self) -> None:
        """A restart of the broker is survived, publications included."""
        http, ws = await self.joined("http-1", "ws-1")
        boot = ws._around.table.boot
        self.rig.stop_broker()
        self.rig.start()
        await self.until(lambda: ws._around.table.boot != boot and ws.connected)
        await self.sees(ws, 2)
        await self.hears(http, ws)


async def answered(_: IncomingCall) -> object:
    """Answer a call."""
    return "me"


class MemoryContractTests(Contract, TestCase):
    """The promises, inside one process."""

    def make_rig(self) -> Rig:
        """Return a hub on the real reactor."""
        return MemoryRig(reactor)


class ZmqContractTests(Contract, TestCase):
    """The promises, over ZeroMQ on UNIX sockets."""

    def make_rig(self) -> Rig:
        """Return a broker and its sockets."""
        return ZmqRig(self, reactor)


class TcpContractTests(Contract, TestCase):
    """The promises, over ZeroMQ on TCP with keys."""

    def make_rig(self) -> Rig:
        """Return a broker and its sockets."""
        keys = BusKeys.new(secrets.token_bytes)
        return ZmqRig(self, reactor, on_tcp(keys))
