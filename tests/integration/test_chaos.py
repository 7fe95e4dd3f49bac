"""Processes are killed under steady traffic, and every promise is kept."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Final

from tests.integration.chaos import RESTARTED, SEED, ChaosCase
from tests.integration.crowd import ABNORMAL

CLIENTS: Final = 200


class ChaosTests(ChaosCase):
    """200 clients number their messages, whatever dies."""

    async def test_one_after_another(self) -> None:
        """An http worker, a ws worker and the broker die: all is as it should be.

        Only the dead ws worker's clients notice more than a pause, and handlers
        are told about their connections.
        """
        await self.begin(CLIENTS)
        http, ws = self.victims()
        await self.kill(http)
        await self.kill(ws)
        lost = self.crowd.ended()
        await self.system.until(partial(self.told, lost), f"the end of {len(lost)}")
        await self.kill("broker")
        await self.judge({await self.port_of(ws): ABNORMAL})

    async def test_all_in_a_row(self) -> None:
        """An http worker, a ws worker and the broker die at the same moment."""
        await self.begin(CLIENTS)
        http, ws = self.victims()
        await self.kill(http, ws, "broker")
        await self.judge({await self.port_of(ws): ABNORMAL})

    async def test_one_stands_still(self) -> None:
        """An http worker that is stopped for too long loses its keys, and its place.

        What it handles when it comes back is nobody's answer any more, so no client
        notices more than a pause.
        """
        await self.begin(CLIENTS)
        http, _ = self.victims()
        pid = int((await self.system.worker(http))["pid"])
        os.kill(pid, signal.SIGSTOP)
        try:
            await self.system.until(self.crowd.mark(), f"answers (seed {SEED})")
        finally:
            os.kill(pid, signal.SIGCONT)
        await self.system.until(partial(self.replaced, http, pid), http)
        await self.whole_again()
        await self.judge({}, in_order=False)

    async def test_update(self) -> None:
        """A rolling update loses nothing, and no answer either."""
        await self.begin(CLIENTS)
        status, output = await self.system.command("update")
        self.assertEqual(0, status, output)
        await self.whole_again()
        await self.judge(dict.fromkeys(self.crowd.ports, RESTARTED))
        self.check_parting()

    async def test_restart(self) -> None:
        """``tbtwist restart`` under traffic loses nothing that was taken."""
        await self.begin(CLIENTS)
        ports = self.crowd.ports
        manager = self.system.manager
        assert manager is not None
        self.system.manager = self.system.tbtwist(
            "restart", "-c", str(self.system.config)
        )
        self.assertEqual(0, await manager.ended)
        await self.system.until(self.system.all_running)
        self.crowd.ports = await self.system.ports("ws")
        await self.whole_again()
        await self.judge(dict.fromkeys(ports, RESTARTED))
        self.check_parting()
