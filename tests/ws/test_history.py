"""What the channels said: positions, the bounded history, and departures."""

from __future__ import annotations

import attrs
import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws import departures, history, positions
from tbtwist.ws.departures import Departures
from tbtwist.ws.history import CLOCK_SLACK_S, Broadcast, History, Limits, Snapshot
from tbtwist.ws.positions import Positions, furthest, mark_of, read_vector

WIDE = Limits(messages=100, each_bytes=10**6, total_bytes=10**7, keep_s=300.0)


def said(number: int, channel: str | None = "a", **more: object) -> Broadcast:
    """Return a broadcast of publisher ``p``."""
    basis = Broadcast(mark="p", number=number, channel=channel, body=b"x")
    return msgspec.structs.replace(basis, **more)


class PositionTests(SynchronousTestCase):
    """`Positions` and vectors."""

    def taken(self, *numbers: int) -> Positions:
        """Return the positions of a worker that received these of ``p``."""
        known = Positions()
        for number in numbers:
            known.take("p", number, 0.0)
        return known

    def test_continues(self) -> None:
        """What is after a position is here if nothing was missed since."""
        known = self.taken(5, 6, 7)
        for seen, expected in ((3, False), (4, True), (7, True), (9, True)):
            self.assertIs(known.continues({"p": seen}), expected, seen)

    def test_gap(self) -> None:
        """A gap ends what is known."""
        known = self.taken(1, 2, 5)
        for seen, expected in ((2, False), (3, False), (4, True), (5, True)):
            self.assertIs(known.continues({"p": seen}), expected, seen)

    def test_strangers(self) -> None:
        """A publisher that was heard from its first number on began after the token."""
        self.assertTrue(self.taken(1, 2).continues({}))
        self.assertFalse(self.taken(2).continues({}))
        self.assertFalse(Positions().continues({"p": 1}))
        self.assertTrue(Positions().continues({}))

    def test_adopting(self) -> None:
        """A colleague's knowledge joins ours where ours begins within it."""
        for theirs, since in (((2, 5), 2), ((2, 4), 2), ((2, 3), 4), ((4, 9), 4)):
            known = self.taken(5, 6)
            known.adopt({"p": theirs, "q": (1, 3)}, 0.0)
            self.assertEqual(known.stretches, {"p": (since, 6), "q": (1, 3)}, theirs)

    def test_bounded(self) -> None:
        """The publishers that spoke last are remembered, and not for ever."""
        known = Positions(2)
        for at, mark in enumerate("pqr"):
            known.take(mark, 1, float(at))
        self.assertEqual(known.vector, {"q": 1, "r": 1})
        known.adopt({"s": (0, 1)}, 9.0)
        known.forget(2.0)
        self.assertEqual(known.vector, {"r": 1})
        known.forget(3.0)
        self.assertEqual(known.vector, {})

    def test_marks(self) -> None:
        """Each process has a mark of its own, which a URL can carry."""
        marks = {mark_of(f"http-1.{n}.aa") for n in range(100)}
        self.assertEqual(len(marks), 100)
        text = ",".join(f"{mark}.{n}" for n, mark in enumerate(sorted(marks)))
        read = read_vector(text)
        self.assertEqual(len(read), positions.MAX_PUBLISHERS)
        self.assertLessEqual(set(read), marks)

    def test_malformed(self) -> None:
        """What is no position is passed over."""
        mark = mark_of("x")
        for text in (
            "",
            ".",
            f"{mark}",
            f"{mark}.",
            f"{mark}.-1",
            "ab.1",
            f"{mark}.1x",
        ):
            self.assertEqual(read_vector(text), {}, text)
        self.assertEqual(read_vector(f"nonsense,{mark}.7,,"), {mark: 7})

    def test_furthest(self) -> None:
        """Two vectors are joined by the higher number."""
        self.assertEqual(
            furthest({"p": 3, "q": 1}, {"p": 2, "r": 4}), {"p": 3, "q": 1, "r": 4}
        )


