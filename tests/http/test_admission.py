"""Turns: how many run, how many wait, and in which order."""

from __future__ import annotations

from functools import partial

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.http.admission import Admission


class AdmissionTests(SynchronousTestCase):
    """Who may run."""

    def setUp(self) -> None:
        """Let two run and one wait."""
        self.ran: list[str] = []
        self.turns = Admission(2, 1)

    def enter(self, name: str) -> bool:
        """Let somebody in."""
        return self.turns.enter(name, lambda: self.ran.append(name))

    def test_order(self) -> None:
        """The next one runs when one has left."""
        self.assertEqual([self.enter(n) for n in "abc"], [True, True, False])
        self.assertTrue(self.turns.is_full)
        self.turns.leave("a")
        self.assertEqual(self.ran, ["a", "b", "c"])
        self.assertFalse(self.turns.is_full)

    def test_leaving_early(self) -> None:
        """Who leaves while waiting never runs, and makes room."""
        for name in "abc":
            self.enter(name)
        self.turns.leave("c")
        self.assertFalse(self.turns.is_full)
        self.turns.leave("a")
        self.turns.leave("a")
        self.assertEqual(self.ran, ["a", "b"])

    def test_one_that_is_done_at_once(self) -> None:
        """A whole queue of short ones runs through."""
        turns = Admission(1, 5000)
        ran: list[int] = []

        def start(number: int) -> None:
            ran.append(number)
            turns.leave(number)

        turns.enter("first", lambda: None)
        for number in range(5000):
            turns.enter(number, partial(start, number))
        turns.leave("first")
        self.assertEqual(ran, list(range(5000)))

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=40))
    def test_never_more(self, steps: list[tuple[bool, int]]) -> None:
        """Never do more run than may; nobody waits while there is room."""
        turns = Admission(2, 3)
        running: set[int] = set()
        waiting: list[int] = []
        for enters, name in steps:
            if enters and name not in running and name not in waiting:
                if turns.is_full:
                    continue
                waiting.append(name)

                def start(name: int = name) -> None:
                    waiting.remove(name)
                    running.add(name)

                turns.enter(name, start)
            elif not enters:
                running.discard(name)
                if name in waiting:
                    waiting.remove(name)
                turns.leave(name)
            self.assertLessEqual(len(running), 2)
            self.assertLessEqual(len(waiting), 3)
            self.assertTrue(len(running) == 2 or not waiting)
