"""Any order of broadcasts, losses, restarts and reconnections: never a silent gap."""

from __future__ import annotations

from collections import deque

import attrs
import msgspec
from hypothesis import settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.events import EventType, Item, Publication
from tbtwist.ws.gateway import Gateway
from tbtwist.ws.positions import mark_of
from tests.ws.fakes import FakeBus, item, make_gateway, settings
from tests.ws.resumable import Client, join

CHANNELS = ("a", "b", None)
MINE = ("a", None)
WORKERS = st.integers(0, 1)
SPEAKERS = st.integers(0, 1)


@attrs.define(eq=False)
class Speaker:
    """A publisher: its name, and what it said by number (None: just its position)."""

    name: str
    said: dict[int, tuple[str | None, bytes] | None] = attrs.Factory(dict)


@attrs.define(eq=False)
class Listener:
    """A ws worker, what is on the way to it, and the last number that arrived.

    What was said before it was there counts as arrived: nobody hears that from it.
    """

    gateway: Gateway
    bus: FakeBus
    waiting: dict[str, deque[tuple[int, Item]]] = attrs.Factory(dict)
    arrived: dict[str, int] = attrs.Factory(dict)
    lost: set[bytes] = attrs.Factory(set)


class ResumeMachine(RuleBasedStateMachine):
    """Two workers, two publishers, one client in the channel ``a``.

    The model: of every publisher, the client must have heard everything to its
    channels between its *base* (where it was when it last began anew) and where its
    worker is now, each once; except where it was told that its worker missed something.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.births = 0
        self.gone: list[Speaker] = []
        self.speakers = [self.speaker(), self.speaker()]
        self.listeners = [self.listener(), self.listener()]
        self.client = Client()
        self.at: Listener | None = None
        self.base: dict[str, int] = {}
        self.excused: set[bytes] = set()

    def speaker(self) -> Speaker:
        """Return a publisher that never was before."""
        self.births += 1
        return Speaker(f"http-1.{self.births}.aa")

    def listener(self) -> Listener:
        """Return a worker that hears from now on."""
        bus = FakeBus()
        configured = settings(history_size=2, history_total_bytes=2000)
        gateway = make_gateway(bus, self.clock, configured)
        gateway.start()
        before = {each.name: len(each.said) for each in (*self.speakers, *self.gone)}
        return Listener(gateway, bus, arrived=before)

    @initialize()
    def begin(self) -> None:
        """Let both publishers tell their position, and the client join."""
        for number in range(2):
            self.publish(number, None, position=True)
        self.deliver_all()
        self.client.connect(self.listeners[0].gateway)
        self.at = self.listeners[0]
        self.enter()

    # --- the bus ---------------------------------------------------------------

    @rule(number=SPEAKERS, channel=st.sampled_from(CHANNELS), position=st.booleans())
    def publish(self, number: int, channel: str | None, *, position: bool) -> None:
        """A publisher says something, which is on its way to both workers."""
        speaker = self.speakers[number]
        count = len(speaker.said) + 1
        text = f"{speaker.name}/{count}".encode()
        speaker.said[count] = None if position else (channel, text)
        if position:
            what = item(EventType.WS_POSITION)
        elif channel is None:
            what = item(EventType.WS_BROADCAST_ALL, text)
        else:
            what = item(EventType.WS_BROADCAST_CHANNEL, text, channel=channel)
        for listener in self.listeners:
            waiting = listener.waiting.setdefault(speaker.name, deque())
            waiting.append((count, what))

    @rule(which=WORKERS, number=SPEAKERS)
    def deliver(self, which: int, number: int) -> None:
        """Something arrives at a worker."""
        self.arrive(self.listeners[which], self.speakers[number].name)

    @rule()
    def deliver_all(self) -> None:
        """Everything arrives everywhere."""
        for listener in self.listeners:
            for name in listener.waiting:
                while listener.waiting[name]:
                    self.arrive(listener, name)

    def arrive(self, listener: Listener, name: str) -> None:
        """Let the first one of a publisher arrive, if there is one."""
        waiting = listener.waiting.get(name)
        if waiting:
            number, what = waiting.popleft()
            listener.arrived[name] = number
            told = Publication("ws.broadcast", what, 0, name, number)
            listener.bus.subscriptions["ws.broadcast"](told)

    @rule(which=WORKERS, number=SPEAKERS)
    def drop(self, which: int, number: int) -> None:
        """Something is lost on its way to a worker."""
        listener = self.listeners[which]
        waiting = listener.waiting.get(self.speakers[number].name)
        if waiting:
            _, what = waiting.popleft()
            listener.lost.add(what.body)

    @rule(number=SPEAKERS)
    def replace_speaker(self, number: int) -> None:
        """A publisher ends with a last word, and another one introduces itself."""
        self.publish(number, None, position=True)
        self.deliver_all()
        self.gone.append(self.speakers[number])
        self.speakers[number] = self.speaker()
        self.publish(number, None, position=True)
        self.deliver_all()

    @rule(which=WORKERS, learns=st.booleans())
    def replace_listener(self, which: int, *, learns: bool) -> None:
        """A worker dies, and a new one hears only what is said from now on."""
        old = self.listeners[which]
        if old is self.at:
            self.lose()
        new = self.listeners[which] = self.listener()
        if learns:
            self.teach(new, self.listeners[1 - which])

    def teach(self, new: Listener, other: Listener) -> None:
        """Let a new worker ask; meanwhile the other one hears what was on the way."""
        new.bus.answers = {"ws.tell_position": [True]}
        new.gateway.catch_up()
        for name in other.waiting:
            while other.waiting[name]:
                self.arrive(other, name)
        for number in range(2):
            self.publish(number, None, position=True)
        told = msgspec.msgpack.encode(other.gateway._recall.history.snapshot(1000))
        new.bus.answers = {"ws.history": [told]}
        self.clock.advance(0.25)

    # --- the client --------------------------------------------------------------

    def enter(self) -> None:
        """Join the channel, and take this as a new beginning."""
        assert self.at is not None
        join(self.at.bus, self.client, "a")
        self.clock.advance(0.06)
        self.client.read()
        self.base = dict(self.at.arrived)
        self.client.said.clear()

    @precondition(lambda self: self.at is not None)
    @rule()
    def lose(self) -> None:
        """The connection breaks."""
        self.check()
        self.client.lose()
        self.at = None

    @precondition(lambda self: self.at is None)
    @rule(which=WORKERS)
    def come_back(self, which: int) -> None:
        """The client comes back, to any worker."""
        self.at = self.listeners[which]
        self.client.connect(self.at.gateway)
        if self.client.resumed["recovered"]:
            self.check()
        else:
            self.enter()

    @rule(seconds=st.sampled_from([0.5, 5.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    def check(self) -> None:
        """Compare what was heard with what should have been."""
        assert self.at is not None
        self.client.read()
        if any(each["type"] == "missed" for each in self.client.said):
            self.excused |= self.at.lost
        heard = [text for _, text in self.client.heard]
        assert len(heard) == len(set(heard)), "twice"
        for speaker in (*self.speakers, *self.gone):
            mine = [
                each for each in heard if each.startswith(f"{speaker.name}/".encode())
            ]
            numbers = [int(each.rpartition(b"/")[2]) for each in mine]
            assert numbers == sorted(numbers), "out of order"
            missing = self.expected(speaker) - set(heard) - self.excused
            assert not missing, (missing, heard)

    def expected(self, speaker: Speaker) -> set[bytes]:
        """Return what the client should have heard of a publisher."""
        assert self.at is not None
        first = self.base.get(speaker.name, 0)
        seen = self.client.seen.get(mark_of(speaker.name), 0)
        last = max(seen, self.at.arrived.get(speaker.name, 0))
        told = (speaker.said[number] for number in range(first + 1, last + 1))
        return {each[1] for each in told if each is not None and each[0] in MINE}

    def teardown(self) -> None:
        """Let everything arrive, and look once more."""
        if self.at is not None:
            self.deliver_all()
            self.check()


class ResumeModelTests(SynchronousTestCase):
    """`ResumeMachine`."""

    def test_never_a_silent_gap(self) -> None:
        """Whatever happens: what is said to be recovered is, and nothing comes twice."""
        many = hypothesis_settings(
            max_examples=150, stateful_step_count=40, deadline=None
        )
        run_state_machine_as_test(ResumeMachine, settings=many)
