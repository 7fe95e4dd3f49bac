"""Other HTTP servers that reload at SIGHUP, with two workers as we have."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

import attrs

from benchmarks.felt import NOTED
from benchmarks.programs import Program, Server, Stage, answers, free_ports, until
from benchmarks.system import SECRET, cookie

_FROM_ENVIRON: Final = "benchmarks.peers.wsgi_app:from_environ"
_SETTINGS: Final = """\
toolbox: {modules: [benchmarks.application, benchmarks.update_app]}
http_worker: {access_log: false}
"""
_WORKERS: Final = 2


@attrs.frozen
class Peer:
    """A server and its options; its port follows the last one."""

    package: str
    options: tuple[str, ...]


PEERS: Final[Mapping[str, Peer]] = {
    "gunicorn gthread, HUP": Peer(
        "gunicorn",
        (
            *("gunicorn", f"--workers={_WORKERS}", "--worker-class=gthread"),
            *("--threads=8", "--keep-alive=60", "--no-control-socket"),
            *(f"{_FROM_ENVIRON}()", "--bind=127.0.0.1:"),
        ),
    ),
    "granian, HUP": Peer(
        "granian",
        (
            *("granian", "--interface=wsgi", "--http=1", "--no-ws"),
            *(f"--workers={_WORKERS}", "--blocking-threads=8", "--factory"),
            *(_FROM_ENVIRON, "--port="),
        ),
    ),
}


def present() -> list[str]:
    """Return the names of the peers that can run here; say why others cannot."""
    for name, peer in PEERS.items():
        if find_spec(peer.package) is None:
            print(f"{name}: not installed (extra bench): left out.", file=sys.stderr)
    return [name for name, peer in PEERS.items() if find_spec(peer.package)]


def start(stage: Stage, name: str) -> Server:
    """Start a peer with our WSGI callable; come back when it serves."""
    config, data_dir = stage.directory / "config.yaml", stage.directory / "d"
    config.write_text(_SETTINGS)
    data_dir.mkdir()
    [port] = free_ports(1)
    *options, last = PEERS[name].options
    program = stage.start(
        PEERS[name].package,
        [sys.executable, "-m", *options, f"{last}{port}"],
        core=None,
        environ={
            "TB_CONFIG": str(config),
            "TB_DATA_DIR": str(data_dir),
            "TB_COOKIE_SECRET": SECRET,
            NOTED: os.devnull,
        },
    )
    server = Server(program, port)
    url = server.url("/api/Bench/greet?name=Ada")
    until(lambda: answers(url, cookie()), program)
    return server


def reload(program: Program) -> None:
    """Have it replace its workers; come back when the old ones are gone."""
    before = _children(program)
    program.process.send_signal(signal.SIGHUP)
    until(lambda: _replaced(before, _children(program)), program)


def _replaced(before: set[int], now: set[int]) -> bool:
    return len(before - now) >= _WORKERS and len(now - before) >= _WORKERS


def _children(program: Program) -> set[int]:
    return {process.pid for process in program.family()[1:]}
