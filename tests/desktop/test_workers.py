"""`tbtwist.tauri_integration` in a program whose reactor runs already: this one."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from tbtwist import tauri_integration
from tbtwist.net.locking import ProcessLock
from tbtwist.tauri_integration import (
    tauri_call_module,
    tauri_get_status,
    tauri_start_workers,
    tauri_stop_workers,
)
from tests.integration.sample import get
from tests.integration.system import threads

_NOWHERE = {"running": False, "http_url": None, "ws_url": None, "ws_enabled": True}


class WorkersTests(TestCase):
    """Start, stop, and what can go wrong, from a thread of the program."""

    timeout = 60

    def setUp(self) -> None:
        """Make a data directory, and a configuration that names a module."""
        self.root = Path(tempfile.mkdtemp(prefix="tb-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.config = self.root / "config.yaml"
        self.config.write_text("http_worker: {instances: 4}\n")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TB_")}
        self.patch(os, "environ", {**kept, "TB_DATA_DIR": str(self.root / "d")})
        self.in_thread = threads(self)
        self.addCleanup(lambda: self.in_thread(tauri_stop_workers))

    async def start(self, **more: Any) -> dict[str, Any]:
        """Start on free ports."""
        given = {"http_port": 0, "ws_port": 0, "config": self.config, **more}
        found: dict[str, Any] = await self.in_thread(tauri_start_workers, **given)
        return found

    async def test_life(self) -> None:
        """Started they serve at once; started again they are the same; then they stop."""
        frozen = gc.get_freeze_count()
        self.assertEqual(_NOWHERE, tauri_get_status())
        for _ in range(2):
            found = await self.start()
            self.assertEqual({"status", "http_url", "ws_url"}, set(found))
            self.assertEqual("ok", found["status"])
            self.assertRegex(found["http_url"], r"^http://127\.0\.0\.1:[1-9]\d+$")
            self.assertRegex(found["ws_url"], r"^ws://127\.0\.0\.1:[1-9]\d+$")
            self.assertEqual(found, await self.start(http_port=1, ws_port=1))
            urls = {"http_url": found["http_url"], "ws_url": found["ws_url"]}
            self.assertEqual(
                {"running": True, **urls, "ws_enabled": True}, tauri_get_status()
            )
            status, _, _ = await self.in_thread(get, found["http_url"] + "/ready")
            self.assertEqual(200, status)
            stopped = await self.in_thread(tauri_stop_workers)
            self.assertEqual({"status": "ok"}, stopped)
            self.assertEqual(_NOWHERE, tauri_get_status())
            with self.assertRaises(ConnectionRefusedError):
                self.connect(found["http_url"])
        self.assertEqual(frozen, gc.get_freeze_count())

    def connect(self, url: str) -> None:
        """Connect to where somebody served."""
        where = urlsplit(url)
        socket.create_connection((where.hostname, where.port)).close()

    async def test_started_by_many(self) -> None:
        """Threads that start at the same time get the same workers."""
        found = await gatherResults(
            [
                self.in_thread(tauri_start_workers, http_port=0, ws_port=0)
                for _ in range(4)
            ]
        )
        self.assertEqual("ok", found[0]["status"])
        self.assertEqual([found[0]] * 4, found)

    async def test_port_taken(self) -> None:
        """A port that is taken is told; nothing is left of the attempt."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for which in ("http_port", "ws_port"):
                found = await self.start(**{which: port})
                self.assertEqual("error", found["status"])
                self.assertIn(f"127.0.0.1:{port}", found["message"])
                self.assertIn("the port is already in use", found["message"])
                self.assertEqual(_NOWHERE, tauri_get_status())
        free = await self.start(http_port=port)
        self.assertEqual(f"http://127.0.0.1:{port}", free.get("http_url"), free)

    async def test_first_port_is_given_back(self) -> None:
        """When the second port is taken, the first one is free again."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            mine = other.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            found = await self.start(http_port=mine, ws_port=port)
            self.assertEqual("error", found["status"])
        socket.create_server(("127.0.0.1", mine)).close()

    async def test_wrong_configuration(self) -> None:
        """What is wrong with a file or a module is told, with its place."""
        self.config.write_text("http_worker: {prt: 1}\n")
        found = await self.start()
        self.assertIn("config.yaml:1:15: http_worker.prt", found["message"])
        self.config.write_text("toolbox: {modules: [no_such_module_here]}\n")
        found = await self.start()
        self.assertIn("no_such_module_here", found["message"])
        self.config.write_text("")
        self.assertEqual("ok", (await self.start())["status"])

    async def test_other_program(self) -> None:
        """Two programs do not share a data directory."""
        path = self.root / "d" / "run" / "all.lock"
        lock = ProcessLock.take(path, what="program", pid=4711)
        found = await self.start()
        self.assertEqual("error", found["status"])
        self.assertIn("(pid 4711)", found["message"])
        lock.release()
        self.assertEqual("ok", (await self.start())["status"])

    async def test_calls(self) -> None:
        """What cannot be called is told."""
        told = await self.in_thread(tauri_call_module, "Shop", "buy")
        self.assertEqual({"status": "error", "message": "App not initialized"}, told)
        await self.start()
        told = await self.in_thread(tauri_call_module, "Shop", "buy")
        self.assertEqual("There is no function Shop/buy.", told["message"])

    async def test_on_the_loop_itself(self) -> None:
        """On the loop's own thread it would wait for itself: an error, no deadlock."""
        with tauri_integration._WORKERS._lock:  # as if somebody were starting them
            found = tauri_start_workers(config=str(self.config))
            self.assertEqual("error", tauri_stop_workers()["status"])
        self.assertEqual("error", found["status"])
        self.assertIn("loop's own thread", found["message"])
        await self.start()
        self.assertEqual("error", tauri_stop_workers()["status"])
        self.assertEqual("error", tauri_call_module("Shop", "buy")["status"])
