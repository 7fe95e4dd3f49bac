"""Our own server: the WSGI callable for the API, then static files (DESIGN D3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from twisted.python.threadpool import ThreadPool
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource
from typing_extensions import override

from tbtwist.api.health import Health
from tbtwist.config.schema import Settings
from tbtwist.http.application import StartResponse, WsgiApplication
from tbtwist.http.bridges import GONE, ClientGone, ThreadDoor
from tbtwist.http.exchange import Channel, Exchange, House
from tbtwist.http.pages import BUSY
from tbtwist.http.proxies import TrustedProxies
from tbtwist.http.static import static_root

_WsgiCallable = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Front(Resource):
    """Decides who answers: the application its routes, static files the rest."""

    isLeaf = 1

    def __init__(
        self,
        application: WsgiApplication,
        mount: Callable[[_WsgiCallable], IResource],
        static: IResource,
        is_full: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._application = application
        self._mount = mount
        self._static = static
        self._is_full = is_full

    @override
    def render(self, request: Any) -> Any:
        """Hand the request over."""
        if self._is_full():
            return BUSY.render(request)
        if self._application.owns(unquote(request.path)):
            return self._render_application(request)
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

        return self._mount(called).render(request)


class TbtwistSite(Site):
    """The site of one http worker. It knows its connections and what they do."""

    noisy = False
    protocol = Channel  # type: ignore[assignment] # without HTTP/2 (T6)

    def __init__(self, front: IResource, house: House, keepalive_s: float) -> None:
        super().__init__(
            front, requestFactory=Exchange, timeout=keepalive_s, reactor=house.reactor
        )
        self.house = house

    @override
    def startFactory(self) -> None:
        """Start without Twisted's own access log and its clock."""

    def close_idle(self) -> None:
        """Close the connections that wait for nothing; part of a drain."""
        for channel in tuple(self.house.channels):
            if channel.idle:
                channel.loseConnection()


def make_site(
    reactor: Any,
    wsgi_app: WsgiApplication,
    wsgi_pool: ThreadPool,
    settings: Settings,
    health: Health,
) -> TbtwistSite:
    """Return the site of an http worker.

    ``wsgi_pool`` is started and stopped by the caller: stopped off the reactor's
    thread, after ``health.in_flight`` has come to 0 or the drain's time is up. When
    ``health.draining`` is set, answers say ``Connection: close``.
    """
    config = settings.http_worker
    door = ThreadDoor(reactor)
    front = Front(
        wsgi_app,
        lambda application: WSGIResource(door, wsgi_pool, application),
        static_root(config.static_root),
        lambda: health.in_flight > config.backlog,
    )
    house = House(
        reactor=reactor,
        health=health,
        proxies=TrustedProxies.parse(config.trusted_proxies),
        max_body_bytes=config.max_body_bytes,
        access_log=config.access_log,
    )
    return TbtwistSite(front, house, config.keepalive)
