"""Autobahn's server protocol without what nobody needs of it.

Stock, a connection has ninety attributes of its own, two futures, a deque and a
validator, and formats debug lines for every read and write. Here what is the same
for all is an attribute of the class, and what is rarely needed is made then.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.protocol import connectionDone
from typing_extensions import override

_MAX_REASON_BYTES: Final = 123


class _Nobody:
    """A future that nobody waits for."""

    def callback(self, result: object) -> None:
        """Tell nobody."""


class LeanProtocol(WebSocketServerProtocol):
    """What all connections begin with is in the class; the options too.

    Make a subclass with an attribute for each of Autobahn's options
    (``CONFIG_ATTRS``) before connections are built.
    """

    factory: Any
    transport: Any  # ITCPTransport and IPushProducer in one, as TCP's is
    peer: Any = None
    data: bytes = b""
    websocket_version = 13

    state = WebSocketServerProtocol.STATE_CONNECTING
    send_state = WebSocketServerProtocol.SEND_STATE_GROUND
    current_frame: Any = None
    inside_message = False
    is_open = is_closed = _Nobody()
    utf8validator: Any = cached_property(lambda _: Utf8Validator())
    trackedTimings: Any = None
    trafficStats: Any = TrafficStats()
    send_queue: Any = deque()  # only for writes that are to be delayed
    triggered = False
    wasMaxFramePayloadSizeExceeded = False
    wasMaxMessagePayloadSizeExceeded = False
    closedByMe = failedByMe = droppedByMe = wasClean = False
    wasNotCleanReason: Any = None
    wasServerConnectionDropTimeout = False
    wasOpenHandshakeTimeout = False
    wasCloseHandshakeTimeout = False
    wasServingFlashSocketPolicyFile = False
    localCloseCode: Any = None
    localCloseReason: Any = None
    remoteCloseCode: Any = None
    remoteCloseReason: Any = None
    openHandshakeTimeoutCall: Any = None
    closeHandshakeTimeoutCall: Any = None
    autoPingTimeoutCall: Any = None
    autoPingPending: Any = None
    autoPingPendingCall: Any = None
    autoPingPendingSeq = 0
    autoPingPendingSent: Any = None
    _perMessageCompress: Any = None
    _gathered: bytearray

    def __init__(self) -> None:
        """Do nothing: there is nothing of its own."""

    @override
    def connectionMade(self) -> None:
        self.factory.countConnections += 1
        self.transport.setTcpNoDelay(True)

    @override
    def connectionLost(self, reason: Any = connectionDone) -> None:
        if self.closeHandshakeTimeoutCall is not None:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
        self._connectionLost(reason)

    @override
    def _connectionMade(self) -> None:
        """Do nothing: the class has what Autobahn would set here."""

    @override
    def _onOpen(self) -> None:
        self.onOpen()

    @override
    def onMessageBegin(self, isBinary: bool) -> None:
        """Gather the pieces in one place: a list of them has no bound."""
        super().onMessageBegin(isBinary)
        self._gathered = bytearray()

    @override
    def onMessageFrameData(self, payload: bytes) -> None:
        if not self.failedByMe:
            self._gathered += payload

    @override
    def onMessageFrameEnd(self) -> None:
        """Need nothing: the data has been gathered."""

    @override
    def onMessageEnd(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()
        if not self.failedByMe:
            self.onMessage(bytes(gathered), self.message_is_binary)

    @override
    def _fail_connection(self, code: int = 1002, reason: str = "") -> None:
        """Close for what the client did wrong, without a warning for each."""
        if self.state == self.STATE_CLOSED:
            return
        self.failedByMe = True
        if self.state == self.STATE_CLOSING:
            self.dropConnection(abort=False)
        else:
            self.sendCloseFrame(code, reason.encode()[:_MAX_REASON_BYTES])

    @override
    def dropConnection(self, abort: bool = False) -> None:
        """Close the transport, without a warning for every client that misbehaves.

        Where both have said goodbye, it is closed in order too.
        """
        self.unregisterProducer()
        if self.state != self.STATE_CLOSED:
            self.droppedByMe = True
            self.state = self.STATE_CLOSED
            self._closeConnection(abort and not self.wasClean)
