"""As process 1 of a container."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Final

from twisted.trial.unittest import TestCase

from tests.integration.contained import Contained, children, namespace
from tests.integration.sample import FILES, config, get
from tests.integration.system import TWISTD

STRAY: Final = """
import subprocess

@export(mod_name="Probe", name="stray", level=0)
def stray():
    subprocess.run(["sh", "-c", "exec >/dev/null 2>&1; sleep 600 & sleep 600 &"])
    return "they are orphans now"
"""


class FirstProcessTests(TestCase):
    """A container with nothing but ``tbtwist start`` is a good one."""

    timeout = 180

    async def start(
        self, arguments: tuple[str, ...] = Contained.arguments
    ) -> Contained:
        """Start an http worker, its broker and its manager in a namespace."""
        namespace()
        files = {"probe.py": FILES["probe.py"] + STRAY}
        self.patch(Contained, "arguments", arguments)
        return await Contained.start(self, config(1, 0), files=files)

    async def ends(self, system: Contained, number: int) -> None:
        """A signal ends everything in order."""
        system.tell(number)
        assert system.manager is not None
        self.assertEqual(0, await system.manager.ended, system.manager.output)
        self.assertEqual([], system.processes())

    async def test_orphans_are_reaped(self) -> None:
        """What a handler has left running is taken when it ends; no zombie stays."""
        system = await self.start()
        [manager] = children(system.first)
        [port] = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Probe/stray"
        for _ in range(3):
            self.assertEqual(200, (await system.in_thread(get, url))[0])
        await system.until(partial(self.orphans, system, 6), "orphans")
        for orphan in children(system.first) - {manager}:
            os.kill(orphan, signal.SIGKILL)
        await system.until(partial(self.orphans, system, 0), "no zombies")
        self.assertEqual({manager}, children(system.first))
        await self.ends(system, signal.SIGTERM)

    async def orphans(self, system: Contained, count: int) -> bool:
        """Whether process 1 has so many children that it did not start."""
        return len(children(system.first)) == 1 + count

    async def test_interrupt(self) -> None:
        """SIGINT, as from a terminal, ends it in order."""
        await self.ends(await self.start(), signal.SIGINT)

    async def test_hangup(self) -> None:
        """SIGHUP, as when a terminal goes away, ends it in order."""
        await self.ends(await self.start(), signal.SIGHUP)

    async def test_twistd(self) -> None:
        """``twistd -n tbworkers`` does as well."""
        arguments = (*TWISTD, "-n", "tbworkers", "--role=manager")
        await self.ends(await self.start(arguments), signal.SIGTERM)

    async def test_manager_killed(self) -> None:
        """A killed manager is no good end; its workers finish what they have begun."""
        system = await self.start()
        [port] = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Probe/slow?seconds=1"
        answer = system.in_thread(get, url)

        async def arrived() -> bool:
            return bool((await system.worker("http-1"))["requests_total"])

        await system.until(arrived, "the request arrived")
        [manager] = children(system.first)
        os.kill(manager, signal.SIGKILL)
        self.assertEqual(200, (await answer)[0])
        assert system.manager is not None
        self.assertEqual(128 + signal.SIGKILL, await system.manager.ended)
        self.assertEqual([], system.processes())

    async def test_cannot_start(self) -> None:
        """What cannot start ends with one sentence, and not with 0."""
        system = await self.start()
        other = Contained(self, system.root, system.config)
        other.manager = child = other.spawn_manager()
        self.assertEqual(0, await child.ended, child.output)
        self.assertIn("Already running", child.output)
        taken = config(1, 0).replace(
            "port: 0", f"port: {(await system.ports('http'))[0]}", 1
        )
        assert system.config is not None
        system.config.write_text(taken)
        other.environ["TB_DATA_DIR"] = str(system.root / "other")
        other.manager = child = other.spawn_manager()
        self.assertEqual(1, await child.ended, child.output)
        self.assertIn("Cannot listen", child.output)
        await self.ends(system, signal.SIGTERM)
