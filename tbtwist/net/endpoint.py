"""A listener on the loop's own transports (DESIGN D2).

Twisted's transports are written in Python; the loop's (uvloop's above all) are
not. `LoopPort` lets the loop accept and move the bytes, and gives every
connection to an ordinary Twisted protocol.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from tbtwist.net.surroundings import Limits, Surroundings
from tbtwist.net.tcp import Address, address_of
from tbtwist.net.transport import LoopTransport

T = TypeVar("T")
_TURNS_TO_BE_COUNTED: Final = 3


@implementer(IListeningPort)
class LoopPort:
    """Accepts connections of a listener that others may share.

    It listens on a duplicate, which it closes without shutting the socket down.
    The kernel's queue gets ``backlog``, since it is the last one who listens on a
    shared socket that decides its length.
    """

    def __init__(
        self,
        clock: IReactorTime,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        factory: ServerFactory[Any],
        backlog: int,
        limits: Limits,
    ) -> None:
        self._around = Surroundings(factory, loop, clock, limits)
        self._factory = factory
        self._listener = listener
        self._backlog = backlog
        self._host: Address = address_of(listener.getsockname())
        self._accepting: socket.socket | None = None
        self._server: asyncio.AbstractServer | None = None
        self._stopped: Deferred[None] | None = None

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        return len(self._around.open)

    def startListening(self) -> None:
        """Accept from now on."""
        around = self._around
        self._accepting = listener = self._listener.dup()
        try:
            self._server = _at_once(
                around.loop.create_server(
                    lambda: LoopTransport(around), sock=listener, backlog=self._backlog
                )
            )
        except BaseException:
            listener.close()
            raise
        self._factory.doStart()

    def getHost(self) -> Address:
        """Return where this listens."""
        return self._host

    def stopListening(self) -> Deferred[None]:
        """Accept no more; fire when every connection accepted so far is counted.

        What the loop has accepted reaches no protocol for up to three turns.
        Connections live on.
        """
        done: Deferred[None] = Deferred()
        if self._stopped is None:
            self._stopped = Deferred.fromCoroutine(self._stop())
        _ = self._stopped.addBoth(_passed_to, done)
        return done

    async def _stop(self) -> None:
        if self._server is None or self._accepting is None:
            return
        # A server of asyncio's that is closed has no place for what it accepted
        # just before: so it stops accepting first. uvloop's has, and hears nothing.
        self._around.loop.remove_reader(self._accepting.fileno())
        await self._all_are_counted()
        self._server.close()
        await self._all_are_counted()
        self._factory.doStop()

    async def _all_are_counted(self) -> None:
        for _ in range(_TURNS_TO_BE_COUNTED):
            await _turn(self._around.loop)


def _passed_to(result: T, done: Deferred[T]) -> T:
    done.callback(result)
    return result


def _turn(loop: asyncio.AbstractEventLoop) -> Deferred[None]:
    """Return what fires in the loop's next turn."""
    turned: Deferred[None] = Deferred()
    loop.call_soon(turned.callback, None)
    return turned


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, though it may give others a turn.

    So ``create_server`` is with a socket that is bound. Its errors come to the
    caller, and there is no moment in which a port neither listens nor fails.
    """
    while True:
        try:
            work.send(None)
        except StopIteration as ended:
            result: T = ended.value
            return result
