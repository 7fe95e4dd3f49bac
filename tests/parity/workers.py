"""The two workers, each a process in the Python that has the real package."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from unittest import SkipTest

import attrs

from tests.parity.comparing import Answer

HERE: Final = Path(__file__).parent
PROJECT: Final = HERE.parent.parent
SECRET: Final = "s3cret-" * 10
PATIENCE_S: Final = 60.0
MEGABYTE: Final = 1024 * 1024

CONFIG: Final = """
http_worker: {{port: {http}, workers: 1, max_body_bytes: 65536}}
ws_worker: {{port: {ws}}}
toolbox: {{app: toolboxv2, modules: [parity_app], open_modules: [Open]}}
"""
_TWISTD: Final = "from twisted.scripts.twistd import run; run()"


def toolbox_python() -> str:
    """Return the Python that has ToolBoxV2; skip, or in CI fail, without one."""
    found = os.environ.get("TB_TOOLBOXV2_PYTHON", "")
    if found:
        return found
    if os.environ.get("TB_REQUIRE_ALL"):
        msg = "TB_TOOLBOXV2_PYTHON is required here and not set"
        raise AssertionError(msg)
    msg = "TB_TOOLBOXV2_PYTHON names no Python that has ToolBoxV2"
    raise SkipTest(msg)


def free_ports(count: int) -> list[int]:
    """Return consecutive ports that are free now."""
    for _ in range(100):
        with ExitStack() as stack, suppress(OSError, OverflowError):
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for number in range(1, count):
                next_one = stack.enter_context(socket.socket())
                next_one.bind(("127.0.0.1", port + number))
            return list(range(port, port + count))
    msg = "there are no free ports"
    raise AssertionError(msg)


@attrs.frozen(eq=False)
class Running:
    """A worker that serves; its output goes to ``log``."""

    process: subprocess.Popen[bytes]
    log: Path
    http_port: int
    ws_port: int = 0

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer to a request on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            client.request(method, target, body, dict(headers or {}))
            answer = client.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())
        finally:
            client.close()

    def words(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """End it politely, and return its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class Workers:
    """Starts workers in a folder of their own; `close` leaves nothing behind."""

    def __init__(self) -> None:
        self._python = toolbox_python()
        self._running: list[Running] = []
        self.folder = Path(tempfile.mkdtemp(prefix="tb-"))

    def close(self) -> None:
        """End what still runs, and remove the folder."""
        for running in self._running:
            running.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def real(self) -> Running:
        """Start ToolBoxV2's own http worker."""
        port, *bus = free_ports(6)
        script = str(HERE / "real_worker.py")
        return self._start("real", [script, str(port), str(bus[0])], port)

    def ours(self) -> Running:
        """Start ours, with everything in one process."""
        port, ws_port = free_ports(2)
        config = self.folder / "config.yaml"
        config.write_text(CONFIG.format(http=port, ws=ws_port))
        arguments = ["-c", _TWISTD, "-n", "--pidfile=", "tbworkers"]
        arguments += ["--role=all", f"--config={config}"]
        return self._start("ours", arguments, port, ws_port)

    def _start(
        self, name: str, arguments: Sequence[str], port: int, ws_port: int = 0
    ) -> Running:
        data_dir = self.folder / name
        data_dir.mkdir()
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._python, *arguments],
                env=_environment(data_dir),
                cwd=data_dir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Running(process, log, port, ws_port)
        self._running.append(running)
        _until(lambda: _serves(running))
        return running


def _environment(data_dir: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TB_", "PYTHON"))}
    return {
        **kept,
        "HOME": str(data_dir),
        "XDG_CONFIG_HOME": str(data_dir),
        "TB_DATA_DIR": str(data_dir),
        "TB_COOKIE_SECRET": SECRET,
        "TB_JWT_SECRET": SECRET,
        "PYTHONPATH": os.pathsep.join((str(HERE), str(PROJECT))),
        "TOOLBOXV2_REMOTE_BASE": "none",  # no user is made for the loopback address
    }


def _serves(running: Running) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(running.words())
    try:
        return running.ask("GET", "/health").status == 200
    except OSError:
        return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not serve"
        time.sleep(0.05)  # noqa: TID251 - the test waits for another process
