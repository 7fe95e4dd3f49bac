"""What killed workers leave behind."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.broker.sweeping import PeerSweep

KNOWN, DEAD = "http-1.1.aa", "http-2.1.bb"


class SweepTests(SynchronousTestCase):
    """Sockets of those whom nobody knows."""

    def setUp(self) -> None:
        """Make a directory with sockets and something else."""
        self.dir = Path(self.mktemp())
        self.dir.mkdir()
        for name in (f"peer-{KNOWN}", f"peer-{DEAD}", "broker.sock"):
            (self.dir / name).touch()
        self.sweep = PeerSweep(self.dir)

    def names(self) -> list[str]:
        """Return what is there."""
        return sorted(each.name for each in self.dir.iterdir())

    def test_the_dead(self) -> None:
        """What is unknown twice is removed; workers' sockets and other files stay."""
        self.sweep.sweep([KNOWN])
        self.assertEqual(len(self.names()), 3)
        self.sweep.sweep([KNOWN])
        self.assertEqual(self.names(), ["broker.sock", f"peer-{KNOWN}"])

    def test_one_that_joins(self) -> None:
        """A worker whose socket is there before it is known keeps it."""
        self.sweep.sweep([KNOWN])
        self.sweep.sweep([KNOWN, DEAD])
        self.sweep.sweep([KNOWN])
        self.assertEqual(len(self.names()), 3)

    def test_no_directory(self) -> None:
        """There may be nothing to tidy."""
        PeerSweep(self.dir / "nowhere").sweep([])
