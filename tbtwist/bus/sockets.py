"""txZMQ, made safe: bounded, on the given reactor, and quiet when it closes.

txZMQ as it is has no high-water mark, reads until nothing is left (so that one
busy socket starves the reactor), enters a log context for every message, stops
reading for good when a message's receiver raises, and schedules on the global
reactor. `BoundedSocket` overrides the two methods that do so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import zmq
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory
from typing_extensions import override
from zmq.backend import Socket as _RawSocket

from tbtwist.bus.turns import soon_on
from tbtwist.errors import CannotBind
from tbtwist.net.loopreactor import LoopReactor

_log = Logger()

PER_WAKE_UP: Final = 256
PER_WAKE_UP_S: Final = 0.01
"""So many messages, and so long, before other sockets and timers have their turn."""

_SEND_ONLY: Final = frozenset({zmq.PUB, zmq.PUSH})

_EVENTS: Final = int(zmq.EVENTS)
_READABLE: Final = int(zmq.POLLIN)
_NOW: Final = int(zmq.NOBLOCK)
_NOW_AND_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)

Incoming = Callable[[list[bytes]], None]


@attrs.frozen(kw_only=True)
class SocketOptions:
    """How a socket is made."""

    kind: int
    hwm_send: int
    hwm_recv: int
    identity: bytes | None = None
    mandatory: bool = False
    guard: Mapping[int, bytes | int] = attrs.Factory(dict)
    """Further options, set before anybody connects: those of CURVE."""


def new_factory(reactor: IReactorTime) -> ZmqFactory:
    """Return a txZMQ factory that uses ``reactor`` and never waits when closing.

    Where ``reactor`` runs on an asyncio loop, sockets are read by the loop itself:
    Twisted's way to a reader leads through a log context.
    """
    factory = ZmqFactory()
    loop = getattr(reactor, "_asyncioEventloop", None)
    factory.reactor = reactor if loop is None else LoopReactor(loop)
    factory.lingerPeriod = 0
    return factory


def make_raw(context: Any, options: SocketOptions) -> Any:
    """Return a socket that no reactor watches, for a thread of libzmq's."""
    socket = context.socket(options.kind)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, options.hwm_send)
    socket.set(zmq.RCVHWM, options.hwm_recv)
    for option, value in options.guard.items():
        socket.set(option, value)
    return socket


class BoundedSocket(ZmqConnection):
    """A ZeroMQ socket whose messages go to ``incoming``, a bounded batch at a time."""

    def __init__(
        self, factory: ZmqFactory, options: SocketOptions, incoming: Incoming
    ) -> None:
        self.socketType = options.kind
        self.highWaterMark = options.hwm_send
        self._reactor = factory.reactor
        self._incoming = incoming
        self._sends_only = options.kind in _SEND_ONLY
        self._reading = False
        self._soon = soon_on(factory.reactor)
        super().__init__(factory, None, options.identity)
        self.socket.set(zmq.RCVHWM, options.hwm_recv)
        if options.mandatory:
            self.socket.set(zmq.ROUTER_MANDATORY, 1)
            self.socket.set(zmq.ROUTER_HANDOVER, 1)  # a peer that reconnects is heard
        for option, value in options.guard.items():
            self.socket.set(option, value)

    def connect(self, address: str) -> None:
        """Connect, now or as soon as somebody is there."""
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, address)])

    def bind(self, address: str, what: str) -> None:
        """Bind, or raise `CannotBind`."""
        try:
            self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, address)])
        except zmq.ZMQError as error:
            reason = str(error.strerror)
            raise CannotBind(what=what, address=address, reason=reason) from error

    @override
    def doRead(self) -> None:
        """Take a bounded batch; go on in the next turn if there may be more."""
        pending, self.read_scheduled = self.read_scheduled, None
        if pending is not None:
            pending.cancel()
        if self._sends_only:
            self.socket.get(zmq.EVENTS)  # takes note, so that the reactor can rest
            return
        self._reading = True
        more = self._read_some(self._reactor.seconds() + PER_WAKE_UP_S)
        self._reading = False
        if more:
            self._read_soon()

    def _read_again(self) -> None:
        """Read as `doRead`, in the turn that it was scheduled for."""
        self.read_scheduled = None
        self.doRead()

    def _read_some(self, deadline: float) -> bool:
        """Read until a bound is reached (True) or nothing is left (False)."""
        for _ in range(PER_WAKE_UP):
            if self.factory is None:  # shut down, perhaps by a receiver
                return False
            try:
                message = _receive(self.socket)
            except zmq.Again:
                return False
            self._give(message)
            if self._reactor.seconds() >= deadline:
                break
        return True

    def _give(self, message: list[bytes]) -> None:
        try:
            self._incoming(message)
        except Exception:  # noqa: BLE001 - the next message must be read as well
            _log.failure("a message of the bus was not taken")

    @override
    def send(self, message: Sequence[bytes]) -> None:
        """Send at once; raises ``zmq.ZMQError`` (EAGAIN, EHOSTUNREACH).

        Sending may swallow the edge that announces what can be read, so we look
        whether there is something; while we are reading we will see anyway.
        """
        _transmit(self.socket, message)
        if not (self._reading or self._sends_only) and _is_readable(self.socket):
            self._read_soon()

    def offer(self, message: Sequence[bytes]) -> bool:
        """Send at once; False when there is no room."""
        try:
            self.send(message)
        except zmq.Again:
            return False
        return True

    def _read_soon(self) -> None:
        if self._sends_only or self.factory is None:
            return
        if self.read_scheduled is None:
            self.read_scheduled = self._soon(self._read_again)


def _receive(socket: Any) -> list[bytes]:
    """Return the next message; raises ``zmq.Again`` when there is none.

    ``recv_multipart`` makes an enum for every frame, which costs more than the
    frame; plain integers to the layer below it do not.
    """
    frame = _RawSocket.recv(socket, _NOW, copy=False)
    frames = [frame.bytes]
    while frame.more:
        frame = _RawSocket.recv(socket, _NOW, copy=False)
        frames.append(frame.bytes)
    return frames


def _is_readable(socket: Any) -> bool:
    events: Any = _RawSocket.get(socket, _EVENTS)
    return bool(events & _READABLE)


def _transmit(socket: Any, message: Sequence[bytes]) -> None:
    """Send a message now or raise, as ``send_multipart``; see `_receive`."""
    for frame in message[:-1]:
        _RawSocket.send(socket, frame, _NOW_AND_MORE)
    _RawSocket.send(socket, message[-1], _NOW)
