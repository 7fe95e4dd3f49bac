"""A world for the command line in which nothing is real but a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import override

from tbtwist.cli.options import Child, Client, World
from tbtwist.cli.root import tbtwist
from tbtwist.errors import NoManager, TbtwistError
from tbtwist.status import LastExit, ManagerInfo, Status, WorkerState, WorkerStatus

NOW = datetime(2026, 11, 24, 6, 40, tzinfo=UTC).timestamp()


def worker(name: str, state: WorkerState = "running", detail: str = "") -> WorkerStatus:
    """Return an http worker in a state."""
    return WorkerStatus(
        id=name, role="http", state=state, generation=1, requests_total=0, detail=detail
    )


def status(*workers: WorkerStatus, pid: int = 4711) -> Status:
    """Return the status of a manager with these workers."""
    manager = ManagerInfo(
        pid=pid,
        version="0.1.0",
        started_at="2026-11-24T08:00:00+00:00",
        http_url="http://127.0.0.1:8000",
        data_dir="/data",
    )
    return Status(manager=manager, workers=workers)


FULL = status(
    WorkerStatus(
        id="http-1",
        role="http",
        state="running",
        generation=3,
        pid=101,
        port=8000,
        started_at="2026-11-24T08:00:00+00:00",
        uptime_s=7500.0,
        restarts=1,
        memory_bytes=50_541_363,
        cpu_percent=1.5,
        requests_total=12_345,
        last_exit=LastExit(
            at="2026-11-24T06:38:00Z", code=None, signal="SIGKILL", reason="killed"
        ),
    ),
    WorkerStatus(
        id="ws-1",
        role="ws",
        state="backoff",
        generation=7,
        port=8010,
        restarts=6,
        connections=None,
        last_exit=LastExit(at="lately", code=1, signal=None, reason="no module chat"),
        detail="again in 3 s",
    ),
    WorkerStatus(id="broker", role="broker", state="running", generation=1, pid=100),
)


class FakeManager:
    """A manager that answers from a script; the last answer repeats."""

    def __init__(self, *answers: Status | TbtwistError) -> None:
        self.answers = list(answers) or [NoManager(data_dir="/data")]
        self.stopped: list[float] = []
        self.refusal: TbtwistError | None = None
        self.after_stop: list[Status | TbtwistError] = [NoManager(data_dir="/data")]

    def login_link(self) -> str:
        """Return a link that is not one."""
        return "http://127.0.0.1:9000/#login=once"

    def status(self) -> Status:
        """Give the next answer."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, TbtwistError):
            raise answer
        return answer

    def stop(self, timeout_s: float) -> None:
        """Remember the request, and go on with what is said after it."""
        self.stopped.append(timeout_s)
        self.answers = list(self.after_stop)
        if self.refusal is not None:
            raise self.refusal


class FakeChild:
    """A process that ends when ``code`` is set."""

    pid = 4711
    code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, if it has ended."""
        return self.code


class FakeWorld(World):
    """Records what a verb does to the world."""

    def __init__(self, folder: Path) -> None:
        self.environ: Mapping[str, str] = {}
        self.executable = "/usr/bin/python3"
        self.terminal = False
        self.folder = folder
        self.manager = FakeManager()
        self.child = FakeChild()
        self.on_spawn: Callable[[IO[bytes]], object] = lambda _: None
        self.living = 0
        self.connected: list[Path] = []
        self.became: list[tuple[str, ...]] = []
        self.spawned: list[tuple[str, ...]] = []
        self.paused_s = 0.0

    @property
    @override
    def cwd(self) -> Path:
        """Return the temporary folder."""
        return self.folder

    @property
    @override
    def home(self) -> Path:
        """Return a home below it."""
        return self.folder / "home"

    @override
    def connect(self, data_dir: Path) -> Client:
        """Remember for which data directory, and return the fake manager."""
        self.connected.append(data_dir)
        return self.manager

    @override
    def become(self, argv: Sequence[str]) -> None:
        """Remember what this process would have turned into."""
        self.became.append(tuple(argv))

    @override
    def spawn(self, argv: Sequence[str], log: IO[bytes]) -> Child:
        """Remember what was spawned, and let it write."""
        self.spawned.append(tuple(argv))
        self.on_spawn(log)
        return self.child

    @override
    def alive(self, pid: int) -> bool:
        """Return true as often as ``living`` says."""
        self.living -= 1
        return self.living >= 0

    @override
    def seconds(self) -> float:
        """Return the time that was spent waiting."""
        return self.paused_s

    @override
    def pause(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.paused_s += seconds

    @override
    def now(self) -> float:
        """Return always the same time of day."""
        return NOW


class CliTestCase(SynchronousTestCase):
    """Runs verbs in a fake world."""

    def setUp(self) -> None:
        """Make the world."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.world = FakeWorld(folder)

    @property
    def data_dir(self) -> Path:
        """Return the data directory that is used by default."""
        return self.world.home / ".tbtwist"

    def run_verb(self, *arguments: str) -> Result:
        """Run ``tbtwist`` with these arguments; no traceback may ever show."""
        result = CliRunner().invoke(tbtwist, arguments, obj=self.world)
        self.assertNotIn("Traceback", result.output)
        return result

    def succeed(self, *arguments: str) -> str:
        """Run ``tbtwist``, which must say nothing on stderr; return its output."""
        result = self.run_verb(*arguments)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout

    def fail_with(self, code: int, *arguments: str) -> str:
        """Run ``tbtwist``, which must fail so; return what it said on stderr."""
        result = self.run_verb(*arguments)
        self.assertEqual((result.exit_code, result.stdout), (code, ""))
        return result.stderr

    def write_config(self, text: str, name: str = "config.yaml") -> Path:
        """Write a configuration file in the working directory."""
        path = self.world.cwd / name
        path.write_text(text)
        return path
