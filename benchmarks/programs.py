"""Processes that a benchmark starts, pinned to cores, gone when it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Self

import attrs
import psutil

PROJECT: Final = Path(__file__).parent.parent
_PATIENCE_S: Final = 60.0
_GRACE_S: Final = 5.0


class BenchmarkFailed(Exception):
    """A program did not do its part; says which, and its last words."""


@attrs.frozen
class Cores:
    """Which core serves and which one makes the load; None where there is one."""

    server: int | None
    load: int | None

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Return two different cores if this process may use two."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1]) if len(allowed) > 1 else cls(None, None)


@attrs.define(eq=False)
class Program:
    """A running process. Its output is in ``log``."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def tell(self, **request: object) -> None:
        """Write a line of JSON to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Read the next line of JSON from it."""
        out = self.process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], _PATIENCE_S)
        line = out.readline() if ready else ""
        if not line:
            raise self.failure("it gave no answer")
        return dict(json.loads(line))

    def ask(self, **request: object) -> dict[str, Any]:
        """Write a line of JSON to it, and read the answer."""
        self.tell(**request)
        return self.hear()

    def failure(self, what: str) -> BenchmarkFailed:
        """Return the error that says ``what`` went wrong with this program."""
        last_words = self.log.read_text(errors="replace")[-2000:]
        return BenchmarkFailed(f"{self.name}: {what}\n{last_words}")

    def family(self) -> list[psutil.Process]:
        """Return its processes: itself, and those that it started."""
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def end(self) -> None:
        """Ask it to end, then make it end, with all that it started."""
        family = self.family() if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for orphan in family[1:]:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        psutil.wait_procs(family, _GRACE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@attrs.frozen
class Server:
    """A program that serves HTTP on a port; where it has an access log, its file."""

    program: Program
    port: int
    access_log: Path | None = None

    def url(self, path: str) -> str:
        """Return the address of ``path`` here."""
        return f"http://127.0.0.1:{self.port}{path}"


class Stage:
    """A temporary directory and the programs in it; leaving the context ends all."""

    def __init__(self) -> None:
        self.cores = Cores.of_this_machine()
        self.directory = Path(tempfile.mkdtemp(prefix="tb-bench-"))
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        """Return ourselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the programs, the youngest first."""
        try:
            while self._programs:
                self._programs[-1].end()
                self._programs.pop()
        finally:
            for program in self._programs:
                program.process.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(
        self,
        name: str,
        program: Sequence[str],
        *,
        core: int | None,
        listener: socket.socket | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """Start ``program`` on ``core``; ``listener`` becomes its descriptor 3."""
        log = self.directory / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*trampoline(core, listener), *program],
                cwd=PROJECT,
                env=self.environment(environ or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if _talks(program) else output,
                stderr=output,
                pass_fds=() if listener is None else (listener.fileno(),),
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
                text=True,
            )
        started = Program(name, process, log)
        self._programs.append(started)
        if listener is not None:
            listener.close()
        return started

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return what a program of ours finds in its environment."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TB_")}
        return {
            **kept,
            "HOME": str(self.directory),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            **more,
        }


def trampoline(core: int | None, listener: socket.socket | None = None) -> list[str]:
    """Return what to put before a command line that runs from `PROJECT`."""
    where = "-" if core is None else str(core)
    what = "-" if listener is None else str(listener.fileno())
    return [
        *(sys.executable, "-m", "benchmarks.pinned"),
        *(where, what, str(os.getpid())),
    ]


def _talks(program: Sequence[str]) -> bool:
    """Whether it is a driver of ours, which answers on its output."""
    return any(word.startswith("benchmarks.drivers.") for word in program)


def driver(name: str, *arguments: str) -> list[str]:
    """Return the command line of one of the drivers."""
    return [sys.executable, "-m", f"benchmarks.drivers.{name}", *arguments]


def cpu_s(programs: Iterable[Program]) -> float:
    """Return the seconds that programs have computed, all processes and threads.

    On a machine with other work this says more than what passed on the clock.
    """
    family = (process for program in programs for process in program.family())
    times = (process.cpu_times() for process in family)
    return sum(each.user + each.system for each in times)


def listen() -> tuple[socket.socket, int]:
    """Return a listening socket on a port that the kernel chose."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    return listener, int(listener.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, for programs that can be given no listener."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def until(reached: Callable[[], bool], what: Program) -> None:
    """Wait until ``reached``; raise `BenchmarkFailed` if it takes too long."""
    deadline = monotonic() + _PATIENCE_S
    while not reached():
        if what.process.poll() is not None:
            raise what.failure("it ended")
        if monotonic() > deadline:
            raise what.failure("it did not get ready")
        sleep(0.02)


def answers(url: str, cookie: str = "") -> bool:
    """Whether ``url`` is answered with 200."""
    try:
        return ask(url, cookie)[0] == 200
    except OSError:
        return False


def ask(url: str, cookie: str = "") -> tuple[int, bytes]:
    """Return status and body of the answer to a GET; OSError if there is none."""
    request = urllib.request.Request(url, headers={"Cookie": cookie})  # noqa: S310 - http only
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