class HistoryTests(SynchronousTestCase):
    """`History`."""

    def kept(self, limits: Limits, *broadcasts: Broadcast) -> History:
        """Return a history that received these."""
        kept = History(limits, Positions())
        for each in broadcasts:
            kept.keep(each)
        return kept

    def numbers(
        self, kept: History, channel: str | None, seen: int, asked_at: float = 0.0
    ) -> list[int] | None:
        """Return the numbers of ``p`` after ``seen``."""
        found = kept.after(channel, {"p": seen}, asked_at)
        return None if found is None else [each.number for each in found]

    def test_after(self) -> None:
        """A channel's broadcasts after a position come back in order, others' do not."""
        kept = self.kept(WIDE, said(1), said(2, "b"), said(3), said(4, None))
        self.assertEqual(self.numbers(kept, "a", 0), [1, 3])
        self.assertEqual(self.numbers(kept, "a", 1), [3])
        self.assertEqual(self.numbers(kept, None, 1), [4])
        self.assertEqual(self.numbers(kept, "nowhere", 0), [])

    def test_too_many(self) -> None:
        """What a busy channel lost is said, and a quiet one keeps what it has."""
        limits = attrs.evolve(WIDE, messages=2)
        kept = self.kept(limits, said(1, "b"), said(2), said(3), said(4))
        self.assertIsNone(self.numbers(kept, "a", 1))
        self.assertEqual(self.numbers(kept, "a", 2), [3, 4])
        self.assertEqual(self.numbers(kept, "b", 0), [1])

    def test_too_long(self) -> None:
        """Bytes count as well; a message longer than all bounds is not kept."""
        limits = attrs.evolve(WIDE, each_bytes=history.OVERHEAD_BYTES + 100)
        kept = self.kept(limits, said(1), said(2, body=b"x" * 200))
        self.assertEqual((len(kept), kept.weight), (0, 0))
        self.assertIsNone(self.numbers(kept, "a", 1))
        self.assertEqual(self.numbers(kept, "a", 2), [])

    def test_total(self) -> None:
        """All channels together are bounded; the oldest goes, whatever its channel."""
        limits = attrs.evolve(WIDE, total_bytes=3 * history.OVERHEAD_BYTES)
        kept = self.kept(limits, said(1, "b"), said(2), said(3))
        self.assertIsNone(self.numbers(kept, "b", 0))
        self.assertIsNone(self.numbers(kept, "new", 0), "it may have been this one")
        self.assertEqual(self.numbers(kept, "b", 1), [])
        self.assertEqual(self.numbers(kept, "a", 1), [2, 3])

    def test_age(self) -> None:
        """Nothing is kept longer than it should be."""
        kept = self.kept(WIDE, said(1, at=0.0), said(2, at=100.0))
        kept.expire(300.0)
        self.assertEqual(self.numbers(kept, "a", 1), [2])
        self.assertIsNone(self.numbers(kept, "a", 0))

    def test_unnamed_publisher(self) -> None:
        """What a publisher said long before a token that does not name it is not news."""
        kept = self.kept(WIDE, said(1, at=100.0))
        self.assertIsNone(kept.after("a", {}, 100.0 + CLOCK_SLACK_S + 1))
        found = kept.after("a", {}, 100.0)
        self.assertEqual([each.number for each in found or ()], [1])

    def test_handed_over(self) -> None:
        """A new worker knows what its colleague kept, and what it heard itself."""
        old, new = self.positioned(1, 2, 3, 4), self.positioned(4, 5)
        new.adopt(self.over_the_wire(old), 0.0)
        self.assertEqual(self.numbers(new, "a", 1), [2, 3, 4, 5])
        self.assertTrue(new._positions.continues({"p": 0}))
        order = new.in_order(reversed(new.after("a", {}, 0.0) or []))
        self.assertEqual([each.number for each in order], [1, 2, 3, 4, 5])

    def test_handed_over_in_part(self) -> None:
        """What does not fit is not known to the new worker, of any channel."""
        old = self.positioned(1, 2, 3)
        old.keep(said(4, "quiet"))
        told = self.over_the_wire(old, 3 * (history.OVERHEAD_BYTES + 10))
        new = History(WIDE, Positions())
        new.adopt(told, 0.0)
        self.assertIsNone(self.numbers(new, "a", 0))
        self.assertEqual(self.numbers(new, "a", 1), [2, 3])
        self.assertEqual(self.numbers(new, "quiet", 0), [4])
        little = History(WIDE, Positions())
        little.adopt(self.over_the_wire(old, history.OVERHEAD_BYTES + 10), 0.0)
        self.assertIsNone(self.numbers(little, "a", 2))
        self.assertEqual(self.numbers(little, "a", 3), [])

    def positioned(self, *numbers: int) -> History:
        """Return the history of a worker that received these in the channel ``a``."""
        kept = History(WIDE, Positions())
        for number in numbers:
            kept._positions.take("p", number, 0.0)
            kept.keep(said(number))
        return kept

    def over_the_wire(self, kept: History, max_bytes: int = 10**6) -> Snapshot:
        """Return a snapshot as it arrives."""
        raw = msgspec.msgpack.encode(kept.snapshot(max_bytes))
        return msgspec.msgpack.decode(raw, type=Snapshot)

    def test_dead_publishers(self) -> None:
        """What ended publishers lost does not pile up."""
        limits = attrs.evolve(WIDE, messages=1)
        kept = History(limits, Positions())
        for at in range(1000):
            kept.keep(said(1, mark=f"p{at}"))
            kept.keep(said(2, "b", mark=f"p{at}"))
        bound = 2 * positions.MAX_PUBLISHERS
        for channel in kept._channels.values():
            self.assertLessEqual(len(channel.lost), bound)

    @given(
        spoken=st.lists(
            st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 900)),
            max_size=40,
        ),
        seen=st.integers(0, 45),
        messages=st.integers(1, 5),
        total=st.integers(500, 6000),
    )
    def test_never_wrong(
        self,
        spoken: list[tuple[str | None, int]],
        seen: int,
        messages: int,
        total: int,
    ) -> None:
        """Whatever the bounds: all that was missed comes, or nothing does."""
        kept = History(Limits(messages, 2000, total, 300.0), Positions())
        for number, (channel, size) in enumerate(spoken, 1):
            kept.keep(said(number, channel, body=bytes(size)))
            self.assertLessEqual(kept.weight, total)
        for channel in ("a", "b", None):
            expected = [
                number
                for number, (where, _) in enumerate(spoken, 1)
                if where == channel and number > seen
            ]
            self.assertIn(self.numbers(kept, channel, seen), (expected, None))


