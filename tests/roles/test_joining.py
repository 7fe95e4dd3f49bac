"""What a role tells of its bus."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.net.supervised import parse_notification
from tbtwist.roles.joining import bus_reasons


class FiguresTests(SynchronousTestCase):
    """The bus' counters as figures."""

    def test_by_reason(self) -> None:
        """Each reason is a figure that gets through to the manager."""
        figures = bus_reasons({"dropped: bad frame": 3, "sent again": 1})
        told = "\n".join(f"X_{name}={count}" for name, count in figures.items())
        self.assertEqual(
            parse_notification(told.encode()),
            {"X_BUS:dropped: bad frame": "3", "X_BUS:sent again": "1"},
        )
