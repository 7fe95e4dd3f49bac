"""A world without processes: what was started is recorded, time is a `Clock`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    CannotListenError,
    ProcessDone,
    ProcessExitedAlready,
    ProcessTerminated,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tbtwist.config.schema import Settings
from tbtwist.errors import CannotBind
from tbtwist.status import LastExit, WorkerState, WorkerStatus
from tbtwist.supervise.plan import WorkerSpec
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.process import Child, Exit
from tbtwist.supervise.usage import Usage
from tbtwist.supervise.world import Hooks, World

WALL_CLOCK = 1_700_000_000.0


class FakePort:
    """A notify socket that is only a name."""

    def __init__(self, reactor: FakeReactor, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Read what was sent and not read yet."""
        unread, self._reactor.unread = self._reactor.unread, []
        for datagram in unread:
            self._reactor.notify[self._path].datagramReceived(datagram, None)

    def stopListening(self) -> Deferred[None]:
        """Give the name back."""
        del self._reactor.notify[self._path]
        return succeed(None)


class FakeProcess:
    """A child as its `ProcessProtocol` sees it; the test says what it does."""

    def __init__(self, reactor: FakeReactor, child: Child, started: Any) -> None:
        self.pid: int | None = 1000 + len(reactor.processes)
        self.signals: list[str] = []
        self.child = child
        self.command, self.env, self.descriptors = started
        self.output_open = True
        self.stdin_open = True
        self._reactor = reactor

    @property
    def worker_id(self) -> str:
        """Return the worker's id, the last word of its command."""
        return str(self.command[-1])

    def closeStdin(self) -> None:  # noqa: N802 - Twisted's name
        """Take note."""
        self.stdin_open = False

    def loseConnection(self) -> None:
        """Take note that nobody reads the output any more."""
        self.output_open = False

    def signalProcess(self, number: int) -> None:  # noqa: N802 - Twisted's name
        """Take note, if there is a process."""
        if self.pid is None:
            raise ProcessExitedAlready
        self.signals.append(signal.Signals(number).name.removeprefix("SIG"))

    def tell(self, **facts: object) -> None:
        """Say something over the notify socket."""
        text = "\n".join(f"{name}={value}" for name, value in facts.items())
        protocol = self._reactor.notify[self.env["NOTIFY_SOCKET"]]
        protocol.datagramReceived(text.encode(), None)

    def ready(self) -> None:
        """Say that it serves."""
        self.tell(READY=1)

    def writes(self, data: bytes, descriptor: int = 1) -> None:
        """Write to the output."""
        self.child.childDataReceived(descriptor, data)

    def reaped(self, code: int | None = None, number: int | None = None) -> Failure:
        """End the process; its output stays open."""
        self.pid = None
        error = ProcessDone(0) if code == 0 else ProcessTerminated(code, number)
        self.child.processExited(Failure(error))
        return Failure(error)

    def exits(self, code: int = 0) -> None:
        """End by itself."""
        self.child.processEnded(self.reaped(code))

    def killed(self, number: int = signal.SIGKILL) -> None:
        """End by a signal."""
        self.child.processEnded(self.reaped(None, number))


class FakeReactor(Clock):
    """Time, processes and notify sockets that exist only as records."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.notify: dict[str, Any] = {}
        self.unread: list[bytes] = []
        self.cannot_spawn: OSError | None = None
        self.cannot_notify = False

    def spawnProcess(  # noqa: N802 - Twisted's name
        self,
        protocol: Any,
        executable: str,
        args: Any,
        *,
        env: Any,
        childFDs: Any,  # noqa: N803 - Twisted's name
    ) -> FakeProcess:
        """Record what would be started."""
        if self.cannot_spawn is not None:
            raise self.cannot_spawn
        assert executable == args[0]
        process = FakeProcess(self, protocol, (args, env, childFDs))
        self.processes.append(process)
        protocol.makeConnection(process)
        return process

    def listenUNIXDatagram(  # noqa: N802 - Twisted's name
        self, path: str, protocol: Any, *, mode: int
    ) -> FakePort:
        """Record who listens where."""
        assert mode == 0o600
        if self.cannot_notify:
            raise CannotListenError(None, path, OSError("no room"))
        assert path not in self.notify
        self.notify[path] = protocol
        return FakePort(self, path)

    def latest(self, worker_id: str) -> FakeProcess:
        """Return the newest process of a worker."""
        return [each for each in self.processes if each.worker_id == worker_id][-1]

    def alive(self) -> list[str]:
        """Return the workers that have a process."""
        return [each.worker_id for each in self.processes if each.pid is not None]


class FakeListener:
    """A listening socket that is only a number."""

    def __init__(self, network: FakeNetwork, port: int, descriptor: int) -> None:
        self.port = port
        self._network = network
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the number."""
        return self._descriptor

    def getsockname(self) -> tuple[str, int]:
        """Return the address."""
        return ("127.0.0.1", self.port)

    def close(self) -> None:
        """Give the port back."""
        del self._network.open[self.port]


