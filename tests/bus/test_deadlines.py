"""Many deadlines with one timer."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.deadlines import Deadlines

steps = st.lists(
    st.tuples(
        st.sampled_from(("add", "remove", "wait")),
        st.integers(0, 5),
        st.integers(0, 8),
    ),
    max_size=60,
)


class DeadlinesTests(SynchronousTestCase):
    """Each expires in time, and only those that are still there."""

    def setUp(self) -> None:
        """Start afresh."""
        self.clock = Clock()
        self.over: list[str] = []
        self.deadlines = Deadlines(self.clock, self.over.append)

    def test_in_order(self) -> None:
        """The nearest expires first, whenever it was added."""
        for key, timeout_s in (("c", 3), ("a", 1), ("b", 2)):
            self.deadlines.add(key, timeout_s)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for expected in (["a"], ["a", "b"], ["a", "b", "c"]):
            self.clock.advance(1)
            self.assertEqual(self.over, expected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answered_in_time(self) -> None:
        """What was removed does not expire; removing twice is fine."""
        self.deadlines.add("a", 1)
        self.deadlines.add("b", 2)
        self.deadlines.remove("a")
        self.deadlines.remove("a")
        self.clock.advance(1.5)
        self.assertEqual(self.over, [])
        self.clock.advance(0.5)
        self.assertEqual(self.over, ["b"])

    def test_the_end(self) -> None:
        """Nothing is left on the clock."""
        self.deadlines.add("a", 1)
        self.deadlines.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_memory_is_bounded(self) -> None:
        """What was answered long before its deadline takes no room."""
        for number in range(10_000):
            self.deadlines.add(str(number), 3600)
            self.deadlines.remove(str(number))
        self.assertLess(len(self.deadlines._heap), 100)

    def test_one_that_expires_may_add_another(self) -> None:
        """Whoever is told may ask again at once."""
        again = Deadlines(self.clock, lambda key: again.add(key + "x", 1))
        again.add("a", 1)
        self.clock.advance(1)
        self.assertEqual([*again._due], ["ax"])
        again.clear()

    @given(steps)
    def test_as_one_timer_each(self, several: list[tuple[str, int, int]]) -> None:
        """It behaves as one timer for each key would."""
        clock, over = Clock(), []
        deadlines = Deadlines(clock, lambda key: over.append((clock.seconds(), key)))
        due: dict[str, float] = {}
        expected: set[tuple[float, str]] = set()
        for step, number, amount in several:
            key = str(number)
            if step == "add" and key not in due:
                deadlines.add(key, amount)
                due[key] = clock.seconds() + amount
            elif step == "remove":
                deadlines.remove(key)
                due.pop(key, None)
            elif step == "wait":
                for _ in range(amount):
                    clock.advance(1)
                    done = {k for k, when in due.items() if when <= clock.seconds()}
                    expected |= {(max(due.pop(k), clock.seconds()), k) for k in done}
        self.assertEqual({*over}, expected)
        self.assertEqual(len(over), len(expected))
