"""One application, several servers: our site and waitress answer alike."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgspec
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase
from waitress.server import create_server

from tbtwist.api.health import Health
from tbtwist.apps.registry import App
from tbtwist.apps.request import RequestData
from tbtwist.apps.runner import ReactorRunner
from tbtwist.config.schema import HttpWorker, Settings, Toolbox
from tbtwist.errors import ModuleFailed, StartFailed
from tbtwist.http.bridges import LoopBridge, reactor_bridge
from tbtwist.http.pages import FAILED
from tbtwist.http.site import make_site
from tbtwist.http.wsgi import WsgiApplication, from_environ, loop_bridge, standalone
from tbtwist.services import wait_until
from tests.api.core import OPEN, cookie_of, make_dispatcher
from tests.api.sample import sample_app

reactor: Any = global_reactor


@attrs.frozen
class Ask:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str] = attrs.Factory(dict)
    body: bytes | None = None


@attrs.frozen
class Told:
    """One answer, without what each server says of itself."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_OWN = {"date", "server", "via", "connection", "x-request-id"}
JSON = {"Content-Type": "application/json"}
ASKS = (
    Ask("GET", "/health"),
    Ask("HEAD", "/health"),
    Ask("POST", "/health", body=b"x"),
    Ask("GET", "/ready"),
    Ask("GET", "/api/ping"),
    Ask("GET", "/api/ip"),
    Ask("GET", "/api"),
    Ask("GET", "/api/Open/add?a=1&b=2&stray=3"),
    Ask("GET", "/api/Open/add"),
    Ask("GET", "/api/Open/add?a=x"),
    Ask("GET", "/api/Open/nope"),
    Ask("GET", "/api/Open/plain"),
    Ask("GET", "/api/Open/page"),
    Ask("PUT", "/api/Open/only%2Fput"),
    Ask("GET", "/api/Open/only/put"),
    Ask("GET", "/api/Open/echo?a=%C3%A4&a=b&c="),
    Ask("POST", "/api/Open/echo", JSON, b'{"a":[1,{"b":null}]}'),
    Ask("POST", "/api/Open/echo", JSON, b'{"a" 1}'),
    Ask("PATCH", "/api/Open/echo", {"Content-Type": "text/plain"}, b"x"),
    Ask("POST", "/api/Open/echo", {"Content-Encoding": "gzip"}, b"x"),
    Ask("DELETE", "/api/Open/refuses"),
    Ask("OPTIONS", "/api/Open/add", {"Origin": "http://localhost:1"}),
    Ask("GET", "/api/Closed/mine"),
    Ask("GET", "/api/Closed/mine", {"Cookie": cookie_of()}),
    Ask("GET", "/api/Open/login?user=u1"),
    Ask("GET", "/api/Open/logout", {"Cookie": cookie_of()}),
    Ask("POST", "/api/Open/echo", {"Content-Length": str(10**9)}),
)


def talk(port: int, asks: tuple[Ask, ...]) -> list[Told]:
    """Ask a server everything; blocks."""
    told = []
    for ask in asks:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(ask.method, ask.target, ask.body, dict(ask.headers))
        response = connection.getresponse()
        body = response.read()
        headers = [(k.lower(), v) for k, v in response.getheaders()]
        shown = sorted(h for h in headers if h[0] not in _OWN)
        told.append(Told(response.status, shown, body))
        connection.close()
    return told


