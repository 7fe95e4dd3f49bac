"""The destination's side of a lane."""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.codec import Flag, Packed, Parcel, Stamp
from tbtwist.bus.config import BusConfig
from tbtwist.bus.inbox import Inbox, Record


def parcel(
    number: int, *, floor: int = 1, flags: int = 0, key: str = "k", epoch: int = 1
) -> Parcel:
    """Return a parcel."""
    return Parcel(Stamp(key, epoch, number, floor, flags), ((b"h", b"b"),))


REPLY: Packed = (b"h", b"x" * 1000)


class InboxTests(SynchronousTestCase):
    """Order, repetitions, marks and bounds."""

    def setUp(self) -> None:
        """Start afresh."""
        self.config = BusConfig(kept_bytes=3000, keys=3)
        self.inbox = Inbox(self.config, Counter())

    def handle(self, what: Parcel, origin: str = "ws") -> bool:
        """Accept and acknowledge; return the redelivered mark."""
        record = self.inbox.accept(origin, what)
        assert isinstance(record, Record)
        record.pending.clear()
        mark = record.redelivered(what.stamp)
        self.inbox.acknowledge(record, what.stamp, [REPLY])
        return mark

    def test_a_repetition_gets_its_acknowledgement_again(self) -> None:
        """What was handled is not handled again; its replies are sent again."""
        self.assertFalse(self.handle(parcel(1)))
        again = self.inbox.accept("ws", parcel(1, flags=Flag.REPEATED))
        assert isinstance(again, Parcel)
        self.assertEqual(again.items, (REPLY,))
        self.assertEqual(self.inbox.counters["dropped: repetition"], 1)

    def test_a_repetition_of_what_is_being_handled_is_dropped(self) -> None:
        """While it is being handled there is nothing to say."""
        self.assertIsInstance(self.inbox.accept("ws", parcel(1)), Record)
        self.assertIsNone(self.inbox.accept("ws", parcel(1, flags=Flag.REPEATED)))

    def test_a_gap_waits_for_what_is_missing(self) -> None:
        """An item is never handled before the one that was sent before it."""
        self.assertIsNone(self.inbox.accept("ws", parcel(2)))
        self.assertFalse(self.handle(parcel(1)))
        self.assertFalse(self.handle(parcel(2)))
        self.assertEqual(self.inbox.counters["dropped: gap"], 1)

    def test_a_key_may_come_in_the_middle(self) -> None:
        """A key that moves here starts at what its origin still waits for."""
        self.assertTrue(self.handle(parcel(7, floor=7, flags=Flag.MOVED)))
        self.assertFalse(self.handle(parcel(8, floor=7)))

    def test_a_key_may_come_back(self) -> None:
        """A key that was elsewhere goes on where it is now, farewell or not.

        What was left of its first stay has been handled there.
        """
        self.handle(parcel(1))
        record = self.inbox.accept("ws", parcel(2))
        assert isinstance(record, Record)
        self.inbox.accept("ws", parcel(3))
        self.assertIs(self.inbox.accept("ws", parcel(9, floor=9)), record)
        self.assertEqual([each.stamp.number for each in record.pending], [9])
        self.inbox.acknowledge(record, parcel(2).stamp)
        self.assertEqual(self.inbox.accept("ws", parcel(10, floor=10)), record)

    def test_a_repetition_that_never_arrived_is_not_marked(self) -> None:
        """We know that we have not handled it, so it carries no mark."""
        self.assertFalse(self.handle(parcel(1, flags=Flag.REPEATED)))

    def test_acknowledgements_are_kept_until_confirmed(self) -> None:
        """The floor lets go of what the origin has."""
        self.handle(parcel(1))
        self.handle(parcel(2))
        kept = self.inbox.kept_bytes
        self.handle(parcel(3, floor=3))
        self.assertEqual(self.inbox.kept_bytes, kept // 2)
        self.assertIsNone(self.inbox.accept("ws", parcel(1, floor=3)))

    def test_memory_is_bounded_and_the_loss_is_marked(self) -> None:
        """Beyond the bound the oldest are forgotten; what comes again is marked."""
        for key in "abc":
            self.handle(parcel(1, key=key))
        self.assertLessEqual(self.inbox.kept_bytes, self.config.kept_bytes)
        self.assertTrue(self.handle(parcel(1, key="a", flags=Flag.REPEATED)))
        self.assertIsInstance(
            self.inbox.accept("ws", parcel(1, key="c", flags=Flag.REPEATED)), Parcel
        )

    def test_keys_are_bounded(self) -> None:
        """Beyond the bound the oldest idle key is forgotten; busy ones stay."""
        first = self.inbox.accept("ws", parcel(1, key="a"))
        assert isinstance(first, Record)
        first.busy = True
        for key in "bcd":
            self.inbox.accept("ws", parcel(1, key=key))
        self.assertEqual(len(self.inbox), 3)
        self.assertEqual(self.inbox.lose("ws"), ("a", "c", "d"))

    def test_a_key_that_is_opened_again_starts_anew(self) -> None:
        """A new epoch begins at 1; the old one is not heard any more."""
        self.handle(parcel(1))
        self.assertFalse(self.handle(parcel(1, epoch=2)))
        self.assertIsNone(self.inbox.accept("ws", parcel(2, epoch=1)))

    def test_forgetting(self) -> None:
        """A farewell removes the key, but not a later epoch of it."""
        self.handle(parcel(1, epoch=2))
        farewell = Stamp("k", 1, 2, 2, Flag.FORGET, 0)
        self.inbox.accept("ws", Parcel(farewell))
        self.assertEqual(len(self.inbox), 1)
        later = Parcel(Stamp("k", 2, 2, 2, Flag.FORGET, 0))
        self.inbox.accept("ws", later)
        self.inbox.accept("ws", later)
        self.assertEqual((len(self.inbox), self.inbox.kept_bytes), (0, 0))

    def test_origins_are_apart(self) -> None:
        """The same key of another origin is another key."""
        self.handle(parcel(1), "ws-a")
        self.assertFalse(self.handle(parcel(1), "ws-b"))
        self.assertEqual(self.inbox.lose("ws-a"), ("k",))
        self.assertEqual(self.inbox.lose("ws-a"), ())
        self.assertEqual(len(self.inbox), 1)

    def test_what_is_lost_while_it_runs_keeps_nothing(self) -> None:
        """An acknowledgement for an origin that is gone is not kept."""
        record = self.inbox.accept("ws", parcel(1))
        assert isinstance(record, Record)
        self.inbox.lose("ws")
        ack = self.inbox.acknowledge(record, parcel(1).stamp, reason="too late")
        self.assertEqual((ack.stamp.reason, ack.stamp.items), ("too late", 0))
        self.assertEqual(self.inbox.kept_bytes, 0)

    def test_busy_keys_keep_their_acknowledgements(self) -> None:
        """Shedding spares keys that are being handled."""
        self.inbox = Inbox(attrs.evolve(self.config, kept_bytes=100), Counter())
        record = self.inbox.accept("ws", parcel(1))
        assert isinstance(record, Record)
        record.busy = True
        self.inbox.acknowledge(record, parcel(1).stamp, [REPLY])
        self.assertIsInstance(self.inbox.accept("ws", parcel(1)), Parcel)
