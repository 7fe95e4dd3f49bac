"""How patient the manager is."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import Manager
from tbtwist.supervise.policy import Policy
from tests.supervise.fakes import patient


class PolicyTests(SynchronousTestCase):
    """How long to wait."""

    @given(st.integers(min_value=1, max_value=10_000))
    def test_backoff_is_bounded(self, deaths: int) -> None:
        """However often a worker died, the wait is never above the maximum."""
        policy = patient(jitter=lambda delay_s: delay_s * 1.2)
        self.assertLessEqual(policy.backoff_s(deaths), 30.0)
        self.assertGreaterEqual(policy.backoff_s(deaths), 0.2)

    def test_from_settings(self) -> None:
        """The settings say how patient the manager is."""
        manager = Manager(
            start_timeout_s=3, health_check_interval=4, max_restart_attempts=7
        )
        policy = Policy.from_settings(manager, drain_timeout_s=2, jitter=lambda s: s)
        self.assertEqual(policy.start_timeout_s, 3)
        self.assertEqual(policy.silence_s, 8)
        self.assertEqual(policy.drain_timeout_s, 2)
        self.assertEqual(policy.max_restart_attempts, 7)
        self.assertGreater(policy.kill_after_s, policy.drain_timeout_s)
