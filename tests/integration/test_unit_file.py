"""``etc/tbtwist.service`` says what is true."""

from __future__ import annotations

import configparser
import socket
from functools import partial
from pathlib import Path

from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.sample import FILES, config
from tests.integration.system import PATIENCE_S, Child, System, folder, reactor

_UNIT = Path(__file__).parents[2] / "etc" / "tbtwist.service"


class Listener:
    """What systemd has at NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._heard: list[bytes] = []

    def heard(self, word: bytes) -> bool:
        """Whether somebody has said ``word`` by now."""
        try:
            while True:
                self._heard.append(self._socket.recv(4096))
        except BlockingIOError:
            return any(word in message for message in self._heard)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


class UnitFileTests(TestCase):
    """The unit's commands, with somebody at NOTIFY_SOCKET as systemd would be."""

    timeout = 120

    def setUp(self) -> None:
        """Read the unit; it may name a key several times. Make a folder to run in."""
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment]
        parser.read(_UNIT)
        self.service = parser["Service"]
        self.system = System(self, folder(self), None)
        self.root = self.system.root
        for name, text in {**FILES, "config.yaml": config()}.items():
            (self.root / name).write_text(text)
        self.systemd = Listener(self.root / "notify")
        self.addCleanup(self.systemd.close)

    def run_command(self, key: str) -> Child:
        """Run a command of the unit, with another file."""
        program, *arguments = self.service[key].split()
        self.assertEqual("tbtwist", Path(program).name)
        file = str(self.root / "config.yaml")
        given = (file if each.endswith(".yaml") else each for each in arguments)
        return self.system.tbtwist(*given)

    async def test_start_and_reload(self) -> None:
        """ExecStart tells when it serves and that it lives; ExecReload updates it."""
        self.assertEqual("notify", self.service["Type"])
        address = {"NOTIFY_SOCKET": str(self.root / "notify")}
        self.patch(self.system, "environ", {**self.system.environ, **address})
        self.system.manager = manager = self.run_command("ExecStart")
        for word in (b"READY=1", b"WATCHDOG=1"):
            heard = partial(self.systemd.heard, word)
            self.assertTrue(
                await wait_until(reactor, heard, PATIENCE_S), manager.output
            )
        self.assertTrue(await self.system.all_running())
        reload = self.run_command("ExecReload")
        self.assertEqual(0, await reload.ended, reload.output)
        self.assertEqual(2, (await self.system.worker("http-1"))["generation"])
        self.assertEqual(0, await self.system.stop())
        self.assertTrue(self.systemd.heard(b"STOPPING=1"))
