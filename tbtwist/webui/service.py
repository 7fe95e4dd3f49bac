"""The manager's HTTP side as a service: bound, started, stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from typing_extensions import override

from tbtwist.auth.private import kept
from tbtwist.boundaries import ManagerPort
from tbtwist.config.schema import Settings
from tbtwist.errors import PrivateFileUnusable
from tbtwist.identity import RandomBytes
from tbtwist.net.listening import Bind, bind_tcp, port_of, serve, url_of
from tbtwist.services import Background, wait_until
from tbtwist.webui.accounts import NginxFacts
from tbtwist.webui.api import Api
from tbtwist.webui.door import Door, Record
from tbtwist.webui.feed import Feed
from tbtwist.webui.gate import Gate
from tbtwist.webui.pages import load_pages
from tbtwist.webui.site import Bounded, make_factory

_log = Logger()

SECRET_FILE: Final = "cluster_secret"  # noqa: S105 - a file's name
VARIABLE: Final = "CLUSTER_SECRET"
_SECRET_BYTES: Final = 32
_BACKLOG: Final = 128
_GOODBYE_S: Final = 1.0


class FrontNginx(Protocol):
    """The nginx in front, as far as the API goes."""

    async def facts(self) -> NginxFacts:
        """Return what is known about it."""
        ...

    async def reload(self) -> None:
        """Let it read its configuration, or raise `Refused` with its words."""
        ...


@attrs.frozen(kw_only=True)
class Around:
    """What the service gets from outside; ``now`` is the wall clock."""

    reactor: Any
    environ: Mapping[str, str]
    data_dir: Path
    now: Callable[[], float]
    random: RandomBytes
    nginx: FrontNginx
    bind: Bind = bind_tcp


def cluster_secret(around: Around) -> bytes:
    """Return ``CLUSTER_SECRET``, else the one in the data directory, made if needed.

    Raises:
        PrivateFileUnusable: that cannot be used.
    """
    given = around.environ.get(VARIABLE, "").strip().encode()
    if given:
        return given
    path, random = around.data_dir / SECRET_FILE, around.random
    secret = kept(path, lambda: random(_SECRET_BYTES).hex().encode(), random).strip()
    if len(secret) < _SECRET_BYTES:
        reason = "is damaged; remove it to get a new one"
        raise PrivateFileUnusable(path=str(path), reason=reason)
    return secret


class WebUi(Service):
    """Serves API, metrics and page, once it is bound."""

    def __init__(
        self,
        settings: Settings,
        around: Around,
        port: ManagerPort,
        feed: Feed,
        record: Record,
    ) -> None:
        self._settings = settings
        self._around = around
        self._port = port
        self._feed = feed
        self._record = record
        self._background = Background()
        self._listener: socket.socket | None = None
        self._listening: IListeningPort | None = None
        self._gate: Gate | None = None
        self._factory: Bounded | None = None

    @property
    def url(self) -> str:
        """Return the page's address; empty where nothing is bound."""
        return "" if self._listener is None else url_of(self._listener, "http")

    def new_link(self) -> str:
        """Return an address that lets one browser in, once, within 15 minutes."""
        if self._gate is None:
            return ""
        return f"{self.url}/#login={self._gate.visitors.new_link()}"

    def bind(self) -> None:
        """Take the secret and the port.

        Raises:
            CannotBind: the port is not to be had.
            PrivateFileUnusable: the secret cannot be used.
        """
        manager = self._settings.manager
        reactor = self._around.reactor
        secret = cluster_secret(self._around)
        self._listener = self._around.bind(
            manager.web_ui_host,
            manager.web_ui_port,
            backlog=_BACKLOG,
            what="the manager's web UI (manager.web_ui_port)",
        )
        self._gate = gate = Gate(
            secret, manager.web_ui_host, reactor.seconds, self._around.random
        )
        gate.cookie = f"tbtwist_manager_{port_of(self._listener)}"
        api = Api(
            self._port,
            self._feed,
            lambda: Deferred.fromCoroutine(self._around.nginx.reload()),
            manager.stop_timeout_s,
        )
        door = Door(gate, api, load_pages(), self._record)
        self._factory = make_factory(door, self._feed, self._background, reactor)

    @override
    def startService(self) -> None:
        """Answer from now on, if bound."""
        super().startService()
        if self._listener is None or self._factory is None:
            return
        self._feed.start()
        self._background.spawn("looking for nginx", self._look_for_nginx())
        self._listening = serve(
            self._around.reactor,
            self._listener,
            cast("ServerFactory[Any]", self._factory),
            backlog=_BACKLOG,
        )

    async def _look_for_nginx(self) -> None:
        self._feed.nginx = await self._around.nginx.facts()

    @override
    def stopService(self) -> Deferred[None]:
        """End the feeds, stop listening, and close what is left a second later."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._feed.stop()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
            self._listening = None
        if self._factory is not None:
            factory = self._factory
            factory.close()
            await wait_until(
                self._around.reactor, lambda: not factory.protocols, _GOODBYE_S
            )
            factory.abort()
        self._background.cancel_all()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
