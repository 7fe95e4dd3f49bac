"""The manager's site on Twisted Web: reads requests, sends answers and the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from typing_extensions import override
from zope.interface import implementer

from tbtwist.api import failures
from tbtwist.api.response import Response, reason_phrase
from tbtwist.services import Background
from tbtwist.webui.asked import Asked
from tbtwist.webui.door import Door, LiveFeed
from tbtwist.webui.feed import MOST_LISTENERS, Feed, event
from tbtwist.webui.pages import SECURITY

MAX_BODY_BYTES: Final = 64 * 1024
_MAX_CONNECTIONS: Final = 128
_IDLE_TIMEOUT_S: Final = 60.0
_MOST_UNSENT: Final = 256


class ManagerRequest(Request):
    """A request whose body is bounded."""

    channel: Any
    _received = 0
    _refused = False

    @override
    def gotLength(self, length: int | None) -> None:
        """Refuse at once a body that says that it is too long."""
        super().gotLength(min(length or 0, MAX_BODY_BYTES))
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse()

    @override
    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece, unless it is too much by now."""
        self._received += len(data)
        if self._received <= MAX_BODY_BYTES:
            super().handleContentChunk(data)
        else:
            self._refuse()

    def _refuse(self) -> None:
        if not self._refused:
            self._refused = True
            self.channel.transport.write(
                b"HTTP/1.1 413 Content Too Large\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.channel.loseConnection()

    @override
    def process(self) -> None:
        """Answer what came whole; the other has its answer."""
        if not self._refused:
            super().process()


@implementer(IPushProducer)
class Reader:
    """A browser that reads the feed (`tbtwist.webui.feed.Listener`)."""

    def __init__(
        self,
        request: Any,
        left: Callable[[Reader], None],
        still_in: Callable[[], bool],
    ) -> None:
        self._request = request
        self._still_in = still_in
        self._paused = False
        self._unsent = 0
        self._lost = 0
        self._open = True
        _ = request.notifyFinish().addBoth(lambda _: self._gone(left))
        request.registerProducer(self, True)  # noqa: FBT003 - Twisted's

    def _gone(self, left: Callable[[Reader], None]) -> None:
        self._open = False
        left(self)

    def send(self, made: bytes, *, droppable: bool) -> None:
        """Write, or leave out what a slow reader can do without.

        One who reads nothing at all is cut off, and starts anew when it comes back.
        """
        if self._open and not self._still_in():
            self.close()
        if self._open and self._fits(droppable=droppable):
            self._request.write(made)

    def _fits(self, *, droppable: bool) -> bool:
        if not self._paused:
            return True
        if droppable:
            self._lost += 1
            return False
        self._unsent += 1
        if self._unsent > _MOST_UNSENT:
            self._open = False
            self._request.channel.forceAbortClient()
        return self._open

    def close(self) -> None:
        """End the answer."""
        if self._open:
            self._open = False
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """The reader does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The reader has caught up; tell what it has missed."""
        self._paused, self._unsent = False, 0
        lost, self._lost = self._lost, 0
        if lost:
            self.send(event("lost", lost), droppable=False)

    def stopProducing(self) -> None:
        """The reader is gone."""
        self._open = False


class Front(Resource):
    """Hands every request to the `Door`."""

    isLeaf = 1

    def __init__(self, door: Door, feed: Feed, background: Background) -> None:
        super().__init__()
        self._door = door
        self._feed = feed
        self._background = background

    @override
    def render(self, request: Any) -> int:
        """Answer when the answer is known."""
        for name, value in (*SECURITY, ("Server", "tbtwist")):
            request.setHeader(name.encode(), value.encode())
        left: list[object] = []
        _ = request.notifyFinish().addErrback(left.append)
        self._background.spawn("a request", self._answer(request, left))
        return NOT_DONE_YET

    async def _answer(self, request: Any, left: list[object]) -> None:
        answer = await self._door.answer(read(request))
        if left:
            return
        if isinstance(answer, LiveFeed):
            self._begin_feed(request, answer.still_in)
        else:
            _send(request, answer)

    def _begin_feed(self, request: Any, still_in: Callable[[], bool]) -> None:
        request.setHeader(b"content-type", b"text/event-stream; charset=utf-8")
        request.setHeader(b"x-accel-buffering", b"no")
        reader = Reader(request, self._feed.leave, still_in)
        request.write(b"retry: 1000\n\n")
        if not self._feed.join(reader):
            message = f"There are {MOST_LISTENERS} readers already"
            reader.send(event("full", message), droppable=False)
            reader.close()


def read(request: Any) -> Asked:
    """Return a request of Twisted's as a value; a header given twice is joined."""
    headers = {
        name.decode("latin-1").lower(): ", ".join(v.decode("latin-1") for v in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    path = unquote(request.path.decode("latin-1"))
    return Asked(
        method=request.method.decode("latin-1"),
        path=path,
        headers=headers,
        body=request.content.read() if request.content is not None else b"",
        address=getattr(request.client, "host", ""),
    )


def _send(request: Any, answer: Response) -> None:
    body = answer.body
    if not isinstance(body, bytes):
        answer = failures.internal_error()
        body = b""
    request.setResponseCode(answer.status, reason_phrase(answer.status).encode())
    for name, value in answer.headers:
        if name == "Set-Cookie":
            request.responseHeaders.addRawHeader(name, value)
        else:
            request.setHeader(name.encode(), value.encode("latin-1", "replace"))
    request.setHeader(b"content-length", str(len(body)).encode())
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


class ManagerSite(Site):
    """The site; it has no access log: the audit log keeps what matters."""

    noisy = False

    @override
    def log(self, request: Any) -> None:
        """Keep no access log."""

    @override
    def startFactory(self) -> None:
        """Start without Twisted's own access log and its clock."""

    @override
    def stopFactory(self) -> None:
        """Nothing was started."""


class Bounded(WrappingFactory):
    """At most 128 connections; one more is closed at once."""

    noisy = False

    @override
    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return what reads one connection, or None."""
        if len(self.protocols) >= _MAX_CONNECTIONS:
            return None
        return super().buildProtocol(addr)

    def close(self) -> None:
        """Close all connections when what was written has been sent."""
        for protocol in tuple(self.protocols):
            protocol.transport.loseConnection()

    def abort(self) -> None:
        """Close all connections at once."""
        for protocol in tuple(self.protocols):
            protocol.transport.abortConnection()


def make_factory(
    door: Door, feed: Feed, background: Background, reactor: Any
) -> Bounded:
    """Return what serves the manager's site; ``background`` owns its requests."""
    front = Front(door, feed, background)
    site = ManagerSite(
        front,
        requestFactory=ManagerRequest,
        parsePOSTFormSubmission=False,
        timeout=_IDLE_TIMEOUT_S,
        reactor=reactor,
    )
    return Bounded(site)
