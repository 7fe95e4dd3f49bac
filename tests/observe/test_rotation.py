"""The rules of rotation."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Logging
from tbtwist.observe.rotation import (
    Rotation,
    base_of,
    rotated_at,
    rotated_name,
    rotated_of,
)
from tests.observe.logfolders import DAY, HOUR, MIDNIGHT

RULES = Rotation(max_bytes=100, every_s=DAY, kept_files=3, kept_s=2 * DAY)
_TIMES = st.floats(min_value=0, max_value=4e9)


class DueTests(SynchronousTestCase):
    """When a file is set aside."""

    def test_size(self) -> None:
        """Before it gets larger than allowed; an empty one never is."""
        self.assertFalse(RULES.is_due(60, 40, MIDNIGHT, MIDNIGHT))
        self.assertTrue(RULES.is_due(60, 41, MIDNIGHT, MIDNIGHT))
        self.assertFalse(RULES.is_due(0, 1000, MIDNIGHT - DAY, MIDNIGHT))

    def test_midnight(self) -> None:
        """At midnight UTC, however short the time since the last line."""
        self.assertTrue(RULES.is_due(1, 1, MIDNIGHT - 0.001, MIDNIGHT))
        self.assertFalse(RULES.is_due(1, 1, MIDNIGHT, MIDNIGHT + DAY - 0.001))
        self.assertTrue(RULES.is_due(1, 1, MIDNIGHT, MIDNIGHT + 10 * DAY))

    def test_hours(self) -> None:
        """After as many hours as are configured; with 0, never by age."""
        hourly = Rotation.of(Logging(rotate_hours=1))
        self.assertTrue(hourly.is_due(1, 1, MIDNIGHT + HOUR - 1, MIDNIGHT + HOUR))
        never = Rotation.of(Logging(rotate_hours=0))
        self.assertFalse(never.is_due(1, 1, 0, MIDNIGHT))

    def test_clock_set_back(self) -> None:
        """A clock that goes back sets nothing aside."""
        self.assertFalse(RULES.is_due(1, 1, MIDNIGHT + 1, MIDNIGHT - 1))


class KeptTests(SynchronousTestCase):
    """What is kept."""

    def names(self, *days_ago: float) -> list[str]:
        """Return the names of files that were set aside so many days ago."""
        return [rotated_name("a.log", MIDNIGHT - d * DAY, []) for d in days_ago]

    def test_number(self) -> None:
        """The newest ones only."""
        names = self.names(0.5, 0.4, 0.3, 0.2, 0.1)
        self.assertEqual(RULES.superfluous(names, MIDNIGHT), names[:2])

    def test_age(self) -> None:
        """Those that are young enough only; with 0, the number alone counts."""
        names = self.names(9, 3, 1)
        self.assertEqual(RULES.superfluous(names, MIDNIGHT), names[:2])
        forever = Rotation.of(Logging(kept_days=0))
        self.assertEqual(forever.superfluous(names, MIDNIGHT), [])

    def test_audit(self) -> None:
        """The audit log is kept longer, and set aside every 30 days."""
        audit = Rotation.of_audit(Logging())
        self.assertEqual((audit.every_s, audit.kept_s), (30 * DAY, 365 * DAY))


class NameTests(SynchronousTestCase):
    """What a file is called once it has been set aside."""

    def test_name(self) -> None:
        """It has the moment in it."""
        name = rotated_name("http-1.log", MIDNIGHT + 0.12, [])
        self.assertEqual(name, "http-1.log.20261124T000000.120Z")
        self.assertEqual(rotated_at(name), MIDNIGHT + 0.12)
        self.assertEqual((base_of(name), base_of("a.log")), ("http-1.log", "a.log"))

    def test_others(self) -> None:
        """Files of others are left alone."""
        mine = rotated_name("a.log", MIDNIGHT, [])
        strange = ["a.log", "a.log.1", "a.log.20269999T000000.000Z", "manager.out"]
        other = rotated_name("a.log.log", MIDNIGHT, [])
        self.assertEqual(rotated_of("a.log", [mine, other, *strange]), [mine])
        self.assertEqual([rotated_at(name) for name in strange], [None] * 4)
        self.assertEqual((base_of("manager.out"), base_of("out" + mine[5:])), ("", ""))

    @given(st.lists(_TIMES, min_size=2, max_size=9))
    def test_order(self, times: list[float]) -> None:
        """Names grow, and none comes twice, even when the clock goes back."""
        names: list[str] = []
        for now in times:
            names.append(rotated_name("a.log", now, names))
        self.assertEqual(names, sorted(set(names)))
        self.assertEqual(rotated_of("a.log", reversed(names)), names)