class DepartureTests(SynchronousTestCase):
    """`Departures`."""

    def test_since(self) -> None:
        """A token counts again only if it was made after the leaving."""
        left = Departures(100.0)
        left.note("line", "a", 10.0)
        for channel, issued_at, expected in (
            ("a", 9.0, True),
            ("a", 10.0, True),
            ("a", 11.0, False),
            ("b", 9.0, False),
            (None, 9.0, False),
        ):
            self.assertIs(left.since("line", channel, issued_at), expected, channel)

    def test_repeated(self) -> None:
        """The last leaving counts, in whatever order the news arrive."""
        left = Departures(100.0)
        left.note("line", "a", 20.0)
        left.note("line", "a", 10.0)
        self.assertTrue(left.since("line", "a", 15.0))

    def test_expire(self) -> None:
        """What no token can be older than is forgotten."""
        left = Departures(100.0)
        left.note("line", "a", 10.0)
        left.expire(109.0)
        self.assertEqual(len(left), 1)
        left.expire(110.0)
        self.assertEqual(len(left), 0)

    def test_bounded(self) -> None:
        """When there are too many, all old tokens are doubted."""
        self.patch(departures, "MAX_REMEMBERED", 2)
        left = Departures(100.0)
        for at, line in enumerate(("one", "two", "three"), 10):
            left.note(line, "a", float(at))
        self.assertEqual(len(left), 2)
        self.assertTrue(left.since("anybody", "b", 10.0))
        self.assertFalse(left.since("anybody", "b", 10.5))
