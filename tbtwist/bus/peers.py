"""`Shortcuts` over ZeroMQ: a ROUTER of our own, a DEALER to each worker we ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import zmq
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from txzmq import ZmqFactory

from tbtwist.bus.codec import Verb, decode_route
from tbtwist.bus.config import BusConfig
from tbtwist.bus.endpoints import Endpoints
from tbtwist.bus.sockets import BoundedSocket, SocketOptions, new_factory
from tbtwist.bus.wire import Receiver
from tbtwist.errors import BadFrame, CannotBind

_log = Logger()

_ANSWERS: Final = frozenset({Verb.REPLY, Verb.REFUSED})


class PeerSockets:
    """Ways to other workers of this data directory."""

    def __init__(
        self,
        reactor: IReactorTime,
        identity: str,
        endpoints: Endpoints,
        config: BusConfig,
        counters: Counter[str],
    ) -> None:
        self._counters = counters
        self._reactor = reactor
        self._identity = identity
        self._endpoints = endpoints
        self._config = config
        self._factory: ZmqFactory | None = None
        self._asked: Receiver | None = None
        self._answered: Receiver | None = None
        self._router: BoundedSocket | None = None
        self._ways: dict[str, BoundedSocket] = {}

    @property
    def open(self) -> bool:
        """As `Shortcuts.open`."""
        return self._router is not None

    def begin(
        self, asked: Callable[[Sequence[bytes]], None], answered: Callable[..., None]
    ) -> None:
        """As `Shortcuts.begin`; without an address of our own there is only asking."""
        self._asked, self._answered = asked, answered
        address = self._endpoints.peer(self._identity)
        if not address:
            return
        self._factory = new_factory(self._reactor)
        router = BoundedSocket(self._factory, self._options(zmq.ROUTER), self._question)
        try:
            router.bind(address, "calls")
        except CannotBind as error:
            _log.warn("calls go through the broker only: {error}", error=error)
            router.shutdown()
        else:
            self._router = router

    def _options(self, kind: int) -> SocketOptions:
        return SocketOptions(
            kind=kind,
            hwm_send=self._config.hwm_send,
            hwm_recv=self._config.hwm_recv,
            identity=self._identity.encode() if kind == zmq.DEALER else None,
            mandatory=kind == zmq.ROUTER,
        )

    def _question(self, message: list[bytes]) -> None:
        """Take a question from who it says it is from."""
        peer, *frames = message
        try:
            _check_question(frames, peer)
        except BadFrame as error:
            self._counters["dropped: bad frame"] += 1
            _log.debug("{error}", error=error)
            return
        if self._asked is not None:
            self._asked(frames)

    def _answer(self, callee: str, message: list[bytes]) -> None:
        """Take an answer from the one that we asked."""
        try:
            route = decode_route(message[0])
        except BadFrame:
            route = None
        if route is None or route.verb not in _ANSWERS or route.origin != callee:
            self._counters["dropped: bad frame"] += 1
        elif self._answered is not None:
            self._answered(message)

    def ask(self, callee: str, frames: Sequence[bytes]) -> bool:
        """As `Shortcuts.ask`."""
        way = self._ways.get(callee) or self._make_way(callee)
        return way is not None and way.offer(frames)

    def _make_way(self, callee: str) -> BoundedSocket | None:
        if self._factory is None:
            return None
        options = self._options(zmq.DEALER)
        way = BoundedSocket(self._factory, options, partial(self._answer, callee))
        way.connect(self._endpoints.peer(callee))
        self._ways[callee] = way
        return way

    def answer(self, caller: str, frames: Sequence[bytes]) -> bool:
        """As `Shortcuts.answer`."""
        if self._router is None:
            return False
        try:
            self._router.send((caller.encode(), *frames))
        except zmq.ZMQError:
            return False
        return True

    def gone(self, identities: Iterable[str]) -> None:
        """As `Shortcuts.gone`."""
        for identity in identities:
            way = self._ways.pop(identity, None)
            if way is not None:
                way.shutdown()

    def close(self) -> None:
        """As `Shortcuts.close`."""
        self._ways.clear()
        router, self._router = self._router, None
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.shutdown()
        if router is not None:  # libzmq leaves the file behind
            address = self._endpoints.peer(self._identity)
            Path(address.removeprefix("ipc://")).unlink(missing_ok=True)


def _check_question(frames: Sequence[bytes], peer: bytes) -> None:
    route = decode_route(frames[0] if frames else b"")
    if route.verb is not Verb.CALL or route.origin.encode() != peer:
        raise BadFrame(reason="not a question of its own")
