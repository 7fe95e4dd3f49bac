"""Under another supervisor: sockets and a notify socket that are given from outside."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.net.listening import bind_tcp, port_of
from tbtwist.services import wait_until
from tests.integration.contained import Contained, namespace
from tests.integration.sample import FILES, config, get
from tests.integration.system import PATIENCE_S, System, folder, reactor


class ActivationTests(TestCase):
    """What systemd does with ``.socket`` units and ``Restart=always``."""

    timeout = 240

    def setUp(self) -> None:
        """Open the sockets that outlive every manager."""
        self.listener = bind_tcp("127.0.0.1", 0, backlog=128, what="the test")
        self.addCleanup(self.listener.close)
        self.port = port_of(self.listener)
        self.ui = bind_tcp("127.0.0.1", 0, backlog=128, what="the test")
        self.addCleanup(self.ui.close)
        self.ui_port = port_of(self.ui)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notified.close)
        self.notified.settimeout(0)

    def system(self, kind: type[System] = System) -> System:
        """Return a system that is to be started as systemd would."""
        root = folder(self)
        address = root / "notify.sock"
        self.notified.bind(str(address))
        (root / "probe.py").write_text(FILES["probe.py"])
        path = root / "config.yaml"
        path.write_text(config(1, 1).replace("port: 0", f"port: {self.port}", 1))
        system = kind(self, root, path)
        system.environ |= {
            "LISTEN_FDS": "2",
            "LISTEN_FDNAMES": "tbtwist.socket:tbtwist-ui.socket",
            "TB_UI_PORT": str(self.ui_port),
            "NOTIFY_SOCKET": str(address),
        }
        system.given = (self.listener.fileno(), self.ui.fileno())
        return system

    def told(self) -> list[str]:
        """Return what the service manager was told since the last look."""
        found: list[str] = []
        while True:
            try:
                found += self.notified.recv(4096).decode().splitlines()
            except BlockingIOError:
                return found

    async def test_nobody_is_refused(self) -> None:
        """A killed manager comes back; who asked meanwhile was only kept waiting."""
        system = self.system()
        await system.start_again()
        await self.heard("READY=1")
        self.assertEqual(await system.ports("http"), [self.port])
        url = f"http://127.0.0.1:{self.port}/api/Probe/who"
        self.assertEqual((await system.in_thread(get, url))[0], 200)
        page = f"http://127.0.0.1:{self.ui_port}/"
        self.assertEqual((await system.in_thread(get, page))[0], 200)

        assert system.manager is not None
        os.kill(system.manager.pid, signal.SIGKILL)
        await system.manager.ended
        await wait_until(reactor, lambda: not system.processes(), PATIENCE_S)
        waiting: Deferred[Any] = system.in_thread(get, url)
        looking: Deferred[Any] = system.in_thread(get, page)
        await system.start_again()
        self.assertEqual((await waiting)[0], 200)
        self.assertEqual((await looking)[0], 200)

    async def heard(self, fact: str) -> None:
        """Wait until the service manager has been told something."""
        told: list[str] = []

        def look() -> bool:
            told.extend(self.told())
            return fact in told

        self.assertTrue(await wait_until(reactor, look, PATIENCE_S), told)

    async def test_stop(self) -> None:
        """SIGTERM drains everything; that is told, too, and the exit status is 0."""
        system = self.system()
        await system.start_again()
        self.told()
        self.assertEqual(await system.stop(), 0)
        self.assertIn("STOPPING=1", self.told())

    async def test_watchdog(self) -> None:
        """A manager that is well says so again and again, as ``WatchdogSec`` wants it."""
        system = self.system()
        await system.start_again()
        for _ in range(2):
            self.told()
            await self.heard("WATCHDOG=1")

    async def test_in_a_container(self) -> None:
        """What process 1 is given is the role's, and no listener stays with process 1."""
        namespace()
        system = self.system(Contained)
        assert isinstance(system, Contained)
        system.environ["LISTEN_PID"] = "1"
        await system.start_again()
        await self.heard("READY=1")
        self.assertEqual(await system.ports("http"), [self.port])
        held = {each.name for each in Path(f"/proc/{system.first}/fd").iterdir()}
        self.assertEqual({"0", "1", "2"}, held)
        system.tell(signal.SIGTERM)
        assert system.manager is not None
        self.assertEqual(await system.manager.ended, 0)
        self.assertIn("STOPPING=1", self.told())
