"""The only door to Autobahn: its server protocol around our `Connection`.

Autobahn is unsafe by default (no size limits, any origin, no pings), so every
option is set here. Its timers count in whole seconds and fire up to one second
early, so the ones that end connections get a second more. They run on
``txaio.config.loop``, one for the whole process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import txaio.tx
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)
from autobahn.websocket.protocol import PreparedMessage
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.config.schema import WsWorker
from tbtwist.ws.authentication import subprotocol
from tbtwist.ws.connection import (
    INTERNAL_ERROR,
    NO_STATUS,
    OVERLOADED,
    Connection,
    Message,
)
from tbtwist.ws.gateway import Gateway
from tbtwist.ws.handshake import Answer, Head, read_head, refusal
from tbtwist.ws.outflow import Outflow

_log = Logger()

_OPEN_HANDSHAKE_S: Final = 11
_CLOSE_HANDSHAKE_S: Final = 3
_TIMER_SLACK_S: Final = 1
_SHORTEST_PING_S: Final = 1
_MAX_REASON_BYTES: Final = 123


class WebSocketChannel(WebSocketServerProtocol):
    """One client: Autobahn's protocol, which serves a `Connection` as its socket."""

    factory: GatewayFactory
    transport: Any  # ITCPTransport and IPushProducer in one, as TCP's is
    autoPingTimeout: float  # noqa: N815 - set by Autobahn from the options
    closeHandshakeTimeoutCall: Any  # noqa: N815 - Autobahn's timer, or None
    _head: Head
    _connection: Connection | None = None
    _opening: Deferred[Connection | None] | None = None
    _holds = 0
    _outflow: Outflow

    # --- called by Twisted and Autobahn ----------------------------------------

    @override
    def connectionMade(self) -> None:
        super().connectionMade()
        self._outflow = Outflow(self.factory.max_waiting_bytes)
        self.registerProducer(self._outflow, True)  # noqa: FBT003 - Twisted's API

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.closeHandshakeTimeoutCall is not None:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
        super().connectionLost(reason)
        if self._opening is not None:
            self._opening.cancel()
        self._connection = None

    @override
    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    @override
    def processHandshake(self) -> None:
        head = read_head(self.data)
        if head is None:
            return
        answer = head if isinstance(head, Answer) else self.factory.gateway.answer(head)
        if answer is not None:
            self._answer(answer)
        elif isinstance(head, Head):
            self._head = head
            super().processHandshake()

    @override
    def failHandshake(
        self,
        reason: str,
        code: int = 400,
        responseHeaders: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        _log.debug("a handshake was refused with {code}", code=code)
        self._answer(refusal(code, reason, tuple(responseHeaders or ())))

    @override
    def onConnect(self, request: ConnectionRequest) -> str | None:
        return subprotocol(request.protocols)

    @override
    def onOpen(self) -> None:
        opening = Deferred.fromCoroutine(self.factory.gateway.accept(self, self._head))
        self._forget_handshake()
        if not opening.called:
            self.pause()
            self._opening = opening
        _ = opening.addCallbacks(self._opened, self._not_opened)

    @override
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._connection is not None:
            self._connection.received(payload, binary=isBinary)

    @override
    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self._connection is not None:
            self._connection.closed(code or NO_STATUS, reason or "")

    @override
    def onAutoPingTimeout(self) -> None:
        if not self._held:
            super().onAutoPingTimeout()
            return
        self.autoPingTimeoutCall = self.factory.call_later(
            self.autoPingTimeout, self.onAutoPingTimeout
        )

    @override
    def processData(self) -> bool:
        return not self._held and bool(super().processData())

    @override
    def sendData(
        self, data: bytes, sync: bool = False, chopsize: int | None = None
    ) -> None:
        self._outflow.will_write(len(data))
        self.transport.write(data)
        if self._outflow.over_limit and self._connection is not None:
            self._connection.close(OVERLOADED, "too slow")

    # --- what a `Connection` needs -----------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message, unless the closing handshake has begun."""
        if self.state == self.STATE_OPEN:
            self.sendPreparedMessage(self.factory.prepared(message))

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        self.sendCloseFrame(code=code, reasonUtf8=text.encode(), isReply=False)

    def abort(self) -> None:
        """Drop the connection at once."""
        self.wasNotCleanReason = "it did not close in time"
        self.dropConnection(abort=True)

    def pause(self) -> None:
        """Read nothing more, and hold back what has been read.

        Every pause needs a `resume` of its own.
        """
        self._holds += 1
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again, first what was held back."""
        self._holds -= 1
        if not self._held:
            self.transport.resumeProducing()
            self.consumeData()

    # --- ours ----------------------------------------------------------------------

    @property
    def _held(self) -> bool:
        return self._holds > 0

    def _opened(self, connection: Connection | None) -> None:
        self._connection = connection
        self._waited()

    def _not_opened(self, why: Failure) -> None:
        """Close: Autobahn would leave the client hanging."""
        if not why.check(CancelledError):
            _log.failure("a connection could not be opened", failure=why)
            self.close(INTERNAL_ERROR, "internal error")
        self._waited()

    def _waited(self) -> None:
        """Read on if reading was paused until somebody said who this is."""
        if self._opening is not None and self.state != self.STATE_CLOSED:
            self._opening = None
            self.resume()

    def _answer(self, answer: Answer) -> None:
        self.transport.write(answer.to_bytes())
        self.wasClean = True
        self.dropConnection(abort=False)

    def _forget_handshake(self) -> None:
        del self._head
        self.http_headers = {}
        self.http_request_data = b""
        self.http_request_uri = ""
        self.http_request_params = {}
        self.http_status_line = ""


class GatewayFactory(WebSocketServerFactory):
    """Builds a channel for every client of a `Gateway`."""

    protocol: Any = WebSocketChannel
    noisy = False

    def __init__(
        self, gateway: Gateway, settings: WsWorker, reactor: IReactorTime
    ) -> None:
        super().__init__(server="", reactor=reactor)
        self.gateway = gateway
        self.max_waiting_bytes = 2 * settings.max_message_size
        self._max_message_size = settings.max_message_size
        self._last: tuple[Message, PreparedMessage] | None = None
        self.setProtocolOptions(**_options(settings))

    def call_later(self, delay: float, what: Any) -> Any:
        """Call ``what`` after about ``delay`` seconds, on Autobahn's timer."""
        return self._batched_timer.call_later(delay, what)

    def prepared(self, message: Message) -> PreparedMessage:
        """Return the frame of a message; that of a broadcast is built once."""
        if self._last is None or self._last[0] is not message:
            too_big = len(message.data) > self._max_message_size
            frame = self.prepareMessage(message.data, message.binary, too_big)
            self._last = (message, frame)
        return self._last[1]


def make_factory(
    gateway: Gateway, settings: WsWorker, reactor: IReactorTime
) -> GatewayFactory:
    """Return the factory that serves ``gateway``'s WebSockets.

    Sets ``txaio.config.loop``, where Autobahn's timers run, to ``reactor``.
    """
    txaio.tx.config.loop = reactor  # type: ignore[assignment]
    return GatewayFactory(gateway, settings, reactor)


def _options(settings: WsWorker) -> dict[str, Any]:
    return {
        "versions": [13],
        "webStatus": False,
        "failByDrop": False,
        "requireMaskedClientFrames": True,
        "utf8validateIncoming": True,
        "maxFramePayloadSize": settings.max_message_size,
        "maxMessagePayloadSize": settings.max_message_size,
        "maxConnections": 2 * settings.max_connections,
        "openHandshakeTimeout": _OPEN_HANDSHAKE_S,
        "closeHandshakeTimeout": _CLOSE_HANDSHAKE_S,
        "autoPingInterval": max(settings.ping_interval, _SHORTEST_PING_S),
        "autoPingTimeout": settings.ping_timeout + _TIMER_SLACK_S,
        "tcpNoDelay": True,
        "perMessageCompressionAccept": _deflate if settings.compression else _plain,
        # `OriginRules` has decided before Autobahn sees the handshake.
        "allowedOrigins": ["*"],
        "allowNullOrigin": True,
    }


def _plain(_offers: object) -> None:
    return None


def _deflate(offers: Sequence[object]) -> PerMessageDeflateOfferAccept | None:
    """Accept compression without memory between messages, if it is offered."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            takeover = bool(offer.accept_no_context_takeover)
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=takeover,
                no_context_takeover=True,
                window_bits=None,
                mem_level=4,
            )
    return None
