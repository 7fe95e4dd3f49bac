"""A worker's site with mounts, on a real port, and clients in threads."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from tbtwist.apps.runner import ReactorRunner
from tbtwist.config.schema import Settings
from tbtwist.http.bridges import reactor_bridge
from tbtwist.http.mounts import Mounts, WsgiCallable
from tbtwist.http.site import make_site
from tbtwist.http.wsgi import WsgiApplication
from tbtwist.services import wait_until
from tests.api.core import make_dispatcher
from tests.api.sample import sample_app
from tests.http.memory import limited

reactor: Any = global_reactor
T = TypeVar("T")
PATIENCE_S = 60.0


@attrs.frozen
class Got:
    """An answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return a header's values."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


class MountedCase(TestCase):
    """Serves applications and talks to them."""

    def serve(
        self, applications: Mapping[str, WsgiCallable], settings: Settings | None = None
    ) -> None:
        """Serve ``applications`` by their paths."""
        settings = settings or limited()
        runner = ReactorRunner(reactor)
        runner.startService()
        self.addCleanup(runner.stopService)
        dispatcher = make_dispatcher(sample_app(), settings, runner)
        self.threads = self._pool("wsgi", settings.http_worker.wsgi_threads)
        self.clients = self._pool("clients", 8)
        site = make_site(
            reactor,
            WsgiApplication(dispatcher, reactor_bridge(reactor, 30)),
            self.threads,
            settings,
            dispatcher.health,
            mounts=Mounts.of(applications, dispatcher.owns),
        )
        listening = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.port = listening.getHost().port
        self.site = site
        self.addCleanup(lambda: Deferred.fromCoroutine(self._end(listening)))

    async def _end(self, listening: Any) -> None:
        await listening.stopListening()
        channels: Any = tuple(self.site.house.channels)
        for channel in channels:
            channel.transport.abortConnection()
        await wait_until(reactor, lambda: not self.site.house.channels, PATIENCE_S)

    def _pool(self, name: str, size: int) -> ThreadPool:
        pool = ThreadPool(0, size, name)
        pool.start()
        # off the reactor's thread: a WSGI thread may be waiting for just that
        others = reactor.getThreadPool()
        self.addCleanup(deferToThreadPool, reactor, others, pool.stop)
        return pool

    def in_thread(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run a client."""
        running: Deferred[T] = deferToThreadPool(reactor, self.clients, work, *args)
        return running

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Deferred[Got]:
        """Send a request and read its answer, in a thread."""

        def talk() -> Got:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                client.request(method, target, body, dict(headers or {}))
                answer = client.getresponse()
                return Got(answer.status, answer.getheaders(), answer.read())
            finally:
                client.close()

        return self.in_thread(talk)

    def connect(self, receive_bytes: int) -> socket.socket:
        """Return a connection that takes little in advance."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(30)
        client.connect(("127.0.0.1", self.port))
        self.addCleanup(client.close)
        return client


def form(size: int) -> tuple[dict[str, str], bytes]:
    """Return a multipart body with a file of ``size`` bytes, and its type."""
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
        b'--b\r\nContent-Disposition: form-data; name="doc"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    body = parts + b"x" * size + b"\r\n--b--\r\n"
    return {"Content-Type": "multipart/form-data; boundary=b"}, body
