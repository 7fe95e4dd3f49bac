"""Options that every verb has, and the world that a verb acts on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, cast

import click

if TYPE_CHECKING:
    from tbtwist.config.loading import Loaded
    from tbtwist.control.client import ControlClient
    from tbtwist.status import Status

_CONFIG = "tbtwist.config"
_VERBOSE = "tbtwist.verbose"
_Command = TypeVar("_Command", bound=Callable[..., object])


class Client(Protocol):
    """What a verb asks of the manager."""

    def status(self) -> Status:
        """Return a snapshot; NoManager if nobody answers."""

    def stop(self, timeout_s: float) -> None:
        """Have everything drained and stopped; NoManager, ControlFailed."""

    def login_link(self) -> str:
        """Return an address that lets one browser into the web UI."""


class Child(Protocol):
    """A process that was spawned."""

    @property
    def pid(self) -> int:
        """Return its pid."""

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""


class World:
    """The process's surroundings; tests put others in their place."""

    def __init__(self) -> None:
        self.environ: Mapping[str, str] = os.environ
        self.executable = sys.executable
        self.terminal = sys.stdout.isatty()

    @property
    def cwd(self) -> Path:
        """Return the working directory."""
        return Path.cwd()

    @property
    def home(self) -> Path:
        """Return the user's home directory."""
        return Path.home()

    def connect(self, data_dir: Path) -> Client:
        """Return a client for the manager of ``data_dir``."""
        from tbtwist.control.client import ControlClient

        return ControlClient.for_data_dir(data_dir)

    def control(self, data_dir: Path) -> ControlClient:
        """Return a client that may change things, too."""
        from tbtwist.control.client import ControlClient

        return ControlClient.for_data_dir(data_dir)

    def become(self, argv: Sequence[str]) -> None:
        """Turn this process into another one."""
        os.execve(argv[0], list(argv), dict(self.environ))  # noqa: S606 - our own argv

    def spawn(self, argv: Sequence[str], log: IO[bytes]) -> Child:
        """Start a process of its own session that writes to ``log``."""
        import subprocess

        return subprocess.Popen(  # noqa: S603 - our own argv
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(self.environ),
            start_new_session=True,
        )

    def alive(self, pid: int) -> bool:
        """Whether a process runs (one that only waits to be reaped does not)."""
        import psutil

        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def seconds(self) -> float:
        """Return a clock for deadlines."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait; this process has nothing else to do."""
        time.sleep(seconds)

    def now(self) -> float:
        """Return the time of day, in seconds since the epoch."""
        return time.time()

    def load(self, path: str | None) -> Loaded:
        """Return the configuration in effect; see `tbtwist.config.loading.load`."""
        from tbtwist.config.loading import load

        return load(path, self.environ, cwd=self.cwd, home=self.home)

    def examine(self, path: str | None) -> Loaded:
        """Return the configuration as `load` does, but make no data directory."""
        from tbtwist.config.loading import examine

        return examine(path, self.environ, cwd=self.cwd, home=self.home)


def find_manager(ctx: click.Context) -> Loaded:
    """Return the configuration for asking a running manager something.

    That needs little more than the data directory. A file that has been broken
    meanwhile must not keep anybody from stopping what runs: then the environment
    and the defaults say where that is.
    """
    from tbtwist.errors import ConfigError

    here = world(ctx)
    try:
        return here.examine(config_file(ctx))
    except ConfigError as error:
        loaded = here.examine(os.devnull)
        click.echo(f"warning: {error}", err=True)
        where = f"warning: looking for a manager of {loaded.settings.data_dir}"
        click.echo(where, err=True)
        return loaded


def world(ctx: click.Context) -> World:
    """Return the world of this invocation."""
    root = ctx.find_root()
    if root.obj is None:
        root.obj = World()
    return cast("World", root.obj)


def config_file(ctx: click.Context) -> str | None:
    """Return what ``-c`` said, wherever on the command line it stood."""
    return cast("str | None", ctx.find_root().meta.get(_CONFIG))


def is_verbose(ctx: click.Context) -> bool:
    """Whether ``-v`` was given anywhere on the command line."""
    return bool(ctx.find_root().meta.get(_VERBOSE))


def _remember(key: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(ctx: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            ctx.find_root().meta[key] = value

    return callback


def common_options(command: _Command) -> _Command:
    """Add ``-c/--config FILE`` and ``-v/--verbose``, which every verb has."""
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_remember(_VERBOSE),
        help="Say more, in errors too.",
    )
    config = click.option(
        "-c",
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_remember(_CONFIG),
        help="The configuration file.",
    )
    return config(verbose(command))
