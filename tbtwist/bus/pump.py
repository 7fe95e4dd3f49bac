"""Publications from XSUB to XPUB, moved by libzmq itself.

``zmq_proxy`` runs in a thread of its own without Python's lock: the broker's
reactor sees neither publications nor subscriptions. For a subscriber that is too
slow libzmq drops what exceeds its high-water mark; the subscriber counts the gap.
A publisher that is too fast is held up by the marks on the way, and libzmq drops
at its own socket, which shows as a gap as well.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import zmq
from twisted.logger import Logger

from tbtwist.bus.curve import broker_guard
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.sockets import SocketOptions, make_raw
from tbtwist.errors import CannotBind

_log = Logger()

_STEERING: Final = "inproc://pump"
_FIGURES: Final = ("publication messages", "publication bytes")
_STATISTICS_FRAMES: Final = 8
_PATIENCE_S: Final = 5.0


class Pump:
    """The way of all publications through the broker."""

    def __init__(self, context: Any, hwm: tuple[int, int]) -> None:
        self._context = context
        self._hwm = hwm
        self._sockets: list[Any] = []
        self._steering: Any = None
        self._thread: threading.Thread | None = None
        self._asked = False
        self.figures: Mapping[str, int] = dict.fromkeys(_FIGURES, 0)

    def bind(self, endpoints: Endpoints) -> None:
        """Bind both sides now, or raise `CannotBind`."""
        self._bind(zmq.XPUB, endpoints, endpoints.subscribers)
        self._bind(zmq.XSUB, endpoints, endpoints.publishers)

    def _bind(self, kind: int, endpoints: Endpoints, address: str) -> None:
        options = SocketOptions(
            kind=kind,
            hwm_send=self._hwm[0],
            hwm_recv=self._hwm[1],
            guard=broker_guard(endpoints, address),
        )
        socket = make_raw(self._context, options)
        self._sockets.append(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            reason = str(error.strerror)
            raise CannotBind(what="the bus", address=address, reason=reason) from error

    def start(self) -> None:
        """Hand the sockets over to their thread."""
        self._steering = self._pair()
        self._steering.bind(_STEERING)
        steered = self._pair()
        steered.connect(_STEERING)
        sockets, self._sockets = self._sockets, []
        self._thread = threading.Thread(
            target=_run, args=(sockets, steered), name="pump", daemon=True
        )
        self._thread.start()

    def _pair(self) -> Any:
        return make_raw(
            self._context, SocketOptions(kind=zmq.PAIR, hwm_send=10, hwm_recv=10)
        )

    def tick(self) -> None:
        """Take the answer to the last question for `figures`, and ask again."""
        if self._steering is None:
            return
        try:
            if self._asked:
                self._note(self._steering.recv_multipart(zmq.NOBLOCK))
            self._steering.send(b"STATISTICS", zmq.NOBLOCK)
            self._asked = True
        except zmq.Again:
            return  # it is busy; the next tick will do

    def _note(self, frames: list[bytes]) -> None:
        """Keep what the proxy received from publishers: the first two numbers."""
        if len(frames) == _STATISTICS_FRAMES:
            numbers = [int.from_bytes(frame, "little") for frame in frames[:2]]
            self.figures = dict(zip(_FIGURES, numbers, strict=True))

    def close(self) -> None:
        """End the thread and free everything; calling this twice is fine."""
        if self._thread is not None:
            self._steering.send(b"TERMINATE")
            self._thread.join(_PATIENCE_S)
            self._thread = None
        if self._steering is not None:
            self._steering.close()
            self._steering = None
        while self._sockets:
            self._sockets.pop().close()


def _run(sockets: list[Any], steered: Any) -> None:
    """Pump until told to end. XPUB is the back, so that only XSUB is held up."""
    subscribers, publishers = sockets
    try:
        zmq.proxy_steerable(publishers, subscribers, None, steered)
    except zmq.ZMQError:
        _log.failure("publications are not handed on any more")
    finally:
        for socket in (subscribers, publishers, steered):
            socket.close()
