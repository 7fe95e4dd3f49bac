"""Roles that are started by hand, each a process of its own."""

from __future__ import annotations

import re
from typing import Final

from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.system import PATIENCE_S, Child, reactor

_ADDRESS: Final = re.compile(r"serving .*?(?:http|ws)://127\.0\.0\.1:(\d+)")


class ByHandCase(TestCase):
    """Tests that read what roles say."""

    async def says(self, child: Child, words: str) -> None:
        """Wait until a process says something."""
        said = await wait_until(
            reactor,
            lambda: words in child.output or child.status is not None,
            PATIENCE_S,
        )
        self.assertTrue(said and words in child.output, child.output)

    def port(self, child: Child) -> int:
        """Return the port that a role says it serves."""
        found = _ADDRESS.search(child.output)
        assert found is not None, child.output
        return int(found[1])
