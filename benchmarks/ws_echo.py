"""``python -m benchmarks.ws_echo [--port N] [--compression] [--max-message-bytes N]``.

The ws worker's own protocol class, options and endpoint with an echo behind them
instead of the bus, and no ``connected`` message: for conformance suites, and to
measure the protocol alone. What begins with ``!`` goes to all. Serves descriptor 3 instead of a port when it is given
one in ``LISTEN_FDS``. Any path below ``/ws/``, and ``/``, is an echo.
"""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any, Final

from tbtwist.config.schema import MIB, WsWorker
from tbtwist.net.listening import adopt, bind_tcp, serve, url_of
from tbtwist.net.supervised import take_descriptors
from tbtwist.options import settle_memory
from tbtwist.uvreactor import install_best
from tbtwist.ws import opening
from tbtwist.ws.connection import Message, Socket
from tbtwist.ws.counts import Counts
from tbtwist.ws.handshake import Answer, Head

_BACKLOG: Final = 2048
_LARGEST: Final = 32 * MIB


class Echo:
    """A connection that sends everything back."""

    __slots__ = ("_everyone", "_socket")

    def __init__(self, socket: Socket, everyone: set[Socket]) -> None:
        self._socket = socket
        self._everyone = everyone
        everyone.add(socket)

    def received(self, data: bytes, *, binary: bool) -> None:
        """Send it back, or to all."""
        if data[:1] != b"!":
            self._socket.send(Message(data, binary))
            return
        message = Message(data, binary, channel="")
        for socket in self._everyone:
            socket.send(message)

    def close(self, code: int, reason: str) -> None:
        """Close."""
        self._socket.close(code, reason)

    def failed(self, code: int, reason: str) -> None:
        """Need nothing."""

    def closed(self, code: int, reason: str) -> None:  # noqa: ARG002
        """Forget it."""
        self._everyone.discard(self._socket)


class EchoCore:
    """Opens every good handshake."""

    def __init__(self) -> None:
        self._everyone: set[Socket] = set()

    def answer(self, head: Head, peer: str) -> Answer | None:  # noqa: ARG002
        """Refuse what is no handshake."""
        return opening.refuse(head)

    async def accept(self, socket: Socket, head: Head) -> Echo:  # noqa: ARG002
        """Take everybody."""
        return Echo(socket, self._everyone)


def main() -> None:
    """Serve until SIGTERM."""
    options = _options().parse_args()
    descriptors = take_descriptors(os.environ, os.getpid())
    install_best()
    run(options, descriptors)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--max-message-bytes", type=int, default=_LARGEST)
    return parser


def run(options: argparse.Namespace, descriptors: dict[str, int]) -> None:
    """Serve with the worker's factory; the reactor has been chosen."""
    from twisted.internet import reactor  # noqa: PLC0415 - after the choice

    from tbtwist.ws.factory import make_factory  # noqa: PLC0415

    loop: Any = reactor
    settings = WsWorker(
        max_message_size=options.max_message_bytes,
        max_waiting_bytes=4 * options.max_message_bytes,
        compression=options.compression,
    )
    given = next(iter(descriptors.values()), None)
    listener = (
        bind_tcp(options.host, options.port, backlog=_BACKLOG, what="the echo")
        if given is None
        else adopt(given)
    )
    factory = make_factory(EchoCore(), settings, loop, Counts())
    loop.callWhenRunning(
        lambda: serve(loop, listener, factory, backlog=settings.backlog)
    )
    loop.callWhenRunning(settle_memory)
    loop.callWhenRunning(
        lambda: signal.signal(signal.SIGTERM, lambda *_: loop.callFromThread(loop.stop))
    )
    loop.callWhenRunning(lambda: print(f"echo at {url_of(listener, 'ws')}", flush=True))
    loop.run()


if __name__ == "__main__":
    main()
