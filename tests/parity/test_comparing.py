"""The judgement itself: what counts as a difference, and what the document says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.parity.cases import CASES, EVERYWHERE
from tests.parity.comparing import Answer, Ledger, differences, listed
from tests.parity.workers import PROJECT

JSON = {"content-type": "application/json"}


class DifferenceTests(SynchronousTestCase):
    """Two answers side by side."""

    def test_same(self) -> None:
        """The order of JSON's keys, the clock and the length are no difference."""
        one = Answer(200, {**JSON, "date": "a"}, b'{"a":1,"b":2}')
        other = Answer(200, {**JSON, "content-length": "15"}, b'{"b":2, "a": 1}')
        self.assertEqual(differences(one, other), frozenset())

    def test_each_part(self) -> None:
        """Status, body and every header are told apart."""
        one = Answer(200, {"x": "1", "y": "1"}, b"a")
        other = Answer(404, {"x": "2", "z": "1"}, b"b")
        found = {"status", "body", "header x", "header y", "header z"}
        self.assertEqual(differences(one, other), found)

    def test_masked(self) -> None:
        """Of what differs by its nature, the kind is compared."""
        one, other = (Answer(200, JSON, b'{"pid":%d}' % pid) for pid in (1, 2))
        self.assertEqual(differences(one, other), {"body"})
        self.assertEqual(differences(one, other, frozenset({"pid"})), frozenset())
        text = Answer(200, JSON, b'{"pid":"1"}')
        self.assertEqual(differences(one, text, frozenset({"pid"})), {"body"})

    def test_cookies(self) -> None:
        """Of a session's cookie, what is not random is compared."""
        values = (
            "tb_session=a.b; Path=/",
            "tb_session=c.d; Path=/",
            "tb_session=; Path=/",
            "tb_session=e.f; Path=/; Secure",
        )
        one, *others = (Answer(200, {"set-cookie": v}, b"") for v in values)
        found = [bool(differences(one, other)) for other in others]
        self.assertEqual(found, [False, True, True])


class LedgerTests(SynchronousTestCase):
    """Differences against claims."""

    def problems(self, found: set[str], claims: dict[str, str]) -> list[str]:
        """Return the problems with one request."""
        ledger = Ledger(frozenset({"known"}), {"header server": "known"})
        ledger.enter("GET /", frozenset(found), claims)
        return ledger.close()

    def test_listed(self) -> None:
        """What is claimed and listed, here or for every answer, is fine."""
        self.assertEqual(self.problems({"body"}, {"body": "known"}), [])
        self.assertEqual(self.problems({"header server"}, {}), [])

    def test_unlisted(self) -> None:
        """A difference that nobody has listed is a problem."""
        (problem, gone) = self.problems({"status"}, {})
        self.assertIn("status differs and is not listed", problem)
        self.assertIn("'known' is listed and did not occur", gone)

    def test_unknown_key(self) -> None:
        """A claim must be in the document."""
        (problem, _) = self.problems({"body"}, {"body": "made-up"})
        self.assertIn("'made-up' (body) is not in the document", problem)

    def test_over(self) -> None:
        """A claim about what is the same by now is a problem."""
        problems = self.problems({"body"}, {"body": "known", "status": "known"})
        self.assertEqual(problems, ["GET /: status does not differ ('known')"])


class DocumentTests(SynchronousTestCase):
    """docs/compatibility.md."""

    def test_tables(self) -> None:
        """Keys are read by the section that they stand in."""
        compared, others = listed(
            "## Compared, request by request\n| key | a | b | c |\n|---|---|---|---|\n"
            "| `one` | x | y | z |\n## Others\n| `two` | x | y | z |\n"
        )
        self.assertEqual((compared, others), ({"one"}, {"two"}))

    def test_reason_is_needed(self) -> None:
        """A difference without a reason is not accepted."""
        with self.assertRaisesRegex(ValueError, "one: three cells"):
            listed("| `one` | x | y | |")

    def test_ours(self) -> None:
        """Ours lists each difference once, and only what requests can show."""
        text = (PROJECT / "docs" / "compatibility.md").read_text()
        compared, others = listed(text)
        self.assertEqual(compared & others, frozenset())
        used = {key for case in CASES for key in case.differs.values()}
        self.assertEqual(compared, used | set(EVERYWHERE.values()))
