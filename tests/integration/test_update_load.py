"""Updates in a row under load, as ``python -m benchmarks updates`` has them, but less."""

from __future__ import annotations

from typing import Final

from twisted.trial.unittest import TestCase

from benchmarks.updates import Amount, updated
from tests.integration.system import threads

LITTLE: Final = Amount(requesters=4, talkers=30, of_all=3, of_http=2)


class UpdateLoadTests(TestCase):
    """HTTP clients with a session and WebSockets that number what they say."""

    timeout = 240

    async def test_nobody_feels_anything(self) -> None:
        """No request fails or is refused, nothing is lost and nothing is done twice.

        When only http workers are renewed, no WebSocket is closed.
        """
        told: list[str] = []
        all_workers, http = await threads(self)(updated, LITTLE, told.append)
        what_was_told = "\n".join(told)
        self.assertEqual([], all_workers.problems + http.problems, what_was_told)
        for felt in (all_workers, http):
            self.assertGreater(felt.total("requests"), 0, what_was_told)
            self.assertGreater(felt.total("messages"), 0, what_was_told)
            self.assertGreater(felt.rest["told"], 0)
        self.assertGreaterEqual(all_workers.closed, LITTLE.talkers * LITTLE.of_all)
        self.assertEqual(0, http.closed)
