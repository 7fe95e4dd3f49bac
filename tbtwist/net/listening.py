"""Listening sockets: bound at once so that errors are seen at once, or inherited."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory

from tbtwist.errors import CannotBind
from tbtwist.net.endpoint import LoopPort
from tbtwist.net.surroundings import DEFAULT_LIMITS, Limits

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_WORDS = {
    errno.EADDRINUSE: "the port is already in use",
    errno.EACCES: "not permitted (ports below 1024 need root)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def bind_tcp(host: str, port: int, *, backlog: int, what: str) -> socket.socket:
    """Return a non-blocking socket that listens on ``host:port``.

    Raises:
        CannotBind: with the reason in words.
    """
    address = f"{host}:{port}"
    try:
        family, kind, proto, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        reason = f"the host name is unknown ({error.strerror})"
        raise CannotBind(what=what, address=address, reason=reason) from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(0)
        listener.bind(where)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        reason = _WORDS.get(error.errno or 0, error.strerror or str(error))
        raise CannotBind(what=what, address=address, reason=reason) from error
    return listener


def adopt(descriptor: int) -> socket.socket:
    """Return the socket behind an inherited descriptor, made non-blocking.

    Two processes that share a blocking listener freeze (PROCESS.md, sharing).
    """
    os.set_inheritable(descriptor, False)
    listener = socket.socket(fileno=descriptor)
    listener.settimeout(0)
    return listener


class Bind(Protocol):
    """Opens a listener, as `bind_tcp`."""

    def __call__(
        self, host: str, port: int, *, backlog: int, what: str
    ) -> socket.socket:
        """Return a listening socket, or raise `CannotBind`."""


class GivenListeners:
    """Binds what was given to this process (socket activation), else by itself.

    A given socket stays ours: when whoever asked for it closes it, connections wait
    in the kernel's queue for the next one.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        self._given = [each for each in map(_listener, descriptors) if each is not None]

    def __call__(
        self, host: str, port: int, *, backlog: int, what: str
    ) -> socket.socket:
        """As `bind_tcp`."""
        for given in self._given:
            if port and port_of(given) == port:
                own = given.dup()
                own.settimeout(0)
                own.listen(backlog)
                return own
        return bind_tcp(host, port, backlog=backlog, what=what)

    def close(self) -> None:
        """Let go of everything given; calling this twice is fine."""
        while self._given:
            self._given.pop().close()


def _listener(descriptor: int) -> socket.socket | None:
    """Return the TCP listener behind a descriptor, or None if that is another thing."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    found = adopt(descriptor)
    accepts = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if accepts and found.family in _FAMILIES:
        return found
    found.detach()
    return None


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket really has, also when 0 was asked for."""
    return int(listener.getsockname()[1])


def url_of(listener: socket.socket, scheme: str) -> str:
    """Return ``scheme://host:port`` of a listener; a wildcard is this machine."""
    host = str(listener.getsockname()[0])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port_of(listener)}"


def serve(
    reactor: Any,
    listener: socket.socket,
    factory: ServerFactory[Any],
    *,
    backlog: int,
    limits: Limits = DEFAULT_LIMITS,
) -> IListeningPort:
    """Accept connections of ``listener`` and hand them to ``factory``.

    Over the loop's own transports where the reactor has a loop, else over the
    reactor's. Either way a duplicate is listened on, so closing the port leaves
    the socket open for whoever shares it. When ``stopListening`` has fired,
    every connection that was accepted has its protocol.
    """
    loop: asyncio.AbstractEventLoop | None = getattr(reactor, "_asyncioEventloop", None)
    if loop is None or listener.family not in _FAMILIES:
        stock: IListeningPort = reactor.adoptStreamPort(
            listener.fileno(), listener.family, factory
        )
        return stock
    port = LoopPort(reactor, loop, listener, factory, backlog, limits)
    port.startListening()
    return port
