"""Each role by hand, as ``twistd -n tbworkers``, and how it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import socket as sockets
from pathlib import Path
from typing import Any

from tbtwist.services import wait_until
from tests.integration.byhand import ByHandCase
from tests.integration.sample import FILES, config, get, socket
from tests.integration.system import (
    PATIENCE_S,
    TWISTD,
    Child,
    environment,
    folder,
    reactor,
    spawn,
    threads,
)


class RoleTests(ByHandCase):
    """One process a role, in one folder."""

    timeout = 120

    def setUp(self) -> None:
        """Make a folder with the sample application and its configuration."""
        self.root = folder(self)
        for name, text in FILES.items():
            (self.root / name).write_text(text)
        (self.root / "config.yaml").write_text(config())
        self.environ = environment(self.root / "d")
        self.in_thread = threads(self)

    def role(self, role: str, *more: str) -> Child:
        """Start a role as a person would in a terminal in that folder."""
        arguments = (*TWISTD, "-n", "tbworkers", f"--role={role}", *more)
        return spawn(self, arguments, self.environ, cwd=self.root)

    async def ends(self, child: Child, status: int = 0) -> None:
        """Stop a role with SIGTERM; it ends with ``status`` and no traceback."""
        child.signal("TERM")
        self.assertEqual(status, await child.ended, child.output)
        self.assertNotIn("Traceback", child.output)

    async def test_three_terminals(self) -> None:
        """Broker, http and ws, started by hand in one folder, are a system."""
        broker, http, ws = (self.role(r) for r in ("broker", "http", "ws"))
        for child in (broker, http, ws):
            await self.says(child, "serving")
        await self.ready(self.port(http))
        await self.ready(self.port(ws))
        port = self.port(ws)

        def drive() -> list[dict[str, Any]]:
            with socket(port) as talk:
                first = [talk.hear(), talk.hear()]
                talk.say(n=5)
                return [*first, talk.hear()]

        heard = await self.in_thread(drive)
        self.assertEqual(["connected", "hello", "echo"], [m["type"] for m in heard])
        self.assertEqual([], sorted(self.root.glob("twistd*")), "stray files")
        await self.counts(self.port(http))
        for child in (ws, http, broker):
            await self.ends(child)

    async def counts(self, port: int) -> None:
        """Check that an http worker tells what its bus has done, in both formats."""
        url, wanted = f"http://127.0.0.1:{port}/metrics", {"Accept": "application/json"}
        _, _, body = await self.in_thread(lambda: get(url, **wanted))
        figures = json.loads(body)
        self.assertEqual(1, figures["ws_messages_handled"], body)
        self.assertIn(figures["zmq"]["done"]["handled"], (2, 3), body)
        self.assertEqual(0, figures["zmq"]["now"]["lane_items"], body)
        self.assertGreaterEqual(figures["zmq"]["events_received"], 2)
        self.assertEqual({}, figures["zmq"]["incidents"], body)
        _, _, text = await self.in_thread(get, url)
        self.assertIn('tbtwist_bus_messages_total{what="handled"} ', text)

    async def ready(self, port: int) -> None:
        """Wait until a worker says that it is ready."""
        while True:
            status, _, body = await self.in_thread(
                get, f"http://127.0.0.1:{port}/ready"
            )
            if status == 200:
                return
            self.assertEqual(503, status, body)

    async def test_without_a_broker(self) -> None:
        """An http worker without a broker serves, and says that it is not ready."""
        http = self.role("http")
        await self.says(http, "serving")
        port = self.port(http)
        status, _, _ = await self.in_thread(get, f"http://127.0.0.1:{port}/ready")
        self.assertEqual(503, status)
        status, _, body = await self.in_thread(
            get, f"http://127.0.0.1:{port}/api/Probe/who"
        )
        self.assertEqual(200, status, body)
        await self.says(http, "no broker yet")
        await self.ends(http)

    async def test_everything_in_one_process(self) -> None:
        """``--role=all`` serves HTTP and WebSockets from one process."""
        child = self.role("all")
        await self.says(child, "serving")
        http, ws = (
            int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", child.output)
        )
        await self.ready(http)

        def drive() -> list[dict[str, Any]]:
            _, _, body = get(f"http://127.0.0.1:{http}/api/Probe/who")
            with socket(ws) as talk:
                first = [talk.hear(), talk.hear()]
                talk.say(n=5)
                return [json.loads(body)["result"]["data"], *first, talk.hear()]

        heard = await self.in_thread(drive)
        self.assertEqual({child.pid}, {m["pid"] for m in heard if "pid" in m})
        await self.ends(child)

    async def test_second_of_its_kind(self) -> None:
        """A second http worker is told to take another id, and then serves too."""
        first = self.role("http")
        await self.says(first, "serving")
        second = self.role("http")
        self.assertEqual(1, await second.ended)
        self.assertIn("--worker-id", second.output)
        self.assertIn(str(first.pid), second.output)
        third = self.role("http", "--worker-id=http-2")
        await self.says(third, "serving")
        await self.ends(first)
        await self.ends(third)

    async def test_second_broker(self) -> None:
        """A second broker does not steal the first one's endpoints."""
        first = self.role("broker")
        await self.says(first, "serving")
        second = self.role("broker")
        self.one_sentence(second, 1, await second.ended, str(first.pid))
        await self.ends(first)

    def one_sentence(self, child: Child, wanted: int, status: int, word: str) -> None:
        """Check that a role ended with a status and one clear sentence."""
        self.assertEqual(wanted, status, child.output)
        self.assertIn(word, child.output)
        self.assertNotIn("Traceback", child.output)
        last = child.output.strip().splitlines()[-1]
        self.assertIn(word, last)

    async def test_busy_port(self) -> None:
        """A busy port is one sentence that names the port, and status 1."""
        with sockets.create_server(("127.0.0.1", 0)) as holder:
            port = str(holder.getsockname()[1])
            for role in ("http", "ws"):
                child = self.role(role, f"--port={port}")
                self.one_sentence(child, 1, await child.ended, port)

    async def test_port_beyond_the_last(self) -> None:
        """A worker whose number leads beyond the last port is refused."""
        child = self.role("http", "--worker-id=http-99999", "--config=/dev/null")
        self.one_sentence(child, 1, await child.ended, "ports end at 65535")

    async def test_broken_configuration(self) -> None:
        """A mistake in the file is named with its line, and what was meant."""
        (self.root / "config.yaml").write_text("http_worker:\n  prot: 8000\n")
        for role in ("http", "ws", "broker", "manager", "all"):
            child = self.role(role)
            self.one_sentence(child, 1, await child.ended, "port")
            self.assertIn("config.yaml:2:3", child.output)

    async def test_missing_configuration(self) -> None:
        """A file that is not there is named."""
        child = self.role("http", "--config=nowhere.yaml")
        self.one_sentence(child, 1, await child.ended, "nowhere.yaml")

    async def test_module_that_raises(self) -> None:
        """A module that raises at import is named with its line and the reason."""
        (self.root / "probe.py").write_text("x = 1\nraise ValueError('no luck')\n")
        child = self.role("http")
        self.one_sentence(child, 1, await child.ended, "probe.py:2")
        self.assertIn("ValueError: no luck", child.output)

    async def test_start_and_end(self) -> None:
        """What runs at the start runs before the worker serves, the rest at its end."""
        self.begin_and_end("")
        http = self.role("http")
        await self.says(http, "serving")
        noted = self.root / "noted.txt"
        self.assertEqual("begin thread\nbegin loop\n", noted.read_text())
        http.signal("TERM")
        self.assertEqual(0, await http.ended, http.output)
        self.assertIn("Shop/end_loop, which runs at the end, failed", http.output)
        lines = noted.read_text().splitlines()
        self.assertEqual(["end loop", "end thread"], lines[2:], http.output)

    async def test_start_that_fails(self) -> None:
        """What fails at the start ends the worker with a sentence that names it."""
        self.begin_and_end("raise ValueError('no licence')")
        http = self.role("http")
        self.assertEqual(1, await http.ended)
        last = http.output.strip().splitlines()[-1]
        self.assertIn("Shop/begin_loop, which runs at the start, failed", last)
        self.assertIn("shop.py:14: ValueError: no licence", last)
        noted = (self.root / "noted.txt").read_text()
        self.assertEqual("begin thread\n", noted, "nothing that ended had begun")

    def begin_and_end(self, trouble: str) -> None:
        """Write an application that does something at its start and end."""
        (self.root / "shop.py").write_text(f"""
import threading
from tbtwist import export

def note(words):
    with open("noted.txt", "a") as noted:
        noted.write(words + "\\n")

@export(mod_name="Shop", initial=True)
def begin_thread():
    note("begin thread" if "app" in threading.current_thread().name else "?")
@export(mod_name="Shop", initial=True)
async def begin_loop(app):
    {trouble or 'note("begin loop")'}
@export(mod_name="Shop", exit_f=True)
async def end_loop():
    note("end loop")
    raise ValueError("too late")
@export(mod_name="Shop", exit_f=True)
def end_thread():
    note("end thread")
""")
        text = config().replace("[probe]", "[probe, shop]")
        (self.root / "config.yaml").write_text(text)

    async def test_production_without_a_secret(self) -> None:
        """Production does not start without a secret."""
        self.environ["TB_ENV"] = "production"
        for role in ("http", "ws", "manager"):
            child = self.role(role)
            self.one_sentence(child, 1, await child.ended, "TB_COOKIE_SECRET")

    async def test_wrong_usage(self) -> None:
        """A role that does not exist is a usage error."""
        child = self.role("waiter")
        self.assertEqual(1, await child.ended)
        self.assertIn("--role must be one of", child.output)

    async def test_data_directory_is_a_file(self) -> None:
        """A data directory that cannot be used is named."""
        self.environ["TB_DATA_DIR"] = str(self.root / "config.yaml")
        child = self.role("http")
        self.one_sentence(child, 1, await child.ended, "config.yaml")

    async def test_as_a_daemon(self) -> None:
        """Without -n a role goes to the background, its log to the data directory."""
        arguments = (*TWISTD, "tbworkers", "--role=broker")
        child = spawn(self, arguments, self.environ, cwd=self.root)
        self.assertEqual(0, await child.ended, child.output)
        pidfile = self.root / "d" / "run" / "broker.pid"
        log = self.root / "d" / "logs" / "broker.log"
        self.assertTrue(await wait_until(reactor, log.exists, PATIENCE_S))
        pid = int(pidfile.read_text())
        self.assertTrue(
            await wait_until(reactor, lambda: "serving" in log.read_text(), PATIENCE_S)
        )
        os.kill(pid, signal.SIGTERM)
        gone = await wait_until(
            reactor, lambda: not Path(f"/proc/{pid}").exists(), PATIENCE_S
        )
        self.assertTrue(gone)
        self.assertFalse(pidfile.exists())
        self.assertEqual([], sorted(self.root.glob("twistd*")))
