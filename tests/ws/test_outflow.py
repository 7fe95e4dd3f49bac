"""What waits for one client: order, bounds, and what is dropped first."""

from __future__ import annotations

from collections import Counter

import attrs
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.outflow import Frame, Kept, Outflow
from tbtwist.ws.slowness import Backlog, Patterns, Policy

COST = 200
"""What a frame of no bytes costs."""


@attrs.define
class Wire:
    """A transport that fills up after so many writes."""

    outflow: Outflow | None = None
    room: int = 1000
    written: list[bytes] = attrs.Factory(list)

    def write(self, data: bytes) -> None:
        """Write it down, and ask for a pause when that was the last that fits."""
        self.written.append(data)
        self.room -= 1
        if self.room <= 0:
            assert self.outflow is not None
            self.outflow.pauseProducing()


class OutflowCase(SynchronousTestCase):
    """An outflow with room for three frames, to a transport that is full."""

    def setUp(self) -> None:
        """Fill the transport."""
        self.backlog = Backlog(3 * (COST + 10), 10_000, 0)
        self.dropped: Counter[Policy] = Counter()
        self.wire = Wire()
        self.outflow = Outflow(self.wire, self.backlog, self.drop)
        self.wire.outflow = self.outflow
        self.outflow.pauseProducing()

    def drop(self, policy: Policy) -> None:
        """Count what is dropped."""
        self.dropped[policy] += 1

    def write(
        self, text: str, policy: Policy = Policy.CLOSE, channel: str = ""
    ) -> bool:
        """Write a frame."""
        return self.outflow.write(Frame(text.encode(), policy, channel))

    def read(self, room: int = 1000) -> list[str]:
        """Let the client read, and return what it gets."""
        self.wire.written.clear()
        self.wire.room = room
        self.outflow.resumeProducing()
        return [data.decode() for data in self.wire.written]


class OrderTests(OutflowCase):
    """Nothing is lost while there is room."""

    def test_at_once(self) -> None:
        """A client that keeps up gets everything at once."""
        self.read()
        self.assertTrue(self.write("a"))
        self.assertEqual(self.wire.written, [b"a"])
        self.assertEqual(self.outflow.waiting_bytes, 0)

    def test_in_order(self) -> None:
        """What waits is sent in order, as much as the client takes."""
        for text in "abc":
            self.assertTrue(self.write(text))
        self.assertEqual(self.outflow.waiting_bytes, 3 * (COST + 1))
        self.assertEqual(self.read(room=2), ["a", "b"])
        self.assertTrue(self.write("d"))
        self.assertEqual(self.read(), ["c", "d"])
        self.assertEqual(self.outflow.waiting_bytes, 0)
        self.assertEqual(self.dropped, {})

    def test_hurry(self) -> None:
        """What waits is given to the transport when the connection ends."""
        self.write("a")
        self.write("b")
        self.outflow.hurry()
        self.assertEqual(self.wire.written, [b"a", b"b"])

    def test_forgotten(self) -> None:
        """What waits for a client that is gone is no longer held."""
        self.write("a")
        self.outflow.stopProducing()
        self.assertEqual(self.backlog.total_bytes, 0)
        self.assertEqual(self.read(), [])


