"""The broker's mind, without sockets."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.boundaries import Outgoing, Router
from tbtwist.broker.routing import FENCED_BOUND, RoutingTable
from tbtwist.bus.codec import Verb, decode_number, decode_route
from tbtwist.bus.config import BusConfig
from tests.broker.frames import Frames, beat, message, table, verbs

H1, H2, W1 = "http-1.1.aa", "http-2.1.bb", "ws-1.1.cc"
CONFIG = BusConfig()


class Broker:
    """A routing table and the time."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.table = RoutingTable("boot", CONFIG, self.now)
        self.router: Router = self.table
        for name in names:
            self.get(beat(name))

    def get(self, frames: Frames, peer: str | None = "") -> list[Outgoing]:
        """Let the broker receive; the peer is who the route says unless given."""
        if peer == "":
            peer = decode_route(frames[0]).origin
        address = None if peer is None else peer.encode()
        return list(self.router.received(frames, address, self.now))

    def sleep(self, seconds: float, *awake: str) -> list[Outgoing]:
        """Let time pass in ticks; ``awake`` workers beat meanwhile."""
        sent: list[Outgoing] = []
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            for name in awake:
                self.get(beat(name))
            sent += self.router.tick(self.now)
        return sent


class TableTests(SynchronousTestCase):
    """Who is there."""

    def test_everyone_learns_who_comes(self) -> None:
        """A newcomer is announced to all, itself included."""
        broker = Broker(H1)
        sent = broker.get(beat(W1, ready=False))
        self.assertEqual(verbs(sent), [(H1, "TABLE"), (W1, "TABLE")])
        members = {m.identity: m.ready for m in table(sent).members}
        self.assertEqual(members, {H1: True, W1: False})

    def test_a_heartbeat_is_no_news(self) -> None:
        """Nothing is told when nothing changed; readiness is told at once."""
        broker = Broker(H1, W1)
        self.assertEqual(broker.get(beat(H1, load=9)), [])
        sent = broker.get(beat(H1, ready=False))
        self.assertEqual(len(sent), 2)
        self.assertEqual([m.load for m in table(sent).members], [0, 0])

    def test_the_table_comes_every_second(self) -> None:
        """The table is the broker's heartbeat, with boot id and version."""
        broker = Broker(H1)
        before = broker.table._version
        sent = broker.sleep(2, H1)
        self.assertEqual(verbs(sent), [(H1, "TABLE")] * 2)
        self.assertEqual((table(sent).boot, table(sent).version), ("boot", before))

    def test_a_young_table_says_so(self) -> None:
        """Until everyone had time to come back, the broker knows that it does not know."""
        broker = Broker(H1)
        self.assertFalse(table(broker.sleep(2, H1)).settled)
        self.assertTrue(table(broker.sleep(2, H1)).settled)

    def test_a_young_broker_that_slept(self) -> None:
        """Its own sleep gives nobody time to come back, so it knows nothing yet."""
        broker = Broker(H1)
        broker.now += 60
        self.assertFalse(table(broker.router.tick(broker.now)).settled)

    def test_silence_is_death(self) -> None:
        """A silent worker is declared dead after three seconds, not before."""
        broker = Broker(H1, W1)
        broker.sleep(3, W1)
        self.assertIn(H1, broker.table._workers)
        sent = broker.sleep(0.25, W1)
        self.assertEqual([m.identity for m in table(sent).members], [W1])
        self.assertEqual(broker.table.counters["declared dead: silent"], 1)

    def test_a_process_that_ended_is_dead_at_once(self) -> None:
        """Nobody waits for the silence of a worker whose end was seen."""
        broker = Broker(H1, H2, W1)
        sent = list(broker.table.ended("http-1", 1, broker.now))
        self.assertEqual([m.identity for m in table(sent).members], [H2, W1])
        self.assertEqual(broker.table.counters["declared dead: it ended"], 1)
        late = broker.get(message(Verb.FORWARD_ACK, W1, H1))
        self.assertEqual(verbs(late), [(H1, "FENCED")])

    def test_only_that_process_is_dead(self) -> None:
        """The next generation of the slot is somebody else."""
        broker = Broker("http-1.2.dd", W1)
        broker.table.ended("http-1", 1, broker.now)
        self.assertEqual(broker.table.workers, ("http-1.2.dd", W1))
        self.assertEqual(broker.table.counters["declared dead: it ended"], 0)

    def test_an_end_is_known_before_its_process(self) -> None:
        """What a dead process had still under way does not bring it back."""
        broker = Broker(W1)
        broker.table.ended("http-1", 1, broker.now)
        self.assertEqual(verbs(broker.get(beat(H1))), [(H1, "FENCED")])
        self.assertEqual(broker.table.workers, (W1,))

    def test_a_young_broker_hands_on_who_has_ended(self) -> None:
        """Who died together with the last broker is not waited for either."""
        broker = Broker(W1)
        sent = broker.table.ended("http-1", 1, broker.now)
        self.assertEqual(table(sent).ended, ("http-1.1",))
        self.assertEqual(table(broker.sleep(4, W1)).ended, ())
        self.assertEqual(broker.table.ended("http-2", 1, broker.now), ())

    def test_any_message_is_a_sign_of_life(self) -> None:
        """A busy worker whose heartbeat is late is not dead."""
        broker = Broker(H1, W1)
        for _ in range(8):
            broker.sleep(1, W1)
            broker.get(message(Verb.FORWARD_ACK, W1, H1))
        self.assertIn(H1, broker.table._workers)

    def test_a_broker_that_slept_blames_nobody(self) -> None:
        """After a stall of the broker itself everyone is still there."""
        broker = Broker(H1, W1)
        broker.sleep(1, H1, W1)
        broker.now += 60
        broker.router.tick(broker.now)
        self.assertEqual(set(broker.table._workers), {H1, W1})
        broker.sleep(4, W1)
        self.assertEqual(set(broker.table._workers), {W1})

    def test_whoever_was_declared_dead_is_put_out(self) -> None:
        """It is told so for whatever it says, and what it says is not passed on."""
        broker = Broker(H1, W1)
        broker.sleep(4, W1)
        for frames in (beat(H1), message(Verb.FORWARD_ACK, W1, H1)):
            self.assertEqual(verbs(broker.get(frames)), [(H1, "FENCED")])
        send = message(Verb.SEND, W1, H1)
        self.assertEqual(verbs(broker.get(send, None)), [(H1, "FENCED")])
        self.assertEqual(broker.table.counters["refused: fenced"], 3)

    def test_whoever_was_declared_dead_before(self) -> None:
        """A new broker learns from the others whom the old one had put out."""
        broker = Broker(H1, W1)
        sent = broker.get(beat(W1, buried=(H1, "http-9.9.aa")))
        self.assertEqual(verbs(sent), [(H1, "FENCED"), (W1, "TABLE")])
        self.assertEqual([m.identity for m in table(sent).members], [W1])
        self.assertEqual(broker.table.counters["declared dead before"], 1)
        self.assertEqual(verbs(broker.get(beat(H1))), [(H1, "FENCED")])

    def test_leaving(self) -> None:
        """Whoever leaves gets a receipt, and the others the news."""
        broker = Broker(H1, W1)
        sent = broker.get(message(Verb.LEAVE, "", H1))
        self.assertEqual(verbs(sent), [(H1, "FENCED"), (W1, "TABLE")])
        self.assertEqual(verbs(broker.get(beat(H1))), [(H1, "FENCED")])

    def test_the_memory_of_the_dead_is_bounded(self) -> None:
        """Many updates do not fill the broker."""
        broker = Broker()
        for number in range(FENCED_BOUND + 5):
            broker.get(message(Verb.LEAVE, "", f"http-1.{number}.aa"))
        self.assertEqual(len(broker.table._fenced), FENCED_BOUND)


