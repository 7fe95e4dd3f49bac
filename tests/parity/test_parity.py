"""The same requests to our worker and to ToolBoxV2's own, and their answers."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.parity.cases import CASES, EVERYWHERE
from tests.parity.comparing import Ledger, differences, listed
from tests.parity.workers import PROJECT, Workers

DOCUMENT: Path = PROJECT / "docs" / "compatibility.md"


class ParityTests(SynchronousTestCase):
    """A team that changes to our workers knows what will change for it."""

    def test_every_difference_is_listed(self) -> None:
        """Answers are the same, or differ as docs/compatibility.md says."""
        compared, _ = listed(DOCUMENT.read_text())
        ledger = Ledger(compared, EVERYWHERE)
        workers = Workers()
        self.addCleanup(workers.close)
        both = workers.real(), workers.ours()
        for case in CASES:
            real, ours = (
                worker.ask(case.method, case.target, case.headers, case.body)
                for worker in both
            )
            ledger.enter(case.name, differences(real, ours, case.masked), case.differs)
        self.assertEqual("", "\n".join(ledger.close()))
