"""The workers' table, and who wins a key."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.codec import Announcement, Member
from tbtwist.bus.table import MAX_BURIED, Table, highest
from tbtwist.errors import BadFrame
from tbtwist.identity import WorkerId

A, B, W = "http-1.1.aa", "http-2.1.bb", "ws-1.1.cc"


def news(
    *names: str, boot: str = "b1", settled: bool = True, resting: tuple[str, ...] = ()
) -> Announcement:
    """Return an announcement."""
    members = tuple(Member(name, name not in resting) for name in names)
    return Announcement(boot, 1, settled, members)


class TableTests(SynchronousTestCase):
    """What an announcement changes."""

    def setUp(self) -> None:
        """Start afresh."""
        self.table = Table()

    def test_coming_and_going(self) -> None:
        """Who is new and who is gone is told once."""
        change = self.table.update(news(A, W))
        self.assertEqual((change.appeared, change.gone), ({A, W}, frozenset()))
        change = self.table.update(news(B, W))
        self.assertEqual((change.appeared, change.gone), ({B}, {A}))
        self.assertFalse(self.table.update(news(B, W)).matters)

    def test_count(self) -> None:
        """How many there are of a role is known."""
        self.table.update(news(A, B, W))
        counts = [self.table.count(role) for role in ("http", "ws", "app")]
        self.assertEqual([2, 1, 0], counts)

    def test_readiness_matters(self) -> None:
        """A worker that starts to drain is news, though nobody came or went."""
        self.table.update(news(A))
        change = self.table.update(news(A, resting=(A,)))
        self.assertTrue(change.matters)
        self.assertFalse(self.table.takes_keys(A))

    def callee(self, target: str, turn: int = 0, **handed: int) -> str | None:
        """Return who would answer a call; ``a`` and ``b`` got so many already."""
        counts = {{"a": A, "b": B}[name]: count for name, count in handed.items()}
        member = self.table.callee(target, counts, turn)
        return None if member is None else member.identity

    def test_callees(self) -> None:
        """A process, a slot or a role has one who answers; all of a role has not."""
        self.table.update(news(A, B, W))
        self.assertEqual(self.callee("http-2"), B)
        self.assertEqual(self.callee(A), A)
        self.assertEqual({self.callee("http", turn) for turn in (0, 1)}, {A, B})
        for nobody in ("http*", "app", "http-3", ""):
            self.assertIsNone(self.callee(nobody))

    def test_the_least_loaded_callee(self) -> None:
        """Load and what we gave count; who drains does not."""
        self.table.update(news(A, B, W))
        self.assertEqual(self.callee("http", 0, a=1), B)
        self.assertEqual(self.callee("http", 1, a=1, b=2), A)
        self.table.update(news(A, B, W, resting=(B,)))
        self.assertEqual(self.callee("http", 0, a=9), A)
        self.assertIsNone(self.callee("http-2"))

    def test_the_newest_callee(self) -> None:
        """A slot means its newest ready generation, by number."""
        new, newer = "http-1.9.dd", "http-1.10.ee"
        self.table.update(news(A, new, newer))
        self.assertEqual(self.callee("http-1"), newer)
        self.table.update(news(A, new, newer, resting=(newer,)))
        self.assertEqual(self.callee("http-1"), new)

    def test_after_a_restart_the_ended_are_gone(self) -> None:
        """A young broker that heard of an end says so, and nobody waits."""
        self.table.update(news(A, B, W))
        young = news(W, boot="b2", settled=False)
        young = msgspec.structs.replace(young, ended=("http-1.1", "http-2.7"))
        change = self.table.update(young)
        self.assertEqual((change.gone, change.died), ({A}, frozenset()))
        self.assertTrue(change.matters)
        self.assertEqual(self.table.update(young).gone, frozenset())

    def test_after_a_restart_the_missing_are_not_gone(self) -> None:
        """A young broker does not know everyone yet; nobody is given up too early."""
        self.table.update(news(A, B, W))
        change = self.table.update(news(W, boot="b2", settled=False))
        self.assertEqual((change.appeared, change.gone), ({W}, frozenset()))
        change = self.table.update(news(W, A, boot="b2", settled=False))
        self.assertEqual((change.appeared, change.gone), ({A}, frozenset()))
        change = self.table.update(news(W, A, boot="b2", settled=True))
        self.assertEqual(change.gone, {B})

    def test_the_buried_stay_buried(self) -> None:
        """Who was given up for dead is nobody's choice again, whatever a broker says."""
        self.table.update(news(A, W))
        self.table.update(news(W))
        change = self.table.update(news(A, W, boot="b2", settled=False))
        self.assertEqual(change.appeared, {W})
        self.assertEqual(([*self.table.members], self.table.returned), ([W], (A,)))
        self.assertTrue(self.table.has_buried(A))
        self.assertIsNone(self.table.choose("key"))
        self.assertIsNone(self.table.find("http-1", WorkerId.parse(A).generation))
        self.table.update(news(W, boot="b2", settled=False))
        self.assertEqual(self.table.returned, ())

    def test_not_everybody_is_remembered(self) -> None:
        """The memory of the dead is bounded."""
        for number in range(MAX_BURIED + 2):
            self.table.update(news(f"http-1.{number}.aa"))
        self.assertFalse(self.table.has_buried("http-1.0.aa"))
        self.assertTrue(self.table.has_buried("http-1.1.aa"))

    def test_who_died(self) -> None:
        """A worker that goes while it is ready has died; one that drained has not."""
        self.table.update(news(A, B, resting=(B,)))
        change = self.table.update(news(W))
        self.assertEqual((change.gone, change.died), ({A, B}, {A}))

    def test_lost_with_a_broker_is_not_dead(self) -> None:
        """Whoever does not come back after a broker's restart is gone, no more."""
        self.table.update(news(A, W))
        self.table.update(news(W, boot="b2", settled=False))
        change = self.table.update(news(W, boot="b2"))
        self.assertEqual((change.gone, change.died), ({A}, frozenset()))

    def test_two_restarts_in_a_row(self) -> None:
        """Whoever is missing stays so until a broker has settled."""
        self.table.update(news(A, W))
        self.table.update(news(W, boot="b2", settled=False))
        change = self.table.update(news(boot="b3", settled=False))
        self.assertEqual(change.gone, frozenset())
        self.assertEqual(self.table.update(news(boot="b3")).gone, {A, W})

    def test_who_owns_a_connection(self) -> None:
        """Slot and generation name one process."""
        self.table.update(news(A, W))
        self.assertEqual(self.table.find("ws-1", 1), W)
        self.assertIsNone(self.table.find("ws-1", 2))

    def test_a_table_with_nonsense_is_refused_whole(self) -> None:
        """A member that is no identity changes nothing."""
        self.assertRaises(BadFrame, self.table.update, news(A, "nonsense"))
        self.assertEqual(self.table.members, {})

    def test_only_ready_http_workers_get_keys(self) -> None:
        """Nobody else is chosen."""
        self.table.update(news(A, B, W, resting=(A,)))
        chosen = {self.table.choose(f"key-{n}") for n in range(50)}
        self.assertEqual(chosen, {B})
        self.table.update(news(W))
        self.assertIsNone(self.table.choose("key"))


