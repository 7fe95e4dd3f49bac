"""Our own system in a benchmark: a data directory and real workers by hand."""

from __future__ import annotations

import sys
from time import time
from typing import Final

import attrs

from benchmarks.programs import Program, Stage, answers, listen, until
from tbtwist.auth.session import SessionData
from tbtwist.auth.signing import Signer

_SECRET: Final = "5ec7e7" * 12
_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_SETTINGS: Final = """\
http_worker: {{access_log: {access_log}, drain_timeout_s: 0.5}}
ws_worker: {{drain_timeout_s: 0.5}}
toolbox: {{modules: [benchmarks.application]}}
"""


def cookie() -> str:
    """Return the Cookie header of somebody who is signed in."""
    session = SessionData(
        user_id="u1",
        session_id="0f9a3c52-5a0e-4f3a-9d55-0a4c1f1d2b77",
        user_name="Ada",
        level=1,
        exp=time() + 3600,
        validated=True,
        anonymous=False,
    )
    signed = Signer([_SECRET.encode()]).sign(session.to_json_bytes())
    return f"tb_session={signed}"


@attrs.frozen
class Worker:
    """A worker of ours and the port that it serves."""

    program: Program
    port: int

    def url(self, path: str) -> str:
        """Return the address of ``path`` here."""
        return f"http://127.0.0.1:{self.port}{path}"


class System:
    """Workers of one data directory, all on the server's core."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.data_dir = stage.directory / "d"
        self.environ = {
            "TB_DATA_DIR": str(self.data_dir),
            "TB_COOKIE_SECRET": _SECRET,
        }
        self.data_dir.mkdir()
        self.broker = stage.start(
            "our broker",
            self._command("broker", "off"),
            core=stage.cores.server,
            environ=self.environ,
        )

    def config(self, access_log: str) -> str:
        """Write the configuration with the access log ``on`` or ``off``."""
        config = self._stage.directory / f"access-log-{access_log}.yaml"
        logged = "true" if access_log == "on" else "false"
        config.write_text(_SETTINGS.format(access_log=logged))
        return str(config)

    def _command(self, worker_id: str, access_log: str) -> list[str]:
        return [
            *(sys.executable, "-c", _TWISTD, "-n", "tbworkers"),
            f"--role={worker_id.partition('-')[0]}",
            f"--config={self.config(access_log)}",
            *((f"--worker-id={worker_id}",) if "-" in worker_id else ()),
        ]

    def worker(self, worker_id: str, *, access_log: str = "off") -> Worker:
        """Start an http or ws worker, and come back when it is ready."""
        listener, port = listen()
        names = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": worker_id.partition("-")[0]}
        program = self._stage.start(
            f"our {worker_id}",
            self._command(worker_id, access_log),
            core=self._stage.cores.server,
            listener=listener,
            environ={**self.environ, **names},
        )
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), program)
        return Worker(program, port)