class RouteTests(SynchronousTestCase):
    """Where messages go."""

    def setUp(self) -> None:
        """Start with three workers."""
        self.broker = Broker(H1, H2, W1)

    def test_lanes_go_where_they_say(self) -> None:
        """Whatever names an identity goes there, frame by frame as it came."""
        for verb in (Verb.FORWARD, Verb.FORWARD_ACK, Verb.SEND_ACK, Verb.REPLY):
            frames = message(verb, H2, W1, b"header", b"\0body")
            self.assertEqual(self.broker.get(frames), [Outgoing(H2.encode(), frames)])

    def test_sends_come_by_push(self) -> None:
        """PULL takes sends, and nothing else."""
        frames = message(Verb.SEND, W1, H1, b"header", b"body")
        self.assertEqual(self.broker.get(frames, None), [Outgoing(W1.encode(), frames)])
        for verb in set(Verb) - {Verb.SEND}:
            self.assertEqual(self.broker.get(message(verb, W1, H1), None), [])

    def test_the_unroutable_comes_back(self) -> None:
        """The origin learns at once; its own route is in the answer."""
        frames = message(Verb.FORWARD, "http-9.1.aa", W1, b"header", b"body")
        (back,) = self.broker.get(frames)
        route = decode_route(back.frames[0])
        self.assertEqual((back.identity, route.verb), (W1.encode(), Verb.UNROUTABLE))
        self.assertEqual((route.rest, back.frames[1:]), (b"unknown", frames[:1]))

    def test_lost_answers_are_counted_only(self) -> None:
        """Nobody waits to hear that an acknowledgement or answer was lost."""
        for verb in (Verb.FORWARD_ACK, Verb.SEND_ACK, Verb.REPLY, Verb.REFUSED):
            self.assertEqual(self.broker.get(message(verb, "http-9.1.aa", W1)), [])
        self.assertEqual(self.broker.table.counters["unroutable: unknown"], 4)

    def test_what_the_sockets_could_not_send(self) -> None:
        """A vanished or full peer is counted by reason, and the origin told."""
        frames = message(Verb.FORWARD, H1, W1, b"header", b"body")
        (back,) = self.broker.router.undelivered(Outgoing(H1.encode(), frames), "full")
        self.assertEqual(decode_route(back.frames[0]).rest, b"full")
        ack = Outgoing(H1.encode(), message(Verb.FORWARD_ACK, H1, W1))
        self.assertEqual(list(self.broker.router.undelivered(ack, "full")), [])
        self.assertEqual(self.broker.table.counters["undelivered: full"], 2)

    def test_nobody_speaks_for_another(self) -> None:
        """A message whose origin is not its sender is dropped and counted."""
        frames = message(Verb.FORWARD, H1, W1)
        self.assertEqual(self.broker.get(frames, H2), [])
        self.assertEqual(self.broker.table.counters["dropped: bad frame"], 1)

    def test_nonsense_is_dropped(self) -> None:
        """Whatever cannot be read, or is not for the broker, is counted."""
        nonsense: list[tuple[Frames, Any]] = [
            ((), W1),
            ((b"",), W1),
            ((b"\xff\xff",), W1),
            (message(Verb.TABLE, "", W1), W1),
            (message(Verb.BEAT, "", W1), W1),
            (message(Verb.BEAT, "", W1, b"\xc1"), W1),
            (beat("no-identity"), "no-identity"),
            (message(Verb.LEAVE, "", W1, b"more"), W1),
            (message(Verb.CALL, "http", W1), W1),
        ]
        for frames, peer in nonsense:
            self.assertEqual(self.broker.get(frames, peer), [], frames)
        dropped = self.broker.table.counters["dropped: bad frame"]
        self.assertEqual(dropped, len(nonsense))
        self.assertEqual(set(self.broker.table._workers), {H1, H2, W1})


