"""Listeners that come and go while clients connect."""

from __future__ import annotations

import gc
import socket
import struct
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.interfaces import IListeningPort
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface.verify import verifyObject

from tbtwist.errors import CannotBind
from tbtwist.net.endpoint import LoopPort
from tbtwist.net.listening import bind_tcp, port_of, serve
from tests.net.endpoints import (
    HAS_LOOP,
    REACTOR,
    Over,
    OverLoop,
    OverStock,
    Peer,
    Recorders,
    turns,
    until,
)


def greet(recorder: Any) -> None:
    """Say hello, and goodbye."""
    recorder.wire.write(b"hello")
    recorder.wire.loseConnection()


def longest_queue(listener: socket.socket) -> int:
    """Return how many connections may wait in the kernel for ``listener``."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("I", info, 28)[0])


class ListeningTests(Over):
    """A port, and what is left when it closes."""

    async def test_says_what_it_is(self) -> None:
        """A port is what Twisted calls a listening port."""
        verifyObject(IListeningPort, self.port)
        self.case.assertEqual(self.port.getHost().port, port_of(self.listener))

    async def test_factory(self) -> None:
        """A factory is started and stopped once, and survives its connections."""
        self.case.assertEqual(self.factory.started, ["start"])
        peer, recorder = await self.connected()
        await self.port.stopListening()
        self.case.assertEqual(self.factory.started, ["start", "stop"])
        recorder.wire.write(b"still here")
        self.case.assertEqual(await peer.read_bytes(10), b"still here")

    async def test_one_of_two_stops(self) -> None:
        """No client notices that one of two acceptors of a port stops."""
        self.factory.on_made = greet
        other = Recorders()
        other.on_made = greet
        second = self.listen(other)
        await self.greeted(100)
        stopping = second.stopListening()
        await self.greeted(100)
        await stopping
        self.case.assertGreater(len(self.factory.made), 99)
        await until(lambda: all(made.lost for made in other.made))

    async def greeted(self, clients: int) -> None:
        """Connect one after the other, each to be greeted."""
        for _ in range(clients):
            peer = Peer(port_of(self.listener))
            self.case.assertEqual(await peer.read_to_end(), b"hello")
            self.case.assertEqual(peer.ended, "end")
            peer.close()

    async def test_successor(self) -> None:
        """Clients that came while nobody accepted are served by the next one."""
        await self.port.stopListening()
        peers = [self.peer() for _ in range(20)]
        await turns()
        self.case.assertEqual(self.factory.made, [])
        self.factory.on_made = greet
        self.port = self.listen(self.factory)
        for peer in peers:
            self.case.assertEqual(await peer.read_to_end(), b"hello")

    async def test_all_are_counted(self) -> None:
        """When a port has stopped, no connection turns up that nobody knew of."""
        for _ in range(30):
            self.peer()
        await turns(1)
        await self.port.stopListening()
        known = len(self.factory.made)
        await turns(20)
        self.case.assertEqual(len(self.factory.made), known)

    async def test_none_is_dropped(self) -> None:
        """Clients that a port accepts at its very end are served, by it or the next."""
        self.factory.on_made = greet
        peers = [self.peer() for _ in range(30)]
        await turns(1)
        await self.port.stopListening()
        self.port = self.listen(self.factory)
        for peer in peers:
            self.case.assertEqual(await peer.read_to_end(), b"hello")

    async def test_queue_keeps_its_length(self) -> None:
        """The kernel's queue of a shared port stays as long as it was bound."""
        self.case.assertEqual(longest_queue(self.listener), 50)
        await self.port.stopListening()
        self.case.assertEqual(longest_queue(self.listener), 50)

    async def test_ipv6(self) -> None:
        """Over IPv6 the addresses are IPv6's."""
        try:
            listener = bind_tcp("::1", 0, backlog=5, what="a test")
        except CannotBind as error:
            raise SkipTest(str(error)) from error
        await self.port.stopListening()
        self.listener.close()
        self.listener = listener
        self.port = self.listen(self.factory)
        client = socket.create_connection(("::1", port_of(listener)))
        await until(lambda: bool(self.factory.made and self.factory.made[0].events))
        wire = self.factory.made[0].wire
        self.case.assertEqual(wire.getPeer().port, client.getsockname()[1])
        self.case.assertEqual(wire.getPeer().host, "::1")
        for address in (wire.getPeer(), wire.getHost(), self.port.getHost()):
            self.case.assertIsInstance(address, IPv6Address)
        client.close()


class StockListeningTests(OverStock, ListeningTests, TestCase):
    """Over Twisted's own transports."""


class ChoiceTests(TestCase):
    """`serve` takes what the reactor has."""

    async def test_choice(self) -> None:
        """Connections go over the loop's transports exactly where there is a loop."""
        listener = bind_tcp("127.0.0.1", 0, backlog=5, what="a test")
        port: Any = serve(REACTOR, listener, Recorders(), backlog=5)
        self.assertIs(isinstance(port, LoopPort), HAS_LOOP)
        await port.stopListening()
        listener.close()

    async def test_unix(self) -> None:
        """A UNIX socket is served as well, by the reactor itself."""
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        listener.bind("\0tbtwist-test-" + self.id())
        listener.listen(5)
        factory = Recorders()
        factory.on_made = greet
        port: Any = serve(REACTOR, listener, factory, backlog=5)
        self.assertNotIsInstance(port, LoopPort)
        client = socket.socket(socket.AF_UNIX)
        client.connect(listener.getsockname())
        await until(lambda: bool(factory.made and factory.made[0].lost))
        self.assertEqual(client.recv(5), b"hello")
        client.close()
        await port.stopListening()
        listener.close()


if HAS_LOOP:

    class LoopListeningTests(OverLoop, ListeningTests, TestCase):
        """Over the loop's transports."""

        async def test_counts(self) -> None:
            """It is known how many connections there are, from first to last."""
            self.assertEqual(self.port.connections, 0)
            pairs = [await self.connected() for _ in range(3)]
            self.assertEqual(self.port.connections, 3)
            await self.port.stopListening()
            self.assertEqual(self.port.connections, 3)
            for peer, _ in pairs:
                peer.close()
            await until(lambda: all(recorder.lost for _, recorder in pairs))
            self.assertEqual(self.port.connections, 0)

        async def test_stops_once(self) -> None:
            """Everybody who stops a port learns when it has stopped."""
            first, second = self.port.stopListening(), self.port.stopListening()
            await second
            await first
            await self.port.stopListening()
            self.assertEqual(self.factory.started, ["start", "stop"])

        async def test_paused_is_kept(self) -> None:
            """A paused connection that nobody holds on to is not garbage."""
            peer, recorder = await self.connected()
            recorder.wire.pauseProducing()
            self.factory.made.clear()
            del recorder
            await turns()
            gc.collect()
            await turns()
            self.assertEqual(self.port.connections, 1)
            peer.close()
            (wire,) = self.port._around.open
            wire.resumeProducing()
            await until(lambda: not self.port.connections)

        async def test_cannot_listen(self) -> None:
            """A socket that cannot listen is an error at once, not a log line later."""
            factory = Recorders()
            with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
                self.assertRaises(
                    ValueError, serve, REACTOR, datagrams, factory, backlog=5
                )
            self.assertEqual(factory.started, [])