class RendezvousTests(SynchronousTestCase):
    """How keys are shared out."""

    def share(self, *members: Member) -> Counter[str | None]:
        """Return who won how many of many keys."""
        return Counter(highest(f"key-{n}", members) for n in range(3000))

    def test_equal_workers_get_equal_shares(self) -> None:
        """Nobody gets much more than others."""
        share = self.share(*(Member(f"http-{n}.1.aa", True) for n in range(1, 4)))
        self.assertTrue(all(800 < count < 1200 for count in share.values()), share)

    def test_a_busy_worker_gets_fewer(self) -> None:
        """Load weighs: a worker with the halving load gets half of another's share."""
        share = self.share(Member(A, True, 100), Member(B, True, 0))
        self.assertTrue(800 < share[A] < 1200, share)

    @given(
        st.lists(st.integers(1, 50), min_size=2, max_size=6, unique=True),
        st.text(max_size=8).filter(str.isascii),
    )
    def test_a_worker_that_goes_takes_only_its_own(
        self, slots: list[int], key: str
    ) -> None:
        """A key moves only if its worker went, whatever the order of the table."""
        members = [Member(f"http-{n}.1.aa", True) for n in slots]
        winner = highest(key, members)
        self.assertEqual(highest(key, members[::-1]), winner)
        rest = members[1:]
        if winner != members[0].identity:
            self.assertEqual(highest(key, rest), winner)