class PolicyTests(OutflowCase):
    """When more waits than may."""

    def test_close(self) -> None:
        """A message for this client alone is not dropped: the client is."""
        self.assertEqual([self.write(t) for t in "abcd"], [True, True, True, False])
        self.assertEqual(self.dropped, {})

    def test_drop_oldest(self) -> None:
        """The newest messages of a channel are what is kept."""
        for text in "abcde":
            self.assertTrue(self.write(text, Policy.DROP_OLDEST, "news"))
        self.assertEqual(self.dropped, {Policy.DROP_OLDEST: 2})
        self.assertEqual(self.read(), ["c", "d", "e"])

    def test_conflate(self) -> None:
        """Of each channel the newest message waits, where the first one stood."""
        for text, channel in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")):
            self.assertTrue(self.write(text, Policy.CONFLATE, channel))
        self.assertEqual(self.dropped, {Policy.CONFLATE: 2})
        self.assertEqual(self.read(), ["a3", "b1"])
        self.assertTrue(self.write("a4", Policy.CONFLATE, "a"))
        self.assertEqual(self.read()[-1:], [])
        self.assertEqual(self.wire.written, [])

    def test_conflate_keeps_to_the_bound(self) -> None:
        """Many channels are not kept for ever either."""
        for number in range(9):
            self.assertTrue(self.write("x", Policy.CONFLATE, str(number)))
        self.assertEqual(self.dropped, {Policy.CONFLATE: 6})

    def test_own_messages_stay(self) -> None:
        """What may be dropped makes room for what may not."""
        self.write("own1")
        self.write("news1", Policy.DROP_OLDEST)
        self.write("news2", Policy.DROP_OLDEST)
        self.assertTrue(self.write("own2"))
        self.assertEqual(self.read(), ["own1", "news2", "own2"])

    def test_no_room_for_news(self) -> None:
        """A channel's message that finds only others' is dropped itself."""
        for text in "abc":
            self.write(text)
        self.assertTrue(self.write("news", Policy.DROP_OLDEST))
        self.assertEqual(self.dropped, {Policy.DROP_OLDEST: 1})
        self.assertEqual(self.read(), ["a", "b", "c"])


class TogetherTests(OutflowCase):
    """All clients of a worker share one bound."""

    def test_total(self) -> None:
        """While all together have too much, each has its fair share only."""
        self.backlog.max_total_bytes = 2 * COST
        self.backlog.fair_bytes = COST + 10
        self.assertTrue(self.write("a"))
        other = Outflow(Wire(), self.backlog, self.drop)
        other.pauseProducing()
        self.assertTrue(other.write(Frame(b"b")))
        self.assertFalse(self.write("c"))

    @given(
        writes=st.lists(
            st.tuples(
                st.sampled_from(Policy), st.sampled_from("abc"), st.integers(0, 400)
            )
        ),
        takes=st.integers(0, 10),
    )
    def test_the_count_is_right(
        self, writes: list[tuple[Policy, str, int]], takes: int
    ) -> None:
        """Whatever comes and goes, the bound holds and the sums agree."""
        backlog = Backlog(2000, 10_000, 0)
        kept = Kept(backlog)
        last: dict[str, bytes] = {}
        for number, (policy, channel, size) in enumerate(writes):
            data = f"{number}".encode().ljust(size, b".")
            if not kept.add(Frame(data, policy, channel), lambda _: None):
                self.assertIs(policy, Policy.CLOSE)
                kept.clear()
                last.clear()
            if policy is Policy.CONFLATE:
                last[channel] = data
            self.assertLessEqual(kept.bytes, 2000)
            self.assertEqual(backlog.total_bytes, kept.bytes)
        left = [kept.take() for _ in range(takes)]
        newest = [f for f in left if f is not None and f.policy is Policy.CONFLATE]
        for frame in newest:
            self.assertEqual(frame.data, last[frame.channel])
        while kept.take() is not None:
            self.assertGreaterEqual(kept.bytes, 0)
        self.assertEqual(backlog.total_bytes, 0)


class PatternTests(SynchronousTestCase):
    """Which channel has which policy."""

    def test_patterns(self) -> None:
        """The first pattern that fits counts; without one the default."""
        patterns = Patterns.of(
            "close", {"Prices/now": "conflate", "Prices/*": "drop_oldest"}
        )
        self.assertIs(patterns.policy("Prices/now"), Policy.CONFLATE)
        self.assertIs(patterns.policy("Prices/old"), Policy.DROP_OLDEST)
        self.assertIs(patterns.policy("prices/now"), Policy.CLOSE)
        self.assertIs(patterns.policy(""), Policy.CLOSE)

    def test_one_connection(self) -> None:
        """What is sent to one connection alone is never dropped."""
        self.assertIs(
            Patterns.of("conflate", {"*": "conflate"}).policy(None), Policy.CLOSE
        )

    def test_many_channels(self) -> None:
        """What was looked up is remembered, and not without end."""
        patterns = Patterns.of("conflate", {"a*": "close"})
        for number in range(5000):
            self.assertIs(patterns.policy(f"b{number}"), Policy.CONFLATE)
        self.assertLessEqual(len(patterns._known), 1000)