class FakeNetwork:
    """The machine's ports."""

    def __init__(self) -> None:
        self.open: dict[int, FakeListener] = {}
        self.taken_by_others: set[int] = set()
        self._made = 0

    def bind(self, host: str, port: int, *, backlog: int, what: str) -> Any:
        """Listen, if the port is free."""
        if port in self.taken_by_others or port in self.open:
            raise CannotBind(what=what, address=f"{host}:{port}", reason="taken")
        self._made += 1
        port = port or 40_000 + self._made
        self.open[port] = FakeListener(self, port, 100 + self._made)
        return self.open[port]


class Console:
    """What people see: every state and every line, in order."""

    def __init__(self) -> None:
        self.states: list[tuple[str, WorkerState]] = []
        self.details: list[tuple[str, WorkerState, str]] = []
        self.lines: list[tuple[str, str]] = []
        self.counts: list[tuple[str, int, Mapping[str, int]]] = []
        self.ends: list[tuple[str, int, str, Sequence[str]]] = []

    def changed(self, status: WorkerStatus) -> None:
        """Keep the state."""
        self.states.append((status.id, status.state))
        self.details.append((status.id, status.state, status.detail))

    def said(self, worker_id: str, line: str, _pid: int | None) -> None:
        """Keep the line."""
        self.lines.append((worker_id, line))

    def counted(
        self, worker_id: str, generation: int, figures: Mapping[str, int]
    ) -> None:
        """Keep the figures."""
        self.counts.append((worker_id, generation, figures))

    def left(
        self, worker_id: str, generation: int, end: LastExit, lines: Sequence[str]
    ) -> None:
        """Keep how it ended."""
        self.ends.append((worker_id, generation, end.reason, lines))

    def hooks(self) -> Hooks:
        """Return what the supervisor calls."""
        return Hooks(
            changed=self.changed,
            said=self.said,
            counted=self.counted,
            left=self.left,
        )


class ChildLog:
    """What a child's owner hears, in order."""

    def __init__(self) -> None:
        self.facts: list[Mapping[str, str]] = []
        self.lines: list[str] = []
        self.exits = 0
        self.ends: list[Exit] = []

    def notified(self, facts: Mapping[str, str]) -> None:
        """Keep it."""
        self.facts.append(facts)

    def said(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)

    def exited(self) -> None:
        """Count it."""
        self.exits += 1

    def ended(self, end: Exit) -> None:
        """Keep it."""
        self.ends.append(end)


def command(spec: WorkerSpec) -> tuple[str, ...]:
    """Return a command that ends with the worker's id."""
    return ("/bin/worker", spec.id)


def fake_world(
    reactor: FakeReactor,
    network: FakeNetwork,
    reload: Callable[[], Settings] = Settings,
) -> World:
    """Return a world in which nothing is real."""
    return World(
        reactor=reactor,
        environ={"HOME": "/home/ada", "LISTEN_PID": "1"},
        pid=42,
        now=lambda: WALL_CLOCK + reactor.seconds(),
        random=lambda: 0.5,
        command=command,
        measure=lambda pid: Usage(memory_bytes=pid * 1024, cpu_percent=1.5),
        bind=network.bind,
        open_pidfd=no_pidfd,
        reload=reload,
    )


def no_pidfd(pid: int) -> int:
    """Refuse: these processes do not exist."""
    raise ProcessLookupError(pid)


def patient(**changes: Any) -> Policy:
    """Return a policy without jitter and with round numbers."""
    values: dict[str, Any] = {
        "start_timeout_s": 30.0,
        "drain_timeout_s": 10.0,
        "silence_s": 20.0,
        "stable_after_s": 30.0,
        "max_restart_attempts": 5,
        "backoff_initial_s": 0.2,
        "backoff_max_s": 30.0,
        "jitter": lambda delay_s: delay_s,
    }
    return Policy(**{**values, **changes})
