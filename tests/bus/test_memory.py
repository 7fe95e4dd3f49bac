"""What is special about a bus whose broker lives in the same process."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.broker.routing import RoutingTable
from tbtwist.bus.config import BusConfig
from tbtwist.bus.memory import MemoryBus, MemoryHub
from tbtwist.identity import WorkerId


class AwayTests(SynchronousTestCase):
    """A process that was blocked, or on a machine that slept."""

    def test_nobody_is_dead(self) -> None:
        """Workers that were silent only because everything was are not put out."""
        clock, config = Clock(), BusConfig()
        hub = MemoryHub(RoutingTable("boot", config, clock.seconds()), clock)
        ids = (WorkerId.new(slot, 1, os.urandom) for slot in ("http-1", "ws-1"))
        http, ws = (MemoryBus(hub, identity, config) for identity in ids)
        fenced: list[str] = []
        for bus in (http, ws):
            bus.on_fenced(lambda: fenced.append("out"))
            _ = bus.connect()
        clock.pump([0.05] * 20)
        for bus in (http, ws):
            bus.announce(ready=True)
        clock.pump([0.05] * 60)
        self.assertEqual(1, http.colleagues("ws"))
        clock.advance(3600)
        clock.pump([0.05] * 60)
        self.assertEqual([], fenced)
        self.assertTrue(http.connected and ws.connected)
        self.assertEqual(1, http.colleagues("ws"))
        self.assertEqual(1, ws.colleagues("http"))
