"""Our own server: the WSGI callable for the API, then static files (DESIGN D3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import attrs
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource
from typing_extensions import override

from tbtwist.api.health import Health
from tbtwist.config.schema import HttpWorker, Settings
from tbtwist.http.accesslog import AccessFormat, AccessLog
from tbtwist.http.admission import Admission
from tbtwist.http.application import StartResponse, WsgiApplication
from tbtwist.http.bridges import GONE, ClientGone, ThreadDoor
from tbtwist.http.channel import Channel
from tbtwist.http.house import House
from tbtwist.http.limits import Limits
from tbtwist.http.mounts import NO_MOUNTS, Mounts, WsgiCallable
from tbtwist.http.static import static_root
from tbtwist.http.writing import ServerLines
from tbtwist.net.proxies import TrustedProxies
from tbtwist.tracing import Trace, within


class _PacedDoor:
    """The way of one request's WSGI thread to the reactor, as fast as its client reads.

    A WSGI thread waits until its write has been done. So a write that waits for
    room in the connection's buffer holds the thread, and with it the application
    (T4): nothing piles up. The write deadline of the connection ends the wait.
    """

    def __init__(self, door: ThreadDoor, request: Any) -> None:
        self._door = door
        self._carrier = request.channel

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        """Call on the reactor's thread, when there is room."""
        self._door.callFromThread(self._carrier.call_when_room, lambda: call(*args))


@attrs.frozen
class _TracedThreads:
    """The threads, for a request that is answered under a trace from end to end."""

    _threads: ThreadPool
    _trace: Trace

    def callInThread(  # noqa: N802 - Twisted's name
        self, call: Callable[..., object]
    ) -> None:
        """Call in a thread, under the trace."""
        self._threads.callInThread(within, self._trace, call)


class Front(Resource):
    """Decides who answers: the application its routes, static files the rest."""

    isLeaf = 1

    def __init__(
        self,
        application: WsgiApplication,
        door: ThreadDoor,
        threads: ThreadPool,
        static: IResource,
        mounts: Mounts = NO_MOUNTS,
    ) -> None:
        super().__init__()
        self._mounts = mounts
        self._application = application
        self._door = door
        self._threads = threads
        self._static = static

    @override
    def render(self, request: Any) -> Any:
        """Hand the request over."""
        if self._application.owns(unquote(request.path)):
            return self._render_application(request)
        mount = self._mounts.find(request.path)
        if mount is not None:
            return self._render_wsgi(mount.taking(request), request)
        resource = getChildForRequest(self._static, request)
        return resource.render(request)

    def _render_application(self, request: Any) -> Any:
        """Run the application in a WSGI thread, which learns when the client leaves."""
        gone = ClientGone(request.notifyFinish())
        application = self._application

        def called(
            environ: dict[str, Any], start_response: StartResponse
        ) -> Iterable[bytes]:
            environ[GONE] = gone
            environ["wsgi.multiprocess"] = True
            return application(environ, start_response)

        return self._render_wsgi(called, request)

    def _render_wsgi(self, called: WsgiCallable, request: Any) -> Any:
        door = _PacedDoor(self._door, request)
        trace = request.channel.exchange.trace
        threads = (
            self._threads if trace is None else _TracedThreads(self._threads, trace)
        )
        return WSGIResource(door, threads, called).render(request)


class TbtwistSite(Site):
    """The site of one http worker: makes channels, and holds the resource tree."""

    noisy = False

    def __init__(self, front: IResource, house: House) -> None:
        super().__init__(front, reactor=house.reactor)
        self.house = house
        house.site = self

    @override
    def buildProtocol(self, addr: object) -> Channel:  # type: ignore[override]
        """Return what reads one connection."""
        channel = Channel(self.house)
        channel.factory = self
        return channel

    @override
    def startFactory(self) -> None:
        """Start without Twisted's own access log and its clock."""

    @override
    def stopFactory(self) -> None:
        """Keep nothing back any more: the end may come at any time."""
        if self.house.access_log is not None:
            self.house.access_log.close()

    def close_idle(self) -> None:
        """Close idle connections after their grace; the others after their answer."""
        self.house.drain()

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self.house.channels)


def make_site(  # noqa: PLR0913 - everything a worker has, in one place
    reactor: Any,
    wsgi_app: WsgiApplication,
    wsgi_pool: ThreadPool,
    settings: Settings,
    health: Health,
    *,
    files: ThreadPool | None = None,
    log_format: AccessFormat = "text",
    mounts: Mounts = NO_MOUNTS,
) -> TbtwistSite:
    """Return the site of an http worker.

    ``wsgi_pool`` and ``files`` (what reads files that are sent; the same pool
    unless given) are started and stopped by the caller: stopped off the reactor's
    thread, after ``health.in_flight`` has come to 0 or the drain's time is up. When
    ``health.draining`` is set, answers say ``Connection: close``. ``log_format`` is
    the access log's where the settings leave it open.
    """
    config = settings.http_worker
    door = ThreadDoor(reactor)
    static = static_root(config.static_root)
    front = Front(wsgi_app, door, wsgi_pool, static, mounts)
    dispatcher = wsgi_app.dispatcher
    house = House(
        reactor=reactor,
        dispatcher=dispatcher,
        health=health,
        limits=Limits.from_settings(config),
        admission=Admission(config.max_concurrent, config.max_queued),
        proxies=TrustedProxies.parse(config.trusted_proxies),
        files=wsgi_pool if files is None else files,
        answers_api=dispatcher.owns if config.lane == "auto" else _nothing,
        access_log=_access_log(reactor, config, log_format),
        server_lines=ServerLines(dispatcher.now),
        mounts=mounts,
        mount_body_bytes=config.max_mount_body_bytes,
    )
    return TbtwistSite(front, house)


def _nothing(path: str) -> bool:
    """Leave every path to the resource tree."""
    del path
    return False


def _access_log(
    reactor: Any, config: HttpWorker, log_format: AccessFormat
) -> AccessLog | None:
    if not config.access_log:
        return None
    chosen = config.access_log_format
    return AccessLog(reactor, log_format if chosen == "auto" else chosen)
