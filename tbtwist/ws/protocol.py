"""The only door to Autobahn: its server protocol around a `Listener`.

Its timers count in whole seconds and fire up to one second early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist.ws.authentication import subprotocol
from tbtwist.ws.connection import INTERNAL_ERROR, NO_STATUS, OVERLOADED, Message
from tbtwist.ws.core import Core, Listener
from tbtwist.ws.counts import Counts
from tbtwist.ws.deflate import Deflation, readable
from tbtwist.ws.handshake import Answer, Head, read_head, refusal
from tbtwist.ws.handshakes import Handshakes
from tbtwist.ws.opening import subprotocols
from tbtwist.ws.outflow import Frame, Outflow
from tbtwist.ws.reading import ReadingProtocol
from tbtwist.ws.slowness import Backlog, Policy

_log = Logger()

_MAX_REASON_BYTES: Final = 123
_END_OF_HEAD: Final = b"\r\n\r\n"
_LATER: Final = (("Retry-After", "1"),)


class Frames(Protocol):
    """Makes frames of messages; that of a broadcast is made once."""

    def frame(self, message: Message, compression: Deflation | None) -> Frame:
        """Return the frame of a message."""


class Factory(Protocol):
    """What channels have in common."""

    core: Core
    counts: Counts
    frames: Frames
    handshakes: Handshakes
    backlog: Backlog
    crowded: bool

    def call_later(self, delay: float, what: Any) -> Any:
        """Call ``what`` after about ``delay`` seconds, on Autobahn's timer."""

    def dropped(self, policy: Policy, messages: int = 1) -> None:
        """Count what a slow client did not get."""


class WebSocketChannel(ReadingProtocol):
    """One client: Autobahn's protocol, which serves a `Listener` as its socket."""

    factory: Factory
    autoPingTimeout: float  # noqa: N815 - set from the options
    _head: Head
    _listener: Listener | None = None
    _opening: Deferred[Listener | None] | None = None
    _outflow: Outflow

    # --- called by Twisted and Autobahn ----------------------------------------

    @override
    def connectionMade(self) -> None:
        super().connectionMade()
        factory = self.factory
        self._outflow = Outflow(self.transport, factory.backlog, factory.dropped)
        self.registerProducer(self._outflow, True)  # noqa: FBT003 - Twisted's API
        factory.handshakes.begin(self)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.handshakes.end(self)
        self._outflow.forget()
        super().connectionLost(reason)
        if self._opening is not None:
            self._opening.cancel()
        self._listener = None

    @override
    def processHandshake(self) -> None:
        head = read_head(self.data)
        if head is None:
            return
        answer = head if isinstance(head, Answer) else self._refuse(head)
        if answer is not None:
            self._answer(answer)
        elif isinstance(head, Head):
            self._shake_hands(head)

    def _refuse(self, head: Head) -> Answer | None:
        answer = self.factory.core.answer(head, self.transport.getPeer().host)
        if answer is None and self.factory.crowded:
            return refusal(503, "There are too many connections.", _LATER)
        return answer

    def _shake_hands(self, head: Head) -> None:
        """Let Autobahn agree with the client; it opens the connection."""
        self._head = head
        self.data = self.data[self.data.index(_END_OF_HEAD) + len(_END_OF_HEAD) :]
        self._wskey = head.headers["sec-websocket-key"]
        offered = self.websocket_protocols = subprotocols(head)
        extensions = head.headers.get("sec-websocket-extensions", "")
        self.websocket_extensions = readable(self._parseExtensionsHeader(extensions))
        self.succeedHandshake(subprotocol(offered))

    @override
    def failHandshake(
        self,
        reason: str,
        code: int = 400,
        responseHeaders: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        self._answer(refusal(code, reason, tuple(responseHeaders or ())))

    @override
    def onOpen(self) -> None:
        self.factory.handshakes.end(self)
        if self._perMessageCompress is not None:
            bits = self._perMessageCompress.server_max_window_bits
            self._perMessageCompress = Deflation(bits)
        opening = Deferred.fromCoroutine(self.factory.core.accept(self, self._head))
        self._forget_handshake()
        if not opening.called:
            self.pause()
            self._opening = opening
        _ = opening.addCallbacks(self._opened, self._not_opened)

    @override
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._listener is not None:
            self._listener.received(payload, binary=isBinary)

    @override
    def _fail_connection(self, code: int = INTERNAL_ERROR, reason: str = "") -> None:
        """Close for what the client did wrong; its listener is told first."""
        if self._listener is not None:
            self._listener.failed(code, reason)
        super()._fail_connection(code, reason)

    @override
    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self._listener is not None:
            self._listener.closed(code or NO_STATUS, reason or "")

    @override
    def onAutoPingTimeout(self) -> None:
        if not self.held:
            super().onAutoPingTimeout()
            return
        self.autoPingTimeoutCall = self.factory.call_later(
            self.autoPingTimeout, self.onAutoPingTimeout
        )

    @override
    def sendData(
        self, data: bytes, sync: bool = False, chopsize: int | None = None
    ) -> None:
        self._write(Frame(data))

    @override
    def dropConnection(self, abort: bool = False) -> None:
        if not abort and self.state != self.STATE_CLOSED:
            self._outflow.hurry()
        super().dropConnection(abort)

    # --- what a `Listener` needs -------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message, unless the closing handshake has begun."""
        if self.state != self.STATE_OPEN:
            return
        frame = self.factory.frames.frame(message, self._perMessageCompress)
        if self._outflow.paused:
            self._write(frame)
        else:
            self.transport.write(frame.data)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        self.sendCloseFrame(code=code, reasonUtf8=text.encode(), isReply=False)

    def abort(self) -> None:
        """Drop the connection at once."""
        self.wasNotCleanReason = "it was dropped"
        self.dropConnection(abort=True)

    # --- ours ----------------------------------------------------------------------

    def _write(self, frame: Frame) -> None:
        if not self._outflow.write(frame) and self._listener is not None:
            self.factory.dropped(Policy.CLOSE, self._outflow.forget())
            self._listener.close(OVERLOADED, "too slow")

    def _opened(self, listener: Listener | None) -> None:
        self._listener = listener
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
        del self._head, self._wskey, self.http_response_data
        del self.websocket_extensions, self.websocket_protocols
        del self.websocket_extensions_in_use, self.websocket_protocol_in_use
