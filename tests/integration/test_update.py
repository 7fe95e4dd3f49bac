"""Rolling updates of a real system, with clients at work."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any

from twisted.trial.unittest import TestCase

from tests.integration.sample import FILES, MODULE, config, get
from tests.integration.system import System

WELL = """
import pathlib

@export(mod_name="Probe", name="well", level=0)
async def well():
    if pathlib.Path("sick").exists():
        raise RuntimeError("sick")
    return "well"
"""


class UpdateTests(TestCase):
    """``tbtwist update`` is not felt by anybody."""

    timeout = 240

    async def start(self, http: int = 2, **manager: object) -> System:
        """Start the sample application with a probe of its own."""
        settings = {"web_ui_port": 0, "probe_path": "/api/Probe/well", **manager}
        text = config(http, 1).partition("manager:")[0]
        return await System.start(
            self,
            f"{text}manager: {json.dumps(settings)}\n",
            files={"probe.py": MODULE + WELL},
        )

    async def prove(self, system: System, *options: str) -> tuple[int, dict[str, Any]]:
        """Update with clients at work; return exit status and report."""
        status, output = await system.command("update", "--prove", *options)
        report = json.loads((system.data_dir / "run" / "update.json").read_text())
        self.assertEqual((status == 0), report["ok"], output)
        return status, dict(report)

    async def generations(self, system: System) -> list[int]:
        """Return the generation of every worker."""
        return [w["generation"] for w in (await system.status())["workers"]]

    async def test_nobody_feels_it(self) -> None:
        """No request fails, no message is lost, and every process is another one."""
        system = await self.start()
        status, report = await self.prove(system)
        self.assertEqual(status, 0, report)
        self.assertEqual(await self.generations(system), [1, 2, 2, 2])
        self.assertEqual(set(report["slots"]), {"http-1", "http-2", "ws-1"})
        for slot in report["slots"].values():
            self.assertEqual(slot["failures"], {})
            self.assertGreater(slot["answered"], 0)
        self.assertEqual(report["slots"]["ws-1"]["closed"], {"1012": 50})

    async def test_websockets_stay(self) -> None:
        """An update of the http workers closes no WebSocket."""
        system = await self.start()
        status, report = await self.prove(system, "--role", "http")
        self.assertEqual(status, 0, report)
        self.assertEqual(await self.generations(system), [1, 2, 2, 1])
        self.assertEqual(report["slots"]["ws-1"]["closed"], {})

    async def assert_refused(self, system: System, reason: str) -> None:
        """Assert that an update fails for ``reason`` and nobody feels even that."""
        status, output = await system.command("update", "--prove")
        self.assertEqual(status, 1, output)
        self.assertIn("http-1: generation 2 is sent away", output)
        self.assertIn(reason, output)
        report = json.loads((system.data_dir / "run" / "update.json").read_text())
        self.assertIn(reason, report["error"])
        for slot in report["slots"].values():
            self.assertEqual((slot["failures"], slot["closed"]), ({}, {}))
        self.assertTrue(await system.all_running())
        self.assertEqual(await self.generations(system), [1, 1, 1, 1])

    async def test_fails_at_import(self) -> None:
        """A version that cannot be imported changes nothing; the reason is told."""
        system = await self.start()
        broken = MODULE + WELL + '\nraise SystemError("half a commit")\n'
        (system.root / "probe.py").write_text(broken)
        await self.assert_refused(system, "SystemError: half a commit")

    async def test_never_ready(self) -> None:
        """A version that does not come up in time is killed, and the old one stays."""
        system = await self.start(start_timeout_s=8)
        (system.root / "probe.py").write_text(MODULE + WELL + "\ntime.sleep(600)\n")
        await self.assert_refused(system, "not ready within 8 s")

    async def test_sick(self) -> None:
        """A version that is ready but answers 500 never gets a single request."""
        system = await self.start()
        (system.root / "sick").write_text("")
        [port, _] = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Probe/who"
        await self.assert_refused(
            system, "The probe of /api/Probe/well failed: the answer was 500"
        )
        status, _, _ = await system.in_thread(get, url)
        self.assertEqual(status, 200)

    async def test_more_and_less(self) -> None:
        """Workers come and go while everything runs."""
        system = await System.start(self, config(1, 1), files=FILES)
        self.assertEqual(
            await system.command("worker-start", "-t", "http"), (0, "http-2\n")
        )
        [_, port] = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Probe/who?value=1"
        self.assertEqual((await system.in_thread(get, url))[0], 200)
        await system.command("scale", "-t", "http", "1")
        self.assertEqual(len(await system.ports("http")), 1)
        status, output = await system.command("worker-stop", "-w", "nobody-1")
        self.assertEqual(status, 1)
        self.assertIn("no worker nobody-1", output)


class HangingTests(TestCase):
    """A worker that hangs is replaced, and tells where it hung."""

    timeout = 240

    async def test_story(self) -> None:
        """A loop that never comes back is found by its silence; its stack is kept."""
        stuck = """
@export(mod_name="Probe", name="hang", level=0)
async def hang():
    time.sleep(600)
"""
        text = config(1, 0).replace(
            "manager:", "manager:\n  health_check_interval: 1.5"
        )
        system = await System.start(self, text, files={"probe.py": MODULE + stuck})
        [port] = await system.ports("http")
        asking = system.in_thread(get, f"http://127.0.0.1:{port}/api/Probe/hang")
        asking.addErrback(lambda why: why.trap(OSError, HTTPException))

        async def replaced() -> bool:
            worker = await system.worker("http-1")
            return bool(worker["generation"] == 2 and worker["state"] == "running")

        await system.until(replaced)
        await asking
        status, output = await system.command("status", "-w", "http-1")
        self.assertEqual(status, 0)
        self.assertIn("said nothing for 3 s", output)
        self.assertIn("in hang", output)
        self.assertIn("probe.py", output)