class ServersTestCase(TestCase):
    """Has threads for clients and for WSGI."""

    def setUp(self) -> None:
        """Start the pools."""
        self.clients = self.pool("clients")
        self.app = sample_app()
        self.addCleanup(self.app.pool.stop, lambda: None)

    def pool(self, name: str) -> ThreadPool:
        """Return a pool that ends with the test."""
        pool = ThreadPool(1, 4, name=name)
        pool.start()
        # off the reactor's thread: a WSGI thread may be waiting for just that
        others = reactor.getThreadPool()
        self.addCleanup(deferToThreadPool, reactor, others, pool.stop)
        return pool

    def talk(self, port: int, *asks: Ask) -> Deferred[list[Told]]:
        """Ask a server in a thread."""
        return deferToThreadPool(reactor, self.clients, talk, port, asks)

    def serve_twisted(self, settings: Settings) -> tuple[int, Health]:
        """Serve the application with our site; return its port."""
        runner = ReactorRunner(reactor)
        runner.startService()
        self.addCleanup(runner.stopService)
        dispatcher = make_dispatcher(self.app, settings, runner)
        application = WsgiApplication(dispatcher, reactor_bridge(reactor, 30))
        health = dispatcher.health
        site = make_site(reactor, application, self.pool("wsgi"), settings, health)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port, health

    def serve_waitress(self, application: WsgiApplication) -> int:
        """Serve the application with waitress in a thread; return its port."""
        server = create_server(application, host="127.0.0.1", port=0, map={}, threads=2)
        thread = threading.Thread(target=server.run, name="waitress")
        thread.start()

        def stop() -> None:
            server.task_dispatcher.shutdown()  # its threads use the trigger
            # the server may obey, and close the trigger, before we have let it go
            with contextlib.suppress(OSError):
                server.trigger.pull_trigger(server.close)
            thread.join()

        self.addCleanup(stop)
        return int(server.effective_port)

    def loop(self) -> LoopBridge:
        """Return a bridge that is closed with the test."""
        bridge = loop_bridge()
        self.addCleanup(bridge.close)
        return bridge


class ConformanceTests(ServersTestCase):
    """The same questions, the same answers."""

    async def test_alike(self) -> None:
        """Status, headers and body are the same on our site and on waitress."""
        ours, _ = self.serve_twisted(OPEN)
        theirs = self.serve_waitress(
            WsgiApplication(make_dispatcher(self.app, OPEN), self.loop())
        )
        # waitress reads a body before it asks the application about its length
        asks = tuple(ask for ask in ASKS if "Content-Length" not in ask.headers)
        for ask, one, other in zip(
            asks,
            await self.talk(ours, *asks),
            await self.talk(theirs, *asks),
            strict=True,
        ):
            self.assertEqual(one, other, ask)

    async def test_every_status(self) -> None:
        """Every kind of answer occurs on our site, over real sockets."""
        port, health = self.serve_twisted(OPEN)
        told = await self.talk(port, *ASKS)
        self.assertEqual(
            {answer.status for answer in told},
            {200, 204, 400, 401, 404, 405, 409, 413, 415, 422},
        )
        self.assertEqual(health.requests_total, len(ASKS))
        self.assertTrue(await wait_until(reactor, lambda: not health.in_flight, 10))


class CancellationTests(ServersTestCase):
    """Nobody works for those who have left."""

    async def test_client_leaves(self) -> None:
        """When a client hangs up, its function is cancelled."""
        entered: Deferred[None] = Deferred()
        ended: Deferred[str] = Deferred()

        @self.app.tb(mod_name="Open", name="wait", runtime="twisted")
        async def wait(request: RequestData) -> None:
            hanging: Deferred[None] = Deferred(lambda _: ended.callback("cancelled"))
            reactor.callLater(0, entered.callback, None)
            await hanging

        port, health = self.serve_twisted(OPEN)
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        await deferToThreadPool(
            reactor, self.clients, client.request, "GET", "/api/Open/wait"
        )
        await entered
        client.close()
        self.assertEqual(await ended, "cancelled")
        self.assertEqual(health.in_flight, 0)


MODULE = """
from tbtwist import export

@export(mod_name="Shop", name="buy")
async def buy(item: str, count: int = 1):
    return {"item": item, "count": count}

def show(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR")
    facts = "|".join(environ[name] for name in names) + "|"
    return [facts.encode(), environ["wsgi.input"].read()]

def fail(environ, start_response):
    return 1 / 0
"""


