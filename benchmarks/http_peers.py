"""The other HTTP servers, each with one worker on the server's core."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

import attrs

from benchmarks.programs import Server, Stage, free_ports, listen
from benchmarks.system import SECRET, System

_FROM_ENVIRON: Final = "benchmarks.peers.wsgi_app:from_environ"
TOOLBOX_PYTHON: Final = "TB_TOOLBOXV2_PYTHON"
_TOOLBOX_SETTINGS: Final = {
    "TB_ENV": "production",
    "TB_COOKIE_SECRET": SECRET,
    "TB_JWT_SECRET": SECRET,
    "TOOLBOXV2_REMOTE_BASE": "none",  # no user is made for the loopback address
}


@attrs.frozen
class Peer:
    """A server: what the table calls it, its package and its options.

    Where it has no good way to inherit a listener, ``ports`` is how many free ports
    follow the options, the first one being that of its HTTP server.
    """

    title: str
    package: str
    options: tuple[str, ...]
    ports: int = 0
    logs: bool = True

    def missing(self, environ: Mapping[str, str]) -> str:
        """Return a sentence if it cannot run here, else nothing."""
        if self.package == "toolboxv2":
            if environ.get(TOOLBOX_PYTHON):
                return ""
            return f"{TOOLBOX_PYTHON} names no Python that has ToolBoxV2: left out."
        if find_spec(self.package) is None:
            return f"{self.package} is not installed (extra bench): left out."
        return ""

    def python(self, environ: Mapping[str, str]) -> str:
        """Return the Python that runs it."""
        own = self.package == "toolboxv2"
        return environ[TOOLBOX_PYTHON] if own else sys.executable


PEERS: Final[Mapping[str, Peer]] = {
    "granian": Peer(
        "granian, same WSGI app",
        "granian",
        (
            *("granian", "--interface=wsgi", "--http=1", "--no-ws", "--workers=1"),
            *("--blocking-threads=8", "--access-log", "--factory", _FROM_ENVIRON),
            "--port",
        ),
        ports=1,
    ),
    "waitress": Peer(
        "waitress, same WSGI app",
        "waitress",
        ("benchmarks.peers.waitress_server",),
        logs=False,
    ),
    "gunicorn": Peer(
        "gunicorn gthread, same WSGI app",
        "gunicorn",
        (
            *("gunicorn", "--bind=fd://3", "--workers=1", "--worker-class=gthread"),
            *("--threads=8", "--keep-alive=60", "--no-control-socket"),
            *("--access-logfile=-", f"{_FROM_ENVIRON}()"),
        ),
    ),
    "uvicorn": Peer(
        "uvicorn, bare ASGI app",
        "uvicorn",
        (
            *("uvicorn", "--loop=uvloop", "--http=httptools", "--lifespan=off"),
            *("--factory", "benchmarks.peers.asgi_app:from_environ", "--port"),
        ),
        ports=1,  # it takes an inherited listener for a UNIX one: no TCP_NODELAY
    ),
    "toolboxv2": Peer(
        "ToolBoxV2's own http worker",
        "toolboxv2",
        ("benchmarks.peers.toolboxv2_worker",),
        ports=5,
        logs=False,
    ),
}


def present(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the peers that can run here; say why others cannot."""
    missing = {name: peer.missing(environ) for name, peer in PEERS.items()}
    for sentence in filter(None, missing.values()):
        print(sentence, file=sys.stderr)
    return [name for name, sentence in missing.items() if not sentence]


def start(stage: Stage, system: System, name: str) -> Server:
    """Start the peer ``name``; it may take some time until it serves."""
    peer = PEERS[name]
    data_dir = stage.directory / f"{name}-data"
    data_dir.mkdir()
    ports = free_ports(peer.ports)
    listener, port = (None, ports[0]) if ports else listen()
    own = _TOOLBOX_SETTINGS if name == "toolboxv2" else system.environ
    config = {"TB_CONFIG": system.config(), "TB_DATA_DIR": str(data_dir)}
    program = stage.start(
        name,
        [peer.python(os.environ), "-m", *peer.options, *map(str, ports)],
        core=stage.cores.server,
        listener=listener,
        environ={**own, **config},
    )
    return Server(program, port, program.log if peer.logs else None)
