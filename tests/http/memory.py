"""Our server in memory: one thread, a clock, and a string for a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from tbtwist.api.health import Health
from tbtwist.apps.registry import App
from tbtwist.apps.runner import Runner
from tbtwist.config.schema import HttpWorker, Settings
from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import reactor_bridge
from tbtwist.http.site import TbtwistSite, make_site
from tests.api.core import OPEN, make_dispatcher
from tests.api.sample import sample_app


def limited(**config: Any) -> Settings:
    """Return settings with another http worker."""
    return Settings(toolbox=OPEN.toolbox, http_worker=HttpWorker(**config))


class InlineReactor(Clock):
    """A clock that runs calls from threads at once, and can stop."""

    def __init__(self) -> None:
        super().__init__()
        directlyProvides(self, IReactorCore, IReactorFromThreads)
        self.triggers: list[Callable[[], object]] = []

    def addSystemEventTrigger(  # noqa: N802 - Twisted's name
        self, phase: str, event: str, call: Callable[[], object]
    ) -> None:
        """Remember what is to be done after the shutdown."""
        assert (phase, event) == ("after", "shutdown")
        self.triggers.append(call)

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        """Call at once: there is but one thread."""
        call(*args)

    def shut_down(self) -> None:
        """Do what is to be done after the shutdown."""
        for trigger in self.triggers:
            trigger()


class InlinePool:
    """A pool that works in the thread of its caller."""

    def callInThread(  # noqa: N802 - Twisted's name
        self, call: Callable[..., object], *args: Any
    ) -> None:
        """Call at once."""
        call(*args)

    def callInThreadWithCallback(  # noqa: N802 - Twisted's name
        self, told: Callable[..., object], call: Callable[..., object], *args: Any
    ) -> None:
        """Call at once, and tell what came of it."""
        try:
            told(True, call(*args))
        except Exception:  # noqa: BLE001 - as a thread would
            told(False, Failure())


class InlineRunner:
    """Runs coroutines that wait for nothing."""

    def run(self, work: Callable[[], Any], *, timeout_s: float) -> Deferred[Any]:
        """Run at once."""
        return Deferred.fromCoroutine(work())


class PatientRunner:
    """Runs nothing: each call waits until the test says what it returned."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []

    def run(self, work: Callable[[], Any], *, timeout_s: float) -> Deferred[Any]:
        """Wait."""
        self.waiting.append(Deferred())
        return self.waiting[-1]


@attrs.frozen
class Reply:
    """One HTTP response off the wire."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header, or None; assert that it is there only once."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, (name, found)
        return found[0] if found else None

    @property
    def json(self) -> Any:
        """Return a JSON body."""
        return json.loads(self.body)


def parse_reply(raw: bytes, *, head_only: bool = False) -> tuple[Reply, bytes]:
    """Return the first response in ``raw``, and the rest."""
    head, gap, rest = raw.partition(b"\r\n\r\n")
    assert gap, raw
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, reason = first.split(" ", 2)
    headers = [(name, value) for name, _, value in (li.partition(": ") for li in lines)]
    reply = Reply(int(status), reason, headers, b"")
    if head_only or int(status) in (100, 204, 304):
        return reply, rest
    length = reply.header("Content-Length")
    assert length is not None, raw
    return attrs.evolve(reply, body=rest[: int(length)]), rest[int(length) :]


class Wire(StringTransport):
    """A transport that knows how it was closed, and can be full."""

    half_closed = False
    aborted = False
    slow = False
    """Whether a single write fills the buffer."""

    def write(self, data: bytes) -> None:
        """Take ``data``."""
        super().write(data)
        if self.slow:
            self.fill()

    def fill(self) -> None:
        """Say that the buffer is full."""
        assert self.producer is not None
        self.producer.pauseProducing()

    def make_room(self) -> None:
        """Say that the buffer is empty."""
        assert self.producer is not None
        self.producer.resumeProducing()

    def loseWriteConnection(self) -> None:
        """Remember it."""
        self.half_closed = True

    def abortConnection(self) -> None:
        """Remember it, and close."""
        self.aborted = True
        self.loseConnection()


class Connection:
    """A client's connection to the site."""

    def __init__(self, site: TbtwistSite, peer: str = "192.0.2.1") -> None:
        self.transport = Wire(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 8000),
            peerAddress=IPv4Address("TCP", peer, 4711),
        )
        protocol = site.buildProtocol(self.transport.getPeer())
        assert protocol is not None
        self.channel: Any = protocol
        self.channel.makeConnection(self.transport)

    @property
    def closing(self) -> bool:
        """Whether the server has closed the connection, or its side of it."""
        return bool(self.transport.disconnecting or self.transport.half_closed)

    def leave(self) -> None:
        """Hang up."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self.channel.dataReceived(raw)

    def replies(self, *, head_only: bool = False) -> list[Reply]:
        """Return the responses that have come since the last look."""
        raw = self.transport.value()
        self.transport.clear()
        found = []
        while raw:
            reply, raw = parse_reply(raw, head_only=head_only)
            found.append(reply)
        return found


def request_bytes(
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """Return a request as bytes."""
    fields = {"Host": "localhost", **(headers or {})}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class MemoryServer:
    """A site over `sample_app`, and its clients."""

    def __init__(
        self,
        settings: Settings = OPEN,
        app: App | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.reactor = InlineReactor()
        runner = runner or InlineRunner()
        dispatcher = make_dispatcher(app or sample_app(), settings, runner)
        bridge = reactor_bridge(self.reactor, timeout_s=30)
        self.application = WsgiApplication(dispatcher, bridge)
        self.health: Health = dispatcher.health
        pool: Any = InlinePool()
        self.site = make_site(
            self.reactor, self.application, pool, settings, self.health
        )

    def left_behind(self) -> list[Any]:
        """Stop, and return the calls that are still to come."""
        self.site.stopFactory()
        return list(self.reactor.getDelayedCalls())

    def connect(self, peer: str = "192.0.2.1") -> Connection:
        """Return a new connection."""
        return Connection(self.site, peer)

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Return the answer to one request on a connection of its own."""
        connection = self.connect()
        connection.send(request_bytes(method, target, headers, body))
        (reply,) = connection.replies(head_only=method == "HEAD")
        return reply
