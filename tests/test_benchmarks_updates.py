"""What ``python -m benchmarks updates`` counts; nothing is timed here."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from attrs import evolve
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import update_peers
from benchmarks.felt import HEAD, Felt, Listening, Numbers, Tally, handled_twice


class NumbersTests(SynchronousTestCase):
    """Messages are numbered over all connections of a client."""

    @given(st.integers(1, 20), st.data())
    def test_what_has_no_answer_is_kept(self, said: int, data: st.DataObject) -> None:
        """In its order, for the next connection."""
        numbers = Numbers()
        for number in range(said):
            self.assertEqual(numbers.next(float(number)), number + 1)
        answered = data.draw(st.integers(0, said))
        for number in range(1, answered + 1):
            self.assertEqual(numbers.answer(number), number - 1)
        self.assertEqual([*numbers.unanswered], [*range(answered + 1, said + 1)])

    def test_another_answer_is_an_error(self) -> None:
        """One that was left out, and one that comes again."""
        numbers = Numbers()
        numbers.next(0), numbers.next(0)
        self.assertRaises(ValueError, numbers.answer, 2)
        numbers.answer(1)
        self.assertRaises(ValueError, numbers.answer, 1)


class ListeningTests(SynchronousTestCase):
    """A client follows broadcasts as docs/javascript.md says."""

    def test_a_broadcast_counts_once(self) -> None:
        """Each publisher's own number says whether it is news."""
        listening = Listening()
        for place, number in (
            ("a.1", 1),
            ("b.1", 2),
            ("a.1", 3),
            ("a.2 Load/count", 4),
        ):
            heard = listening.take(f'\x1e{place}\x1e{{"n":{number}}}'.encode())
            self.assertIsNone(heard)
        self.assertEqual(listening.told, {1, 2, 4})
        self.assertEqual(listening.query, "resume=1&seen=a.2,b.1")

    def test_tokens(self) -> None:
        """The newest one is what it comes back with, whoever said it."""
        listening = Listening()
        listening.take(b'{"type":"connected","resume":"one"}')
        self.assertEqual(listening.query, "resume=one")
        said = listening.take(b'\x1e!\x1e{"type":"token","resume":"two"}')
        self.assertEqual(said, {"type": "token", "resume": "two"})
        self.assertEqual(listening.query, "resume=two")

    def test_what_is_only_for_us(self) -> None:
        """It may stand behind a mark, too."""
        listening = Listening()
        for raw in (b'{"type":"echo"}', b'\x1e\x1e{"type":"echo"}'):
            self.assertEqual(listening.take(raw), {"type": "echo"})


def tally(**felt: Any) -> dict[str, Any]:
    """Return a round in which this was felt."""
    return {**Tally().take(), "took_s": 2.0, "memory_mib": 3.0, **felt}


def felt(*rounds: dict[str, Any], lost: int = 0, doubled: int = 0) -> Felt:
    """Return a series in which no WebSocket may be closed."""
    rest = {**tally(), "said": 5, "told": 6, "lost": lost}
    return Felt(name="x", rounds=rounds, rest=rest, doubled=doubled, sockets_stay=True)


class FeltTests(SynchronousTestCase):
    """Whatever a client could notice is a problem."""

    def test_nothing(self) -> None:
        """Good is good, and has a row."""
        series = felt(tally(requests=7), tally(requests=8))
        self.assertEqual(series.problems, [])
        row = dict(zip(HEAD, series.row(), strict=True))
        self.assertEqual(row["requests"], "15")
        self.assertEqual(row["messages + broadcasts"], "5 + 6")
        self.assertEqual(row["an update, s"], "2.00 (2.00)")

    def test_nothing_said(self) -> None:
        """What a server without WebSockets cannot lose is no zero of its own."""
        series = felt(tally())
        row = dict(
            zip(
                HEAD, evolve(series, rest={**series.rest, "said": 0}).row(), strict=True
            )
        )
        self.assertEqual((row["lost"], row["sockets closed"]), ("-", "-"))
        self.assertEqual(row["slowest message, ms"], "-")

    def test_each_problem(self) -> None:
        """Refusals, failures, losses, doubles, closed WebSockets: each alone."""
        for series in (
            felt(tally(refused=1)),
            felt(tally(failures={"late": 1})),
            felt(tally(closed={"1012": 1})),
            felt(tally(), lost=1),
            felt(tally(), doubled=1),
        ):
            self.assertEqual(len(series.problems), 1, series)

    def test_tally(self) -> None:
        """A refusal is no other failure; with each look it begins anew."""
        tally = Tally()
        tally.fail(ConnectionRefusedError())
        tally.fail(ValueError("odd"))
        tally.answered(2.0)
        tally.echoed(3.0)
        found = tally.take()
        self.assertEqual(found["refused"], 1)
        self.assertEqual(found["failures"], {"ValueError: odd": 1})
        self.assertEqual((found["requests"], found["slowest_request_s"]), (1, 2.0))
        self.assertEqual((found["messages"], found["slowest_message_s"]), (1, 3.0))
        self.assertEqual(tally.take(), Tally().take())

    def test_handled_twice(self) -> None:
        """The same number of the same client is not to be seen again."""
        self.assertEqual(handled_twice(["1 1", "1 2", "2 1"]), 0)
        self.assertEqual(handled_twice(["1 1", "1 2", "1 1", "1 1"]), 2)


class PeersTests(SynchronousTestCase):
    """Who is not there is left out, with a sentence."""

    def test_missing(self) -> None:
        """And the others are not."""
        there = update_peers.Peer("json", ())
        gone = update_peers.Peer("no_such_package_here", ())
        self.patch(update_peers, "PEERS", {"one": there, "two": gone})
        with redirect_stderr(StringIO()) as said:
            self.assertEqual(update_peers.present(), ["one"])
        self.assertIn("two", said.getvalue())
