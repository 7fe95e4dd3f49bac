"""A private nginx of a test: its own folder, ports and pid, no root needed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.services import wait, wait_until
from tests.integration.system import PATIENCE_S, Child, needs, reactor

_CONF = """\
{user}
worker_processes 2;
daemon off;
pid {root}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    include {root}/sites/*.conf;
}}
"""
_PROGRAM = """\
#!/bin/sh
exec {nginx} -p {root} -c {root}/nginx.conf -e stderr "$@"
"""


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Nginx:
    """A folder with a configuration that includes ``sites/*.conf``.

    ``program`` is a script that is this nginx, as ``NGINX_PATH`` can name it.
    """

    def __init__(self, case: TestCase, root: Path) -> None:
        executable = needs("nginx")
        self.case = case
        self.root = root / "nginx"
        self.site = self.root / "sites" / "tbtwist.conf"
        self.site.parent.mkdir(parents=True)
        user = "user root;" if os.getuid() == 0 else ""
        conf = _CONF.format(root=self.root, user=user)
        (self.root / "nginx.conf").write_text(conf)
        self.program = self.root / "nginx"
        self.program.write_text(_PROGRAM.format(nginx=executable, root=self.root))
        self.program.chmod(0o755)
        self.child = Child()

    async def start(self, port: int) -> None:
        """Start it; it is stopped at the end of the test."""
        reactor.spawnProcess(
            self.child, str(self.program), (str(self.program),), env={}
        )
        self.case.addCleanup(lambda: Deferred.fromCoroutine(self.stop()))
        listening = await wait_until(reactor, lambda: _listens(port), PATIENCE_S)
        self.case.assertTrue(listening, self.child.output)

    async def stop(self) -> None:
        """Stop it and wait until it is gone."""
        if self.child.status is None:
            self.child.signal("TERM")
            await self.child.ended

    def workers(self) -> set[int]:
        """Return the pids of its worker processes."""
        task = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return set(map(int, task.read_text().split()))

    async def until_reloaded(self, before: set[int]) -> None:
        """Wait until all workers of before have gone."""
        deadline = reactor.seconds() + PATIENCE_S
        while before & self.workers():
            self.case.assertLess(reactor.seconds(), deadline, self.child.output)
            await wait(reactor, 0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
