"""The origin's side of a lane."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.codec import Flag, Packed, Parcel
from tbtwist.bus.config import BusConfig
from tbtwist.bus.lane import OVERHEAD_BYTES, Budget, OriginLane
from tbtwist.errors import QueueFull

SMALL = BusConfig(
    window_messages=4, window_bytes=10_000, queue_messages=8, queue_bytes=20_000
)


def packed(body: bytes = b"") -> Packed:
    """Return an item as its lane keeps it."""
    return b"h", body


def numbers(parcels: list[Parcel]) -> list[int]:
    """Return the parcels' numbers."""
    return [parcel.stamp.number for parcel in parcels]


class LaneTests(SynchronousTestCase):
    """Numbers, windows, acknowledgements."""

    def setUp(self) -> None:
        """Start afresh."""
        self.budget = Budget(100_000)
        self.lane = OriginLane("key", 1, SMALL, self.budget)

    def put(self, count: int) -> list[bool]:
        """Take some items."""
        return [self.lane.put(packed()) for _ in range(count)]

    def take(self) -> list[Parcel]:
        """Return what may be sent now."""
        return self.lane.take(0, fresh=True)

    def test_numbers_from_one_and_floors(self) -> None:
        """Items count from 1 and name the oldest one that is still waited for."""
        self.put(2)
        first = self.take()
        self.assertEqual(numbers(first), [1, 2])
        self.lane.acknowledge(1, 0)
        self.put(1)
        (third,) = self.take()
        self.assertEqual((third.stamp.number, third.stamp.floor), (3, 2))

    def test_the_window_bounds_what_is_on_the_way(self) -> None:
        """No more than the window is sent; an acknowledgement lets the next go."""
        self.assertEqual(self.put(6), [True] * 3 + [False] * 3)
        self.assertEqual(numbers(self.take()), [1, 2, 3, 4])
        self.assertEqual(self.take(), [])
        self.lane.acknowledge(1, 0)
        self.assertEqual(numbers(self.take()), [5])

    def test_the_window_bounds_bytes(self) -> None:
        """Large items fill the window sooner; one always fits."""
        self.assertFalse(self.lane.put(packed(b"x" * 12_000)))
        self.lane.put(packed(b"x" * 5_000))
        self.assertEqual(numbers(self.take()), [1])

    def test_room_is_told_once(self) -> None:
        """A paused source hears of room once, when the window is half empty."""
        self.put(4)
        self.take()
        told = []
        for number in range(1, 5):
            self.lane.acknowledge(number, 0)
            told.append(self.lane.has_room_again())
        self.assertEqual(told, [False, True, False, False])

    def test_only_the_first_can_be_acknowledged(self) -> None:
        """An acknowledgement out of turn, or of something not sent, changes nothing."""
        self.put(2)
        self.assertIsNone(self.lane.acknowledge(1, 0))
        self.take()
        self.assertIsNone(self.lane.acknowledge(2, 0))
        self.assertIsNotNone(self.lane.acknowledge(1, 0))
        self.assertIsNone(self.lane.acknowledge(1, 0))

    def test_marks_after_a_rewind(self) -> None:
        """Only what was sent before carries the mark when it is sent again."""
        self.put(2)
        self.take()
        self.put(1)
        self.lane.repeat()
        again = self.take()
        self.assertEqual([p.stamp.flags for p in again], [Flag.REPEATED] * 2 + [0])

    def test_marks_after_a_worker_is_gone(self) -> None:
        """What a dead worker may have handled is marked, even if it was to be repeated."""
        self.put(2)
        self.take()
        self.lane.repeat()
        self.put(1)
        self.lane.leave(died=False)
        moved = self.take()
        self.assertEqual([p.stamp.flags for p in moved], [Flag.MOVED] * 2 + [0])

    def test_only_what_was_in_hand_is_suspect(self) -> None:
        """A death counts against the first item alone, and that goes alone then."""
        self.put(3)
        self.assertFalse(self.lane.is_suspect)
        self.take()
        self.lane.leave(died=True)
        self.assertEqual([entry.deaths for entry in self.lane.entries], [1, 0, 0])
        self.assertEqual(numbers(self.take()), [1])
        self.lane.acknowledge(1, 0)
        self.assertFalse(self.lane.is_suspect)
        self.assertEqual(numbers(self.take()), [2, 3])

    def test_what_was_not_sent_is_not_suspect(self) -> None:
        """What waits here has killed nobody."""
        self.put(1)
        self.lane.leave(died=True)
        self.assertFalse(self.lane.is_suspect)

    def test_giving_up(self) -> None:
        """What is given up is forgotten and paid back, and the next one goes."""
        self.put(2)
        self.take()
        self.lane.leave(died=True)
        self.assertEqual(self.lane.give_up().number, 1)
        self.assertEqual(self.budget.used_bytes, OVERHEAD_BYTES + 1)
        (second,) = self.take()
        self.assertEqual((second.stamp.number, second.stamp.floor), (2, 2))

    def test_a_draining_worker_gets_only_what_it_had(self) -> None:
        """What was not sent to it yet waits for the next worker."""
        self.put(2)
        self.take()
        self.put(1)
        self.lane.repeat()
        self.assertEqual(numbers(self.lane.take(0, fresh=False)), [1, 2])
        self.assertFalse(self.lane.window_is_empty)
        self.lane.acknowledge(1, 0)
        self.lane.acknowledge(2, 0)
        self.assertTrue(self.lane.window_is_empty)
        self.assertEqual(self.lane.take(0, fresh=False), [])
        self.assertEqual(numbers(self.take()), [3])

    def test_an_acknowledgement_counts_while_it_is_repeated(self) -> None:
        """A late acknowledgement saves sending the item again."""
        self.put(2)
        self.take()
        self.lane.repeat()
        self.assertIsNotNone(self.lane.acknowledge(1, 0))
        self.assertEqual(numbers(self.take()), [2])

    def test_a_queue_has_an_end(self) -> None:
        """Beyond the queue an item is refused, by number and by bytes."""
        self.put(8)
        self.assertRaises(QueueFull, self.lane.put, packed())
        other = OriginLane("other", 1, SMALL, self.budget)
        other.put(packed(b"x" * 19_000))
        self.assertRaises(QueueFull, other.put, packed(b"x" * 19_000))

    def test_all_lanes_together_have_an_end(self) -> None:
        """The process' bound counts every lane, and gets back what is done."""
        size = OVERHEAD_BYTES + 1
        budget = Budget(2 * size)
        lanes = [OriginLane(key, 1, SMALL, budget) for key in "abc"]
        lanes[0].put(packed())
        lanes[1].put(packed())
        self.assertRaises(QueueFull, lanes[2].put, packed())
        lanes[0].take(0, fresh=True)
        lanes[0].acknowledge(1, 0)
        lanes[2].put(packed())
        lanes[1].abandon()
        lanes[2].abandon()
        self.assertEqual(budget.used_bytes, 0)

    @given(st.lists(st.sampled_from(["put", "take", "ack", "repeat"]), max_size=60))
    def test_invariants(self, steps: list[str]) -> None:
        """Whatever happens: the window holds, order holds, bytes add up."""
        budget = Budget(10**9)
        lane = OriginLane("key", 1, SMALL, budget)
        acked = put = 0
        for step in steps:
            if step == "put" and len(lane.entries) < SMALL.queue_messages:
                lane.put(packed())
                put += 1
            elif step == "take":
                start = acked + lane.sent + 1
                sent = numbers(lane.take(0, fresh=True))
                self.assertEqual(sent, list(range(start, start + len(sent))))
            elif step == "ack" and lane.acknowledge(acked + 1, 0) is not None:
                acked += 1
            elif step == "repeat":
                lane.repeat()
            self.assertLessEqual(lane.sent, SMALL.window_messages)
            self.assertEqual(len(lane.entries), put - acked)
            self.assertEqual(budget.used_bytes, (put - acked) * (OVERHEAD_BYTES + 1))
