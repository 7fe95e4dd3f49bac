"""Listening sockets: bound at once, or inherited, and served."""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import closing
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - the runner's own reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from tbtwist.errors import CannotBind
from tbtwist.net.listening import GivenListeners, adopt, bind_tcp, port_of, serve

REACTOR: Any = reactor


def bound(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Listen somewhere."""
    return bind_tcp(host, port, backlog=5, what="http-1")


class GivenTests(SynchronousTestCase):
    """`GivenListeners`: what systemd has opened for us."""

    def given(self, *sockets: socket.socket) -> GivenListeners:
        """Return listeners over duplicates, as a started process has them."""
        given = GivenListeners(os.dup(each.fileno()) for each in sockets)
        self.addCleanup(given.close)
        return given

    def test_given(self) -> None:
        """A port that was given is not bound again, and survives being closed."""
        with closing(bound()) as outside:
            port = port_of(outside)
            given = self.given(outside)
            for _ in range(2):
                own = given("127.0.0.1", port, backlog=7, what="http-1")
                client = socket.create_connection(("127.0.0.1", port))
                with closing(own), closing(client):
                    accepted, _ = _wait_for(own)
                    accepted.close()

    def test_others(self) -> None:
        """Any other port is bound as ever."""
        with closing(bound()) as outside:
            given = self.given(outside)
            with closing(given("127.0.0.1", 0, backlog=5, what="http-1")) as own:
                self.assertNotEqual(port_of(own), port_of(outside))

    def test_no_listener(self) -> None:
        """What is no listener is left alone."""
        one, other = socket.socketpair()
        with closing(one), closing(other):
            descriptor = os.dup(one.fileno())
            GivenListeners([descriptor]).close()
            os.fstat(descriptor)
            os.close(descriptor)
        self.assertEqual(GivenListeners([0])._given, [])


def _wait_for(listener: socket.socket) -> tuple[socket.socket, object]:
    select.select([listener], [], [], 30)
    return listener.accept()


class BindTests(SynchronousTestCase):
    """`bind_tcp`."""

    def refused(self, host: str, port: int) -> CannotBind:
        """Fail to bind and return the error."""
        with self.assertRaises(CannotBind) as caught:
            bound(host, port)
        error: CannotBind = caught.exception
        return error

    def test_any_port(self) -> None:
        """Port 0 gives a free one, and it is known which."""
        with closing(bound()) as listener:
            with closing(socket.create_connection(("127.0.0.1", port_of(listener)))):
                pass
            self.assertGreater(port_of(listener), 0)

    def test_never_blocks(self) -> None:
        """Two processes that share the socket cannot freeze each other in accept."""
        with closing(bound()) as listener:
            self.assertFalse(listener.getblocking())
            self.assertRaises(BlockingIOError, listener.accept)

    def test_taken(self) -> None:
        """A port that somebody has is named, with the reason and the purpose."""
        with closing(bound()) as listener:
            error = self.refused("127.0.0.1", port_of(listener))
            self.assertEqual(
                str(error),
                f"Cannot listen on 127.0.0.1:{port_of(listener)} for http-1: "
                "the port is already in use.",
            )

    def test_restart(self) -> None:
        """A port whose last connections still linger can be bound again at once."""
        with closing(bound()) as listener:
            port = port_of(listener)
            client = socket.create_connection(("127.0.0.1", port))
            served, _ = listener.accept()
            served.close()
            client.close()
        bound(port=port).close()

    def test_foreign_address(self) -> None:
        """An address of another machine is no place to listen."""
        self.assertEqual(
            self.refused("192.0.2.1", 0).reason, "this machine has no such address"
        )

    def test_unknown_host(self) -> None:
        """A name that nobody knows is told as such."""

        def unknown(*_args: object, **_kwargs: object) -> object:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        self.patch(socket, "getaddrinfo", unknown)
        self.assertEqual(
            self.refused("nohost", 80).reason,
            "the host name is unknown (Name or service not known)",
        )

    def test_not_permitted(self) -> None:
        """Without the right to a low port, the reason says what would help."""
        self.refuse_with(PermissionError(errno.EACCES, "Permission denied"))
        self.assertEqual(
            self.refused("127.0.0.1", 80).reason,
            "not permitted (ports below 1024 need root)",
        )

    def test_any_other_reason(self) -> None:
        """What has no words of ours is told in the system's."""
        self.refuse_with(OSError(errno.ENOBUFS, "No buffer space available"))
        self.assertEqual(
            self.refused("127.0.0.1", 80).reason, "No buffer space available"
        )
        self.assertEqual(self.made[0].fileno(), -1)

    def refuse_with(self, error: OSError) -> None:
        """Let every bind fail with ``error``."""
        self.made: list[socket.socket] = []

        class Refusing(socket.socket):
            def bind(inner, _where: Any) -> None:  # noqa: N805 - the case is self
                self.made.append(inner)
                raise error

        self.patch(socket, "socket", Refusing)

    def test_ipv6(self) -> None:
        """An IPv6 address is bound as one."""
        if not socket.has_ipv6:
            raise SkipTest("no IPv6 in this Python")
        try:
            listener = bound("::1")
        except CannotBind as error:
            raise SkipTest(str(error)) from error
        with closing(listener):
            self.assertEqual(listener.family, socket.AF_INET6)
            self.assertGreater(port_of(listener), 0)


class AdoptTests(SynchronousTestCase):
    """`adopt`."""

    def test_inherited(self) -> None:
        """An inherited listener is the same port, does not block, and goes no further."""
        with closing(bound()) as listener:
            listener.setblocking(True)
            inherited = os.dup(listener.fileno())
            os.set_inheritable(inherited, True)
            with closing(adopt(inherited)) as adopted:
                self.assertEqual(port_of(adopted), port_of(listener))
                self.assertFalse(adopted.getblocking())
                self.assertFalse(adopted.get_inheritable())


class Greeter(Protocol):
    """Says hello and waits for the client to leave."""

    def connectionMade(self) -> None:
        """Greet."""
        assert self.transport is not None
        self.transport.write(b"hello")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the factory."""
        assert isinstance(self.factory, GreeterFactory)
        self.factory.left.callback(None)


class GreeterFactory(ServerFactory):
    """Makes a greeter for one client."""

    protocol: Any = Greeter
    noisy = False

    def __init__(self) -> None:
        self.left: Deferred[None] = Deferred()


class Client(Protocol):
    """Leaves when it has been greeted."""

    def __init__(self) -> None:
        self.greeted: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Five bytes come in one piece."""
        assert self.transport is not None
        self.transport.loseConnection()
        self.greeted.callback(data)


class ServeTests(TestCase):
    """`serve`, on the real reactor."""

    timeout = 10

    async def check_served(self, listener: socket.socket) -> None:
        """Serve one client, and stop."""
        factory, client = GreeterFactory(), Client()
        port: Any = serve(REACTOR, listener, factory, backlog=5)
        await connectProtocol(
            TCP4ClientEndpoint(REACTOR, "127.0.0.1", port_of(listener)), client
        )
        self.assertEqual(await client.greeted, b"hello")
        await factory.left
        await port.stopListening()

    async def test_serves(self) -> None:
        """Connections reach the factory."""
        with closing(bound()) as listener:
            await self.check_served(listener)

    async def test_outlives_its_port(self) -> None:
        """A worker that stops serving leaves the socket open for its successor."""
        with closing(bound()) as listener:
            await self.check_served(listener)
            waiting = socket.create_connection(("127.0.0.1", port_of(listener)))
            served, _ = listener.accept()
            served.close()
            waiting.close()
            await self.check_served(listener)