class CallTests(SynchronousTestCase):
    """Who answers a call."""

    def setUp(self) -> None:
        """Start with three workers and a caller."""
        self.broker = Broker(H1, H2, W1)

    def callees(self, target: str) -> list[str]:
        """Return who is asked."""
        sent = self.broker.get(message(Verb.CALL, target, W1, b"header"))
        return [name for name, verb in verbs(sent) if verb == "CALL"]

    def test_targets(self) -> None:
        """A slot, a role in turn, all of a role, or one process."""
        self.assertEqual(self.callees("http-2"), [H2])
        self.assertEqual({*self.callees("http"), *self.callees("http")}, {H1, H2})
        self.assertEqual(self.callees("http*"), [H1, H2])
        self.assertEqual(self.callees(H1), [H1])
        self.assertEqual(self.callees("ws"), [W1])

    def test_the_least_loaded_is_asked(self) -> None:
        """Of a role the one answers that has least to do, by its own word and ours."""
        self.broker.get(beat(H1, load=3))
        asked = [self.callees("http")[0] for _ in range(5)]
        self.assertEqual(asked[:3], [H2, H2, H2])
        self.assertEqual({*asked[3:]}, {H1, H2})
        self.broker.get(beat(H2, load=50))
        self.broker.get(beat(H1, load=0))
        self.assertEqual([self.callees("http")[0] for _ in range(9)], [H1] * 9)

    def test_equals_take_turns(self) -> None:
        """Calls are spread over workers that have nothing else to do."""
        asked = [self.callees("http")[0] for _ in range(10)]
        self.assertEqual((asked.count(H1), asked.count(H2)), (5, 5))

    def test_only_the_ready_are_asked(self) -> None:
        """A draining worker gets no call, unless it is named as a process."""
        self.broker.get(beat(H1, ready=False))
        for target, expected in (("http-1", []), ("http", [H2]), ("http*", [H2])):
            self.assertEqual(self.callees(target), expected)
        self.assertEqual(self.callees(H1), [H1])

    def test_the_newest_generation_answers(self) -> None:
        """The generation counts as a number, and only if it is ready."""
        self.broker.get(beat("http-1.10.dd"))
        self.broker.get(beat("http-1.9.ee"))
        self.assertEqual(self.callees("http-1"), ["http-1.10.dd"])
        self.broker.get(beat("http-1.11.ff", ready=False))
        self.assertEqual(self.callees("http-1"), ["http-1.10.dd"])

    def test_all_are_counted_first(self) -> None:
        """Who asks all of a role learns first how many answers to wait for."""
        sent = self.broker.get(message(Verb.CALL, "http*", W1, b"header"))
        self.assertEqual(verbs(sent), [(W1, "EXPECT"), (H1, "CALL"), (H2, "CALL")])
        self.assertEqual(decode_number(decode_route(sent[0].frames[0]).rest), 2)
        self.assertEqual(sent[0].frames[1], b"header")

    def test_nobody(self) -> None:
        """A call that nobody answers comes back at once, with its header."""
        for target in ("app", "app-1", "app*", "*", "", "http-1.5.aa"):
            (back,) = self.broker.get(message(Verb.CALL, target, W1, b"header"))
            self.assertEqual(verbs([back]), [(W1, "UNROUTABLE")])
            self.assertEqual(back.frames[2], b"header")


