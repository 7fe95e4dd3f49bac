"""What a running system writes to its logs, and who can follow that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.integration.sample import config, get
from tests.integration.system import System, folder

MODULE = """
import faulthandler, os, sys
from tbtwist import export

sys.stdout.reconfigure(encoding="utf-8")  # what applications do at their start
faulthandler.enable(sys.stderr)

@export(mod_name="Talk", name="say", level=0)
async def say(words: str):
    print("printed", words)
    os.write(1, f"written {words}\\n".encode())
    os.write(2, f"complained {words}\\n".encode())
    return words

@export(mod_name="Talk", name="fails", level=0)
async def fails():
    raise RuntimeError("out of order")
"""
LOGGING = """
logging:
  format: {format}
  max_file_bytes: {size}
  kept_files: 1000
"""
SOURCE = ("time", "level", "worker", "role", "pid")


class LogsTests(TestCase):
    """The folder ``logs`` of a system with one worker of each kind."""

    timeout = 240

    async def system(self, log_format: str, size: int = 1_000_000) -> System:
        """Start a system that logs in this format."""
        text = config(1, 1).replace("[probe]", "[talk]")
        text += LOGGING.format(format=log_format, size=size)
        return await System.start(self, text, files={"talk.py": MODULE})

    async def call(self, system: System, what: str) -> int:
        """Call a function; return the answer's status."""
        (port,) = await system.ports("http")
        url = f"http://127.0.0.1:{port}/api/Talk/{what}"
        status: int = (await system.in_thread(get, url))[0]
        return status

    def records(self, system: System) -> list[dict[str, Any]]:
        """Return every line of every log, each of which must be a record."""
        lines = []
        for path in sorted((system.data_dir / "logs").glob("*.log*")):
            lines += path.read_text().splitlines()
        return [json.loads(line) for line in lines]

    async def test_json(self) -> None:
        """Everything that any process wrote is a record that says whose it is."""
        system = await self.system("json")
        await self.call(system, "say?words=hello")
        await self.call(system, "fails")
        await system.kill("ws-1")
        await system.until(system.all_running)
        self.assertEqual((await system.command("status"))[0], 0)
        self.assertEqual(await system.stop(), 0)
        records = self.records(system)
        for record in records:
            self.assertEqual([k for k in SOURCE if not record.get(k)], [], record)
        told = {record["worker"] for record in records}
        self.assertEqual(told, {"manager", "broker", "http-1", "ws-1"})
        messages = {record.get("message") for record in records}
        said = {f"{what} hello" for what in ("printed", "written", "complained")}
        self.assertEqual(said - messages, set())
        failures = [r["traceback"] for r in records if "traceback" in r]
        self.assertIn("RuntimeError: out of order", "".join(failures))
        paths = [r["path"] for r in records if r["logger"] == "tbtwist.access"]
        self.assertEqual(paths, ["/api/Talk/say", "/api/Talk/fails"])

    async def test_in_the_background(self) -> None:
        """Nothing but records is in the manager's log, and its output is empty."""
        root = folder(self)
        (root / "talk.py").write_text(MODULE)
        path = root / "config.yaml"
        path.write_text(config(1, 1).replace("[probe]", "[talk]"))
        system = System(self, root, path)
        started = await system.command("start", "-d", "--log-format", "json")
        self.addCleanup(lambda: Deferred.fromCoroutine(system.command("stop")))
        self.assertEqual(started[0], 0, started[1])
        messages = {record.get("message") for record in self.records(system)}
        self.assertIn("http-1 is running", messages)
        self.assertEqual((system.data_dir / "logs" / "manager.out").read_text(), "")

    async def test_full_disk(self) -> None:
        """The manager supervises on, says it once, and then how much is missing."""
        system = await self.system("text")
        path = system.data_dir / "logs" / "http-1.log"
        path.unlink()
        path.symlink_to("/dev/full")
        manager = system.manager
        assert manager is not None

        async def noticed() -> bool:
            await self.call(system, "say?words=lost")
            return "Logs cannot be kept" in manager.output

        await system.until(noticed)
        pid = await system.kill("http-1")

        async def back() -> bool:
            worker = await system.worker("http-1")
            return bool(worker["state"] == "running" and worker["pid"] != pid)

        await system.until(back)
        self.assertEqual(await self.call(system, "say?words=lost"), 200)
        sentence = f"Logs cannot be kept: {path}: No space left on device."
        self.assertEqual(manager.output.count("Logs cannot be kept"), 1)
        self.assertIn(sentence, manager.output)
        path.unlink()

        async def kept() -> bool:
            await self.call(system, "say?words=kept")
            return "Logs are kept again; " in manager.output

        await system.until(kept)
        self.assertIn("printed kept", path.read_text())
        self.assertIn(
            "lines were lost", (system.data_dir / "logs" / "manager.log").read_text()
        )

    async def test_follow(self) -> None:
        """``logs -f -w http-1`` shows every line once over rotations; Ctrl-C is quiet."""
        system = await self.system("text", 4096)
        arguments = ("logs", "-f", "-w", "http-1", "-n", "0", "-c", str(system.config))
        following = system.tbtwist(*arguments)
        count = await self.begin(system, lambda: following.output)
        numbers = [str(number) for number in range(count, count + 200)]
        for number in numbers:
            self.assertEqual(await self.call(system, f"say?words={number}"), 200)

        async def told() -> bool:
            return f"complained {numbers[-1]}\n" in following.output

        await system.until(told)
        following.signal("INT")
        self.assertEqual(await following.ended, 0)
        self.assertNotIn("Traceback", following.output)
        lines = following.output.splitlines()
        for what in ("printed", "written", "complained"):
            said = [line.rpartition(" ")[2] for line in lines if f"{what} " in line]
            self.assertEqual(said[-len(numbers) :], numbers)
        self.assertGreater(len(self.files(system)), 5)

    def files(self, system: System) -> list[Path]:
        """Return the files of http-1's log."""
        return list((system.data_dir / "logs").glob("http-1.log*"))

    async def begin(self, system: System, output: Any) -> int:
        """Call until somebody sees it; return how many calls that took."""
        count = 0

        async def seen() -> bool:
            nonlocal count
            await self.call(system, f"say?words={count}")
            count += 1
            return "printed" in output()

        await system.until(seen)
        return count
