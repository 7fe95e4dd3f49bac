"""What a role knows about the process that it runs in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import attrs

from tbtwist.config.schema import Settings
from tbtwist.errors import CannotBind
from tbtwist.identity import RandomBytes, WorkerId
from tbtwist.lifetime import Surroundings
from tbtwist.net.listening import adopt, bind_tcp
from tbtwist.observe.files import LogFolder
from tbtwist.observe.logs import LogFormat

LAST_PORT: Final = 65535


@attrs.frozen(kw_only=True)
class Process:
    """Everything that came from outside, fetched once by ``options.py``.

    ``reload`` reads the configuration again; ``probing`` is true for a worker that
    must prove itself before it serves, ``reloads`` for a manager that watches the code.
    """

    around: Surroundings
    settings: Settings
    warnings: tuple[str, ...]
    config_path: Path | None
    identity: WorkerId
    index: int
    descriptors: Mapping[str, int]
    host: str | None
    port: int | None
    now: Callable[[], float]
    random: RandomBytes
    environ: Mapping[str, str]
    cwd: Path
    console: TextIO | None
    verbose: bool
    log_format: LogFormat
    log_folder: LogFolder
    reload: Callable[[], Settings]
    probing: bool = False
    reloads: bool = False
    broker_inside: bool = False
    """Whether the broker lives in this process, so that it is there at once."""

    @property
    def reactor(self) -> Any:
        """Return the reactor."""
        return self.around.reactor

    @property
    def data_dir(self) -> Path:
        """Return the data directory."""
        return Path(self.settings.data_dir)

    def listener(self, name: str, host: str, port: int, backlog: int) -> socket.socket:
        """Return the inherited socket called ``name``, or bind one.

        ``host`` and ``port`` are the configured ones of the first worker; a worker
        started by hand takes the port of its number, unless it was given one.
        """
        if name in self.descriptors:
            return adopt(self.descriptors[name])
        mine = port + self.index if port else 0
        mine = mine if self.port is None else self.port
        what = self.identity.slot
        if not 0 <= mine <= LAST_PORT:
            reason = f"ports end at {LAST_PORT}"
            address = f"{self.host or host}:{mine}"
            raise CannotBind(what=what, address=address, reason=reason)
        return bind_tcp(self.host or host, mine, backlog=backlog, what=what)
