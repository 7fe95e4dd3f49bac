"""Programs of other people with the workers inside: scripts, as one would write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tbtwist.services import wait_until
from tests.integration.nginx import free_ports
from tests.integration.sample import MODULE, get
from tests.integration.system import (
    PATIENCE_S,
    Child,
    environment,
    folder,
    reactor,
    spawn,
    threads,
)

PROJECT = Path(__file__).parents[2]
_START = """
import asyncio, gc, json, sys, threading, urllib.request
from tbtwist.tauri_integration import (
    tauri_call_module, tauri_get_status, tauri_start_workers, tauri_stop_workers)

def say(**values):
    print(json.dumps(values), flush=True)

def ask(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["result"]["data"]
"""
_PLAIN = """
from websockets.sync.client import connect

for _ in range(2):
    found = tauri_start_workers(http_port=0, ws_port=0)
    with connect(found["ws_url"] + "/ws/Probe/room") as socket:
        kinds = [json.loads(socket.recv())["type"] for _ in range(2)]
        socket.send('{"n": 7}')
        echo = json.loads(socket.recv())["n"]
    say(
        value=ask(found["http_url"] + "/api/Probe/who?value=3")["value"],
        kinds=kinds, echo=echo,
        called=tauri_call_module("Probe", "who", {"value": "5"})["data"]["value"],
        refused=tauri_call_module("Probe", "who", {"value": "x"}),
        failed=tauri_call_module("Probe", "fails"),
        private=tauri_call_module("Probe", "slow"),
        stopped=tauri_stop_workers(),
    )
names = [thread.name for thread in threading.enumerate()]
say(threads=names.count("tbtwist"), frozen=gc.get_freeze_count())
tauri_start_workers(http_port=0, ws_port=0)  # and the program ends without stopping
"""
_ASYNCIO = """
async def main():
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1
    ticking = asyncio.create_task(tick())
    found = await asyncio.to_thread(tauri_start_workers, http_port=0, ws_port=0)
    during = ticks
    data = await asyncio.to_thread(ask, found["http_url"] + "/api/Probe/who?value=3")
    direct = tauri_call_module("Probe", "who", {"value": 4})["data"]["value"]
    stopped = await asyncio.to_thread(tauri_stop_workers)
    ticking.cancel()
    say(during=during > 0, value=data["value"], direct=direct, stopped=stopped)

asyncio.run(main())
"""


class ProgramTests(TestCase):
    """A program in a folder with a configuration and a module."""

    timeout = 120

    def setUp(self) -> None:
        """Make the folder."""
        self.root = folder(self)
        (self.root / "probe.py").write_text(MODULE)
        (self.root / "config.yaml").write_text("toolbox: {modules: [probe]}\n")
        self.environ = environment(self.root / "d")

    async def said_by(self, script: str) -> list[Any]:
        """Run a program to its end, which must be a good one; return what it said."""
        (self.root / "program.py").write_text(_START + script)
        child = spawn(self, ("program.py",), self.environ, cwd=self.root)
        self.assertEqual(0, await child.ended, child.output)
        return [json.loads(line) for line in child.output.splitlines()]

    async def test_plain_script(self) -> None:
        """HTTP, WebSockets and calls work, start after start, in one thread."""
        *rounds, last = await self.said_by(_PLAIN)
        self.assertEqual(2, len(rounds))
        for found in rounds:
            refused = found.pop("refused")
            self.assertEqual("error", refused["status"])
            self.assertIn("value", refused["message"])
            failed = found.pop("failed")
            self.assertEqual("error", failed["status"])
            self.assertNotIn("hunter2", failed["message"])
            self.assertEqual(
                {
                    "value": 3,
                    "kinds": ["connected", "hello"],
                    "echo": 7,
                    "called": 5,
                    "private": {"status": "ok", "data": {"slept": 0.0}},
                    "stopped": {"status": "ok"},
                },
                found,
            )
        self.assertEqual({"threads": 1, "frozen": 0}, last)

    async def test_program_with_its_own_loop(self) -> None:
        """A program's asyncio loop goes on beside ours."""
        (found,) = await self.said_by(_ASYNCIO)
        self.assertEqual(
            {"during": True, "value": 3, "direct": 4, "stopped": {"status": "ok"}},
            found,
        )

    async def test_default_ports(self) -> None:
        """Unless something else is said, it is 8000 and 8001."""
        script = """
from tbtwist.config.loading import examine
from tbtwist.desktop.mode import variables
from pathlib import Path
found = examine(None, variables(None, None), cwd=Path.cwd(), home=Path.home()).settings
say(http=found.http_worker.port, ws=found.ws_worker.port, mode=found.environment)
"""
        (found,) = await self.said_by(script)
        self.assertEqual({"http": 8000, "ws": 8001, "mode": "tauri"}, found)

    async def test_example(self) -> None:
        """``examples/desktop`` serves its notes until the end of its input."""
        self.environ |= {"TB_HTTP_PORT": "0", "TB_WS_PORT": "0"}
        arguments = ("-m", "examples.desktop.notes")
        child = spawn(self, arguments, self.environ, cwd=PROJECT)
        address = await self.hear(child, r"try: curl '(\S+)tea'")
        _, _, body = await threads(self)(get, f"{address}tea")
        notes = ["written by the program", "tea"]
        self.assertEqual(notes, json.loads(body)["result"]["data"])
        assert child.transport is not None
        child.transport.closeStdin()
        self.assertEqual(0, await child.ended, child.output)
        self.assertIn(f"notes at the end: {notes}", child.output)

    async def hear(self, child: Child, pattern: str) -> str:
        """Wait until a program says something, and return the part in parentheses."""

        def said() -> bool:
            return bool(re.search(pattern, child.output)) or child.status is not None

        await wait_until(reactor, said, PATIENCE_S)
        found = re.search(pattern, child.output)
        self.assertTrue(found and child.status is None, child.output)
        assert found is not None
        return found[1]

    async def test_command(self) -> None:
        """``tbtwist desktop`` serves on the ports that it is given, until SIGTERM."""
        http, ws = free_ports(2)
        ports = (f"--http-port={http}", f"--ws-port={ws}", "--mode=tauri")
        child = spawn(
            self, ("-m", "tbtwist", "desktop", *ports), self.environ, cwd=self.root
        )
        await self.hear(child, f"serving (http://127.0.0.1:{http}) and ws.*:{ws}")
        url = f"http://127.0.0.1:{http}/api/Probe/who"
        status, _, _ = await threads(self)(get, url)
        self.assertEqual(200, status)
        child.signal("TERM")
        self.assertEqual(0, await child.ended, child.output)