@attrs.define
class Naive:
    """The routing as one would write it down: lists, and no cleverness."""

    here: dict[str, tuple[bool, float]] = attrs.Factory(dict)
    out: set[str] = attrs.Factory(set)

    def expected(self, target: str) -> list[list[str]]:
        """Return every set of callees that would be right."""
        ready = [name for name, (is_ready, _) in self.here.items() if is_ready]
        if target in self.here:
            return [[target]]
        if target.endswith("*"):
            return [sorted(n for n in ready if n.split("-")[0] == target[:-1])]
        named = [n for n in ready if n.split(".")[0] == target]
        if named:
            return [[max(named, key=lambda name: int(name.split(".")[1]))]]
        able = [n for n in ready if n.split("-")[0] == target]
        return [[name] for name in able] or [[]]


NAMES = [
    f"{role}-{n}.{g}.aa" for role in ("http", "ws") for n in (1, 2) for g in (1, 2)
]
steps = st.one_of(
    st.tuples(st.just("beat"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("leave"), st.sampled_from(NAMES), st.just(False)),
    st.tuples(st.just("sleep"), st.sampled_from(NAMES), st.just(False)),
    st.tuples(
        st.just("call"),
        st.sampled_from(["http", "ws*", "http*", "http-1", "ws-2", *NAMES[:2]]),
        st.just(False),
    ),
)


class ModelTests(SynchronousTestCase):
    """The table does what a naive one would do."""

    caller = "app-1.1.ff"

    @given(st.lists(steps, max_size=40))
    def test_against_a_naive_model(self, todo: list[tuple[str, str, bool]]) -> None:
        """After any history the same workers are there, and the same ones are asked."""
        broker, naive = Broker(self.caller), Naive()
        for what, name, flag in todo:
            getattr(self, f"do_{what}")(broker, naive, name, flag)
            here = set(broker.table._workers) - {self.caller}
            self.assertEqual(here, set(naive.here))

    def do_beat(self, broker: Broker, naive: Naive, name: str, ready: bool) -> None:
        """A worker beats, or one that is out tries to."""
        sent = broker.get(beat(name, ready=ready))
        if name in naive.out:
            self.assertEqual(verbs(sent), [(name, "FENCED")])
        else:
            naive.here[name] = (ready, broker.now)

    def do_leave(self, broker: Broker, naive: Naive, name: str, _: bool) -> None:
        """A worker leaves."""
        broker.get(message(Verb.LEAVE, "", name))
        naive.here.pop(name, None)
        naive.out.add(name)

    def do_sleep(self, broker: Broker, naive: Naive, awake: str, _: bool) -> None:
        """Two seconds pass, in which one worker beats."""
        if awake in naive.here:
            ready, _heard = naive.here[awake]
            for _tick in range(8):
                broker.now += 0.25
                broker.get(beat(awake, ready=ready))
                broker.get(beat(self.caller))
                broker.router.tick(broker.now)
            naive.here[awake] = (ready, broker.now)
        else:
            broker.sleep(2, self.caller)
        for name, (_ready, heard) in tuple(naive.here.items()):
            if broker.now - heard > CONFIG.dead_after_s:
                del naive.here[name]
                naive.out.add(name)

    def do_call(self, broker: Broker, naive: Naive, target: str, _: bool) -> None:
        """Someone calls."""
        sent = broker.get(message(Verb.CALL, target, self.caller, b"h"))
        asked = sorted(name for name, verb in verbs(sent) if verb == "CALL")
        self.assertIn(asked, naive.expected(target))
        self.assertEqual(not asked, (self.caller, "UNROUTABLE") in verbs(sent))
