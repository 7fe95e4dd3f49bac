"""The broker as a service, on real sockets."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor as global_reactor  # noqa: TID251 - real sockets
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.broker.service import BrokerService
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.keys import BusKeys
from tbtwist.bus.zeromq import ZmqBus
from tbtwist.errors import AlreadyRunning, CannotBind
from tbtwist.identity import WorkerId
from tests.bus.fakes import FAST, on_tcp

reactor: Any = global_reactor


class ServiceTests(TestCase):
    """Starting, stopping, and being the only one."""

    timeout = 60

    def setUp(self) -> None:
        """Make a place for it."""
        self.dir = Path(tempfile.mkdtemp(prefix="tbt"))
        self.addCleanup(shutil.rmtree, self.dir)

    def broker(
        self, endpoints: Endpoints | None = None, config: BusConfig = FAST
    ) -> BrokerService:
        """Return a broker that will be stopped."""
        service = BrokerService(
            reactor=reactor,
            endpoints=endpoints or Endpoints.inside(self.dir),
            config=config,
            data_dir=self.dir,
            random=secrets.token_bytes,
        )
        self.addCleanup(service.stopService)
        return service

    async def greet(self, endpoints: Endpoints | None = None) -> None:
        """Join the bus and leave it."""
        identity = WorkerId.new("app-1", 1, secrets.token_bytes)
        bus = ZmqBus(reactor, identity, endpoints or Endpoints.inside(self.dir), FAST)
        self.addCleanup(bus.close)
        await bus.connect()
        await bus.close()

    async def test_start_stop_start(self) -> None:
        """A broker serves from its start on, and another one after it has stopped."""
        for _ in range(2):
            service = self.broker()
            service.privilegedStartService()
            service.startService()
            self.assertTrue(IService.providedBy(service))
            await self.greet()
            service.stopService()
            self.assertFalse(service.running)

    def sockets(self) -> set[str]:
        """Return the names of the sockets' files."""
        return {path.name for path in self.dir.glob("*.sock")}

    def test_nothing_is_left(self) -> None:
        """A broker that stops takes the files of its sockets with it."""
        service = self.broker()
        service.startService()
        names = {"pub.sock", "sub.sock", "broker.sock", "send.sock"}
        self.assertEqual(self.sockets(), names)
        service.stopService()
        self.assertEqual(self.sockets(), set())

    def test_only_its_own_is_removed(self) -> None:
        """What somebody else has put in a file's place stays."""
        service = self.broker()
        service.startService()
        (self.dir / "pub.sock").unlink()
        (self.dir / "sub.sock").rename(self.dir / "kept.sock")
        (self.dir / "sub.sock").write_text("another's")
        service.stopService()
        self.assertEqual(self.sockets(), {"kept.sock", "sub.sock"})
        self.assertEqual((self.dir / "sub.sock").read_text(), "another's")

    async def test_without_privileges(self) -> None:
        """`startService` alone is enough."""
        self.broker().startService()
        await self.greet()

    async def test_tcp(self) -> None:
        """Configured TCP addresses work."""
        endpoints = on_tcp(BusKeys.new(secrets.token_bytes))
        self.broker(endpoints).startService()
        await self.greet(endpoints)

    async def test_a_second_broker_is_refused(self) -> None:
        """It does not steal the sockets: it names who has them, and the first goes on."""
        first = self.broker()
        first.startService()
        second = self.broker()
        error = self.assertRaises(AlreadyRunning, second.privilegedStartService)
        self.assertEqual((error.pid, error.what), (os.getpid(), "broker"))
        second.stopService()
        await self.greet()

    def test_an_address_that_is_taken(self) -> None:
        """A bind that fails is an error at once, and nothing stays behind."""
        endpoints = Endpoints.inside(self.dir / "nowhere")
        service = self.broker(endpoints)
        error = self.assertRaises(CannotBind, service.privilegedStartService)
        self.assertIn("nowhere", str(error))
        self.broker().privilegedStartService()

    async def test_a_vanished_worker_is_counted(self) -> None:
        """A message to a process that is gone is counted, and its origin hears of it."""
        service = self.broker()
        service.startService()
        one, two = [
            ZmqBus(
                reactor,
                WorkerId.new(slot, 1, secrets.token_bytes),
                Endpoints.inside(self.dir),
                FAST,
            )
            for slot in ("http-1", "http-2")
        ]
        for bus in (one, two):
            self.addCleanup(bus.close)
            await bus.connect()
            bus.announce(ready=True)
        one._shut()
        while not service.table.counters["undelivered: unreachable"]:
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn
            service._sockets.tick()

    async def test_a_tick_that_fails_is_not_the_last(self) -> None:
        """The clockwork survives an error, which is logged."""
        service = self.broker()
        service.startService()
        ticked: Deferred[None] = Deferred()
        real = service._sockets.tick

        failing = [ZeroDivisionError()]

        def tick() -> None:
            if failing:
                raise failing.pop()
            real()
            if not ticked.called:
                ticked.callback(None)

        service._sockets.tick = tick
        await ticked
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
