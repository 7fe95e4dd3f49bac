"""Requests for the resource tree: real ones of Twisted Web, on our channel.

`TreeRequest` is what resources see, `_Carrier` what that request takes for its
channel. Twisted Web reads no byte from the client and writes none to it: the
head is ours, and so is the count of what follows it. A body that is shorter than
its own Content-Length ends the connection, a longer one is cut.
"""

from __future__ import annotations

import io
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request
from typing_extensions import override

from tbtwist.api.response import header_value
from tbtwist.http.exchange import Exchange
from tbtwist.http.pages import FAILED
from tbtwist.http.pulling import Pull
from tbtwist.tracing import within

_log = Logger()
_IN_MEMORY: Final = 64 * 1024
_OURS: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"server",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_UNKNOWN: Final = -1


class TreeRequest(Request):
    """A request as resources see it. Its body is never parsed here (T1, T2)."""

    def __init__(self, carrier: _Carrier) -> None:
        super().__init__(carrier, parsePOSTFormSubmission=False)
        exchange = carrier.exchange
        self._trace = exchange.trace
        self.requestHeaders = _headers(exchange)
        self.content: Any = _storage(exchange.head.length)
        self.parseCookies()

    @property
    def gone(self) -> bool:
        """Whether the client has left or the answer is complete."""
        return bool(self._disconnected or self.finished)

    @override
    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500 without a word about us, and log what happened."""
        trace = self._trace
        within(trace, self._log.failure, "a request failed", reason)
        if self.startedWriting:
            self.loseConnection()
            return reason
        body = FAILED.render(self)
        self.setHeader(b"content-length", str(len(body)))
        self.write(body)
        self.finish()
        return reason


def _storage(length: int) -> Any:
    """Return where a body of ``length`` waits: on disk beyond 64 KiB."""
    return tempfile.SpooledTemporaryFile(_IN_MEMORY) if length else io.BytesIO()


def _headers(exchange: Exchange) -> Headers:
    """Return the request's headers; a body that came in chunks has a length now."""
    headers = Headers()
    for name, value in exchange.headers.items():
        if name != "transfer-encoding":
            headers.addRawHeader(name.encode("ascii"), value.encode("latin-1"))
    return headers


class TreeLane:
    """Renders one request in the resource tree."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._carrier = _Carrier(exchange)
        self._request = self._carrier.request = TreeRequest(self._carrier)

    def feed(self, data: bytes) -> None:
        """Keep a piece of the body, on disk beyond 64 KiB."""
        self._request.content.write(data)

    def complete(self) -> None:
        """Say how long a body was that came in chunks."""
        if self._exchange.headers.get("transfer-encoding"):
            length = str(self._request.content.tell()).encode()
            self._request.requestHeaders.setRawHeaders(b"content-length", [length])

    def start(self) -> None:
        """Let a resource render the request."""
        head = self._exchange.head
        try:
            self._request.requestReceived(
                head.method.encode("ascii"), head.target, head.version
            )
        except Exception:  # noqa: BLE001 - Twisted's own failures are failed requests
            if not self._request.gone:
                self._request.processingFailed(Failure())

    def cancel(self) -> None:
        """Tell the resource that the client has left."""
        self._carrier.close()
        if not self._request.gone:
            self._request.connectionLost(Failure(ConnectionDone()))


class _Carrier:
    """What a `TreeRequest` takes for its channel and its transport."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.site = exchange.house.site
        self.transport = self
        self.factory = None
        self.request: TreeRequest | None = None
        self._pull: Pull | None = None
        self._out = exchange.line.out
        self._left = _UNKNOWN
        self._head = b""
        self._calls: deque[Callable[[], object]] = deque()
        self._closed = False

    # --- what a request asks of its channel ----------------------------------

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self.exchange.line.transport.getPeer()

    def getHost(self) -> Any:
        """Return our address."""
        host = self.exchange.line.transport.getHost()
        return host if hasattr(host, "port") else IPv4Address("TCP", "localhost", 0)

    def isSecure(self) -> bool:  # noqa: N802 - as above
        """Whether the client speaks TLS to us; a proxy may, in front."""
        return False

    def writeHeaders(  # noqa: N802 - Twisted's name
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        """Keep the head, so that it goes out together with the first piece."""
        del version
        exchange = self.exchange
        if not headers.hasHeader(b"x-request-id"):
            headers.setRawHeaders(b"x-request-id", [exchange.request_id.encode()])
        length = _length(headers)
        words = header_value(reason.decode("latin-1"))
        self._head = exchange.begin(
            int(code),
            tuple(_passed_on(headers)),
            length,
            f"HTTP/1.1 {int(code)} {words}\r\n",
        )
        if self.request is not None:  # also where a resource's length is nonsense
            self.request.chunked = int(exchange.chunked)
        self._left = _UNKNOWN if length is None or exchange.silent else length

    def write(self, data: bytes) -> None:
        """Send a piece of the answer, but no more than was announced."""
        if self._closed:
            return
        if self._left != _UNKNOWN:
            data = data[: self._left]
            self._left -= len(data)
        self.exchange.sent_bytes += len(data)
        head, self._head = self._head, b""
        if head or data:
            self._out.write(head + data)

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Request) -> None:  # noqa: N802 - Twisted's name
        """End the answer; one that is too short must not look complete."""
        del request
        if self._head:
            self.write(b"")
        self.close()
        if self._left > 0:
            _log.warn(
                "{path}: {left} bytes of the announced body are missing",
                path=self.exchange.head.path,
                left=self._left,
            )
            self.exchange.line.abort()
        else:
            self.exchange.finish()

    def loseConnection(self) -> None:
        """Cut an answer that cannot be completed."""
        self.exchange.line.abort()

    abortConnection = loseConnection

    # --- backpressure --------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001
        """Pause ``producer`` when the client does not take what it produces."""
        if streaming:
            self._out.register(producer)
            return
        self._pull = pull = Pull(producer, self.exchange.house.clock)
        self._out.register(pull)
        pull.resumeProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._out.unregister()
        if self._pull is not None:
            self._pull.end()

    def call_when_room(self, call: Callable[[], object]) -> None:
        """Call ``call`` after those before it, when the client takes more."""
        self._calls.append(call)
        self._make_calls()

    def _make_calls(self) -> None:
        while self._calls and (self._closed or not self._out.full):
            self._calls.popleft()()
        if self._calls:
            self._out.on_room(self._make_calls)

    def close(self) -> None:
        """Send no more, and hold nobody up any more."""
        self._closed = True
        self.unregisterProducer()
        self._make_calls()


def _length(headers: Headers) -> int | None:
    found = headers.getRawHeaders(b"content-length") or [b""]
    return int(found[0]) if len(found) == 1 and found[0].isdigit() else None


def _passed_on(headers: Headers) -> Iterable[tuple[str, str]]:
    """Yield what a resource may say; framing and connection are not its business."""
    for name, values in headers.getAllRawHeaders():
        if name.lower() not in _OURS:
            for value in values:
                yield name.decode("latin-1"), header_value(value.decode("latin-1"))
