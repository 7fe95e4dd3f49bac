"""Real servers with the sample application behind them, and a client of bytes."""

from __future__ import annotations

import socket
import threading
from typing import Any

from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase
from waitress.server import create_server

from tbtwist.apps.runner import ReactorRunner
from tbtwist.config.schema import Settings
from tbtwist.http.bridges import loop_bridge, reactor_bridge
from tbtwist.http.site import TbtwistSite, make_site
from tbtwist.http.wsgi import WsgiApplication
from tbtwist.net.listening import bind_tcp, port_of, serve
from tbtwist.services import wait_until
from tests.api.core import OPEN, make_dispatcher
from tests.api.sample import sample_app
from tests.conformance.cases import Case

reactor: Any = global_reactor
PATIENCE_S = 20


def talk(port: int, case: Case, final: bytes) -> bytes:
    """Send what the case says and then ``final``; return all that comes. Blocks."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(case.sent + (b"" if case.closes else final))
        received = []
        try:
            while data := client.recv(65536):
                received.append(data)
        except ConnectionResetError:
            received.append(b"reset")
        return b"".join(received)


class ServersTestCase(TestCase):
    """Serves the sample; has threads for clients and for WSGI."""

    def setUp(self) -> None:
        """Make the application and the clients' threads."""
        self.app = sample_app()
        self.addCleanup(self.app.pool.stop, lambda: None)
        self.clients = self.pool("clients")

    def pool(self, name: str) -> ThreadPool:
        """Return a pool that ends with the test."""
        pool = ThreadPool(0, 4, name=name)
        pool.start()
        others = reactor.getThreadPool()
        self.addCleanup(deferToThreadPool, reactor, others, pool.stop)
        return pool

    def talk(self, port: int, case: Case, final: bytes) -> Deferred[bytes]:
        """Have an exchange in a thread."""
        return deferToThreadPool(reactor, self.clients, talk, port, case, final)

    def serve_ours(self, settings: Settings) -> tuple[int, TbtwistSite]:
        """Serve as a worker does; return the port and the site."""
        runner = ReactorRunner(reactor)
        runner.startService()
        self.addCleanup(runner.stopService)
        dispatcher = make_dispatcher(self.app, settings, runner)
        application = WsgiApplication(dispatcher, reactor_bridge(reactor, 30))
        wsgi, health = self.pool("wsgi"), dispatcher.health
        site = make_site(reactor, application, wsgi, settings, health)
        listener = bind_tcp("127.0.0.1", 0, backlog=100, what="test")
        port = serve(reactor, listener, site, backlog=100)

        async def end() -> None:
            await maybeDeferred(port.stopListening)
            listener.close()
            await wait_until(reactor, lambda: not site.connections, PATIENCE_S)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return port_of(listener), site

    def serve_waitress(self) -> int:
        """Serve the same WSGI application with waitress; return its port."""
        bridge = loop_bridge()
        self.addCleanup(bridge.close)
        application = WsgiApplication(make_dispatcher(self.app, OPEN), bridge)
        server = create_server(application, host="127.0.0.1", port=0, map={}, threads=2)
        thread = threading.Thread(target=server.run, name="waitress")
        thread.start()

        def stop() -> None:
            server.trigger.pull_trigger(server.close)
            thread.join()
            server.task_dispatcher.shutdown()

        self.addCleanup(stop)
        return int(server.effective_port)