class StandaloneTests(ServersTestCase):
    """The whole application under another server."""

    def setUp(self) -> None:
        """Write an application."""
        super().setUp()
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.module = f"shop_{os.getpid()}_{id(self)}"
        (self.home / f"{self.module}.py").write_text(MODULE)
        self.addCleanup(sys.modules.pop, self.module, None)
        self.addCleanup(setattr, sys, "path", list(sys.path))

    def settings(self, *modules: str) -> Settings:
        """Return settings with modules."""
        return Settings(
            data_dir=str(self.home),
            http_worker=HttpWorker(sync_threads=3),
            toolbox=Toolbox(modules=modules, open_modules=("Shop",)),
        )

    async def test_under_waitress(self) -> None:
        """Modules are loaded, functions answer, the worker is ready."""
        app = App()
        application = standalone(
            self.settings(self.module), app=app, cwd=self.home, bridge=self.loop()
        )
        port = self.serve_waitress(application)
        ready, bought = await self.talk(
            port, Ask("GET", "/ready"), Ask("GET", "/api/Shop/buy?item=tea&count=2")
        )
        self.assertEqual(ready.status, 200)
        self.assertIn(b'{"item":"tea","count":2}', bought.body)

    async def test_start(self) -> None:
        """What runs at the start has run before anything is served."""
        app = App()

        @app.tb("begin", "Shop", initial=True)
        async def begin() -> None:
            app.tb("begun", "Shop")(lambda: "yes")

        bridge = self.loop()
        make = partial(standalone, self.settings(), app=app, bridge=bridge)
        await deferToThreadPool(reactor, self.clients, make)
        self.assertIsNotNone(app.find("Shop", "begun"))

        @app.tb("begin", "Shop", initial=True)
        async def fails() -> None:
            raise ValueError

        with self.assertRaises(StartFailed) as caught:
            await deferToThreadPool(reactor, self.clients, make)
        self.assertIn("Shop/begin", str(caught.exception))

    def test_broken_module(self) -> None:
        """A module that is not there is named before anything is served."""
        error = self.assertRaises(
            ModuleFailed,
            standalone,
            self.settings("no_such_module"),
            app=App(),
            cwd=self.home,
        )
        self.assertIn("no_such_module", str(error))

    async def test_mounts(self) -> None:
        """Mounted applications are below their paths, behind the API."""
        settings = self.settings(self.module)
        mounts = {"/shop": f"{self.module}:show", "/": f"{self.module}:fail"}
        toolbox = msgspec.structs.replace(settings.toolbox, wsgi_mounts=mounts)
        application = standalone(
            msgspec.structs.replace(settings, toolbox=toolbox),
            app=App(),
            cwd=self.home,
            bridge=self.loop(),
        )
        port = self.serve_waitress(application)
        proxied = {"X-Forwarded-For": "203.0.113.7"}
        answers = await self.talk(
            port,
            Ask("GET", "/shop/a%20b/?q=1", proxied),
            Ask("POST", "/shop", body=b"tea"),
            Ask("GET", "/api/Shop/buy?item=tea&count=2"),
            Ask("GET", "/shopping"),
        )
        shown, posted, bought, failed = answers
        self.assertEqual(shown.body, b"/shop|/a b/|q=1|127.0.0.1|")
        self.assertEqual(posted.body, b"/shop|||127.0.0.1|tea")
        self.assertIn(b'{"item":"tea","count":2}', bought.body)
        self.assertEqual((failed.status, failed.body), (500, FAILED.body))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_broken_mount(self) -> None:
        """A mount that is not there, or in the API's place, is named at once."""
        for path, place in (("/x", f"{self.module}:nothing"), ("/api", "")):
            mounts = {path: place or f"{self.module}:show"}
            settings = msgspec.structs.replace(
                self.settings(), toolbox=Toolbox(wsgi_mounts=mounts)
            )
            with self.assertRaises(ModuleFailed) as caught:
                standalone(settings, app=App(), cwd=self.home)
            self.assertIn(place or path, str(caught.exception))

    async def test_from_environ(self) -> None:
        """The entry for other servers finds its configuration like a worker."""
        config = self.home / "config.yaml"
        config.write_text("toolbox:\n  api_prefix: /rpc\n")
        environ = {"TB_CONFIG": str(config), "TB_DATA_DIR": str(self.home)}
        application = from_environ(environ)
        self.assertTrue(application.owns("/rpc/Shop/buy"))
        self.assertFalse(application.owns("/api/Shop/buy"))
