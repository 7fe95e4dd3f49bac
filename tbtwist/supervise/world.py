"""What the supervisor gets from outside: reactor, clocks, chance, and listeners."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.logger import Logger

from tbtwist.config.schema import Settings
from tbtwist.net.listening import Bind, bind_tcp
from tbtwist.status import LastExit, WorkerStatus
from tbtwist.supervise.plan import WorkerSpec
from tbtwist.supervise.reaping import OpenPidfd
from tbtwist.supervise.usage import Measure, oom_kills

_log = Logger()

CommandBuilder = Callable[[WorkerSpec], tuple[str, ...]]
"""Returns the whole command of a worker, its executable first."""

_RUN_TWISTD: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from twisted.scripts.twistd import run; run()"
)
"""A Ctrl-C in the terminal is the manager's business from the first moment on."""
_JITTER: Final = 0.2


@attrs.frozen(kw_only=True)
class World:
    """Everything that is not ours to fetch.

    ``now`` is the wall clock (seconds since 1970), ``random`` returns a number
    from 0 up to 1, ``measure`` asks what a process uses (`UsageMeter`), ``reload``
    reads the configuration again.
    """

    reactor: Any
    environ: Mapping[str, str]
    pid: int
    now: Callable[[], float]
    random: Callable[[], float]
    command: CommandBuilder
    measure: Measure
    reload: Callable[[], Settings]
    bind: Bind = bind_tcp
    open_pidfd: OpenPidfd = os.pidfd_open
    oom_kills: Callable[[], int] = oom_kills

    def jitter(self, delay_s: float) -> float:
        """Return ``delay_s``, a fifth longer or shorter at most."""
        return delay_s * (1 - _JITTER + 2 * _JITTER * self.random())


@attrs.frozen(kw_only=True)
class Hooks:
    """Who wants to know: of every change of state, and of every line of output.

    ``said`` gets a worker's id, the line, and the pid of the process that wrote it;
    the manager's own announcements come as lines of the worker ``manager``.
    ``counted`` gets a worker's id, generation and figures with every heartbeat,
    ``left`` how a process of it ended, and its last lines.
    """

    changed: Callable[[WorkerStatus], None] = lambda _status: None
    said: Callable[[str, str, int | None], None] = lambda *_: None
    counted: Callable[[str, int, Mapping[str, int]], None] = lambda *_: None
    left: Callable[[str, int, LastExit, Sequence[str]], None] = lambda *_: None


def tell(hook: Callable[..., None], *facts: object) -> None:
    """Call a hook; a broken console must not stop a worker."""
    try:
        hook(*facts)
    except Exception:  # noqa: BLE001 - whatever it is, it is theirs
        _log.failure("{hook} failed", hook=hook)


def twistd_command(
    executable: str, *, config_path: str | None, log_format: str
) -> CommandBuilder:
    """Return a builder of ``twistd tbworkers`` commands for this Python."""
    config = ("--config", config_path) if config_path else ()

    def command(spec: WorkerSpec) -> tuple[str, ...]:
        return (
            executable,
            "-c",
            _RUN_TWISTD,
            "-n",
            "--pidfile=",
            "tbworkers",
            f"--role={spec.role}",
            f"--worker-id={spec.id}",
            *config,
            f"--log-format={log_format}",
        )

    return command
