"""Whatever is done to a bus, in whatever order: its promises hold."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import override

from tbtwist.bus.codec import Verb
from tests.bus.model import CONFIG, STEP_S, Model

PLACES = st.integers(0, 1000)
LANES = (Verb.FORWARD, Verb.FORWARD_ACK, Verb.SEND, Verb.SEND_ACK)


class BusMachine(RuleBasedStateMachine):
    """Everything that people, machines and networks do to a bus."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    @initialize(http=st.integers(1, 3))
    def begin(self, http: int) -> None:
        """Start a few workers, and let them find each other."""
        for slot in ("ws-1", "ws-2", *(f"http-{n + 1}" for n in range(http))):
            self.model.worker(slot)
        self.model.hurry(at_once=True)
        self.model.run(4)
        for bus in self.model.role("ws"):
            self.model.talk(bus)

    # --- connections

    @precondition(lambda self: self.model.role("ws") and len(self.model.talkers) < 5)
    @rule(place=PLACES)
    def open(self, place: int) -> None:
        """A client connects."""
        owners = self.model.role("ws")
        self.model.talk(owners[place % len(owners)])

    @rule(place=PLACES, count=st.integers(1, 6))
    def forward(self, place: int, count: int) -> None:
        """A client says something."""
        talkers = [t for t in self.model.talkers if t.alive and not t.closed]
        if talkers:
            talkers[place % len(talkers)].say(count)
            self.model.run(STEP_S)

    @rule(count=st.integers(1, 6))
    def forward_all(self, count: int) -> None:
        """Everybody says something."""
        for talker in self.model.talkers:
            if talker.alive and not talker.closed:
                talker.say(count)
        self.model.run(STEP_S)

    @rule(place=PLACES)
    def shut(self, place: int) -> None:
        """A client leaves."""
        talkers = [t for t in self.model.talkers if t.alive and not t.closed]
        if len(talkers) > 1:
            talkers[place % len(talkers)].close()

    @rule(place=PLACES)
    def send(self, place: int) -> None:
        """An http worker sends to a connection, perhaps to a new one."""
        model = self.model
        https, owners = model.role("http"), model.role("ws")
        if https and owners and len(model.sent) < 4:
            model.pair(https[place % len(https)], owners[place % len(owners)])
        living = [sent for sent in model.sent if sent.bus._open]
        if living:
            living[place % len(living)].send()

    # --- workers

    @precondition(lambda self: self.model.in_hand)
    @rule(data=st.data())
    def handle(self, data: st.DataObject) -> None:
        """Some handlers come to their end, in any order."""
        for _ in range(data.draw(st.integers(1, 4))):
            if self.model.in_hand:
                place = data.draw(PLACES) % len(self.model.in_hand)
                self.model.finish(self.model.in_hand[place])
                self.model.run(STEP_S)

    @rule(at_once=st.booleans())
    def hurry(self, at_once: bool) -> None:
        """From now on handlers take no time, or as much as they like."""
        self.model.hurry(at_once=at_once)
        self.model.run(STEP_S)

    @rule(role=st.sampled_from(["http", "http", "http", "ws"]), place=PLACES)
    def die(self, role: str, place: int) -> None:
        """A worker is killed."""
        workers = self.model.role(role)
        if len(workers) > 1:
            self.model.die(workers[place % len(workers)])

    @rule(role=st.sampled_from(["http", "http", "ws"]), place=st.integers(1, 3))
    def come(self, role: str, place: int) -> None:
        """Another one takes its place."""
        if len(self.model.role(role)) < 3:
            self.model.worker(f"{role}-{place}")
            self.model.run(STEP_S)

    @rule(place=PLACES, ready=st.booleans())
    def drain(self, place: int, ready: bool) -> None:
        """An http worker takes nothing new, or has changed its mind."""
        workers = self.model.role("http")
        if workers:
            workers[place % len(workers)].announce(ready=ready)

    @rule(place=PLACES, lost=st.integers(0, 2))
    def shift(self, place: int, lost: int) -> None:
        """All http workers but one drain; the farewells to them may get lost."""
        self.model.hub.losses[Verb.FORWARD] += lost
        workers = self.model.role("http")
        for number, worker in enumerate(workers):
            worker.announce(ready=number == place % len(workers))
        self.model.run(STEP_S)

    @rule(lost=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def roll(self, lost: list[int]) -> None:
        """Each in turn is the only one that does not drain, while everybody talks."""
        for place, count in enumerate(lost):
            self.shift(place, count)
            self.forward_all(1)

    @rule(place=PLACES)
    def leave(self, place: int) -> None:
        """An http worker says goodbye, with whatever it has in hand."""
        workers = self.model.role("http")
        if len(workers) > 1:
            self.model.leave(workers[place % len(workers)])

    # --- the way between them

    @rule(verb=st.sampled_from(LANES), count=st.integers(1, 3))
    def lose(self, verb: Verb, count: int) -> None:
        """The next messages of a kind get lost."""
        self.model.hub.losses[verb] += count

    @rule(role=st.sampled_from(["http", "http", "ws"]), place=PLACES)
    def sever(self, role: str, place: int) -> None:
        """A worker is cut off, or stopped."""
        workers = [w for w in self.model.role(role) if w not in self.model.severed]
        if workers and (role == "http" or len(workers) > 1):
            self.model.sever(workers[place % len(workers)])

    @precondition(lambda self: self.model.severed)
    @rule(place=PLACES)
    def mend(self, place: int) -> None:
        """A worker that was cut off is back."""
        severed = self.model.severed
        self.model.mend(severed[place % len(severed)])
        self.model.run(STEP_S)

    @rule(place=PLACES, restarts=st.integers(0, 2), talk=st.booleans())
    def stall(self, place: int, restarts: int, talk: bool) -> None:
        """A worker stands still for long; brokers may die meanwhile, others talk."""
        workers = self.model.role("http") + self.model.role("ws")
        workers = [each for each in workers if each not in self.model.severed]
        if len(workers) < 3:
            return
        stalled = workers[place % len(workers)]
        self.model.sever(stalled)
        for _ in range(restarts):
            self.model.restart_broker()
            self.model.run(CONFIG.dead_after_s + 1)
        if talk:
            self.forward_all(2)
            self.send(place)
        self.model.run(CONFIG.dead_after_s)
        self.model.mend(stalled)
        self.model.run(STEP_S)

    @rule()
    def restart_broker(self) -> None:
        """The broker is killed, and another one takes over."""
        self.model.restart_broker()
        self.model.run(STEP_S)

    @rule(steps=st.sampled_from([1, 1, 2, 5, 14, 20]))
    def tick(self, steps: int) -> None:
        """Time passes."""
        self.model.run(steps * STEP_S)

    # --- what must be true

    @invariant()
    def promises(self) -> None:
        """What must always be true."""
        self.model.check()

    @override
    def teardown(self) -> None:
        """In the end nothing is missing."""
        self.model.heal()
        try:
            self.model.check_rest()
        finally:
            self.model.close()
        assert self.model.clock.getDelayedCalls() == []


class ModelTests(SynchronousTestCase):
    """Nothing is lost, nothing overtakes, nothing is done twice without the mark."""

    def test_whatever_happens(self) -> None:
        """Clients say, handlers end, processes die, wires break, brokers restart."""
        many = settings(
            max_examples=150,
            stateful_step_count=40,
            phases=[Phase.generate],  # shrinking takes minutes; the steps are few
            suppress_health_check=[*HealthCheck],
        )
        try:
            run_state_machine_as_test(BusMachine, settings=many)
        except AssertionError as error:
            steps = "\n".join(getattr(error, "__notes__", ()))
            raise AssertionError(f"{error}\n{steps}") from error

    def test_a_broker_restart_revives_nobody(self) -> None:
        """Whoever was declared dead is put out by the next broker as well.

        What it handled meanwhile is refused: its keys are elsewhere.
        """
        model = Model()
        ws, stalled = model.worker("ws-1"), model.worker("http-1")
        model.run(2)
        model.talk(ws)
        model.talkers[0].say(1)
        model.run(STEP_S)
        model.sever(stalled)
        model.finish(model.in_hand[0])
        model.run(CONFIG.dead_after_s + 1)
        model.worker("http-2")
        model.run(1)
        model.restart_broker()
        model.run(1)
        model.mend(stalled)
        model.run(1)
        self.assertFalse(stalled._open)
        self.assertGreaterEqual(ws.counters["refused: gone"], 1)
        self.assertEqual(model.talkers[0].heard, [])
        model.heal()
        model.check_rest()
        again = [
            again
            for _, _, again in model.handled[str(ws.identity), model.talkers[0].key]
        ]
        self.assertEqual(again, [False, True])
        model.close()
