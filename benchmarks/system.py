"""Our own system in a benchmark: a data directory and real workers by hand."""

from __future__ import annotations

import sys
from time import time
from typing import Final

from benchmarks.programs import Server, Stage, answers, listen, until
from tbtwist.auth.session import SessionData
from tbtwist.auth.signing import Signer

SECRET: Final = "5ec7e7" * 12
USER: Final = "Grace"
_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_SETTINGS: Final = """\
http_worker: {{access_log: {access_log}, lane: {lane}, drain_timeout_s: 0.5}}
ws_worker: {{drain_timeout_s: 0.5}}
toolbox: {{modules: [benchmarks.application]}}
"""


def cookie() -> str:
    """Return the Cookie header of somebody who is signed in."""
    session = SessionData(
        user_id="u1",
        session_id="0f9a3c52-5a0e-4f3a-9d55-0a4c1f1d2b77",
        user_name=USER,
        level=1,
        exp=time() + 3600,
        validated=True,
        anonymous=False,
    )
    signed = Signer([SECRET.encode()]).sign(session.to_json_bytes())
    return f"tb_session={signed}"


class System:
    """Workers of one data directory, all on the server's core."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.data_dir = stage.directory / "d"
        self.environ = {
            "TB_DATA_DIR": str(self.data_dir),
            "TB_COOKIE_SECRET": SECRET,
        }
        self.data_dir.mkdir()
        self.broker = stage.start(
            "our broker",
            self._command("broker", self.config()),
            core=stage.cores.server,
            environ=self.environ,
        )

    def config(self, *, access_log: str = "off", lane: str = "auto") -> str:
        """Write a configuration; return its path."""
        config = self._stage.directory / f"{lane}-{access_log}.yaml"
        logged = "true" if access_log == "on" else "false"
        config.write_text(_SETTINGS.format(access_log=logged, lane=lane))
        return str(config)

    def _command(self, worker_id: str, config: str) -> list[str]:
        return [
            *(sys.executable, "-c", _TWISTD, "-n", "tbworkers"),
            f"--role={worker_id.partition('-')[0]}",
            f"--config={config}",
            *((f"--worker-id={worker_id}",) if "-" in worker_id else ()),
        ]

    def worker(
        self, worker_id: str, *, access_log: str = "off", lane: str = "auto"
    ) -> Server:
        """Start an http or ws worker, and come back when it is ready."""
        listener, port = listen()
        names = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": worker_id.partition("-")[0]}
        program = self._stage.start(
            f"our {worker_id}",
            self._command(worker_id, self.config(access_log=access_log, lane=lane)),
            core=self._stage.cores.server,
            listener=listener,
            environ={**self.environ, **names},
        )
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), program)
        return Server(program, port, program.log if access_log == "on" else None)
