"""Protocols of other people's, which know nothing of the transport they are on."""

from __future__ import annotations

import base64
from typing import Any

import txaio.tx
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.static import Data

from tests.net.endpoints import HAS_LOOP, REACTOR, Over, OverLoop, OverStock, Peer

BIG = bytes(range(256)) * 8192


class Posted(Resource):
    """Sends a body back."""

    isLeaf = 1

    def render_POST(self, request: Any) -> bytes:
        """Return it."""
        body: bytes = request.content.read()
        return body


class Later(Resource):
    """Answers in pieces, in later turns."""

    isLeaf = 1

    def render_GET(self, request: Any) -> int:
        """Begin."""
        REACTOR.callLater(0, request.write, b"one ")
        REACTOR.callLater(
            0.001, request.write, request.getClientAddress().host.encode()
        )
        REACTOR.callLater(0.002, request.finish)
        return NOT_DONE_YET


def site() -> Site:
    """Return a site of Twisted Web."""
    root = Resource()
    root.putChild(b"big", Data(BIG, "application/octet-stream"))
    root.putChild(b"small", Data(b"small", "text/plain"))
    root.putChild(b"posted", Posted())
    root.putChild(b"later", Later())
    made = Site(root, reactor=REACTOR)
    made.noisy = False
    return made


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Return a request as a client sends it."""
    lines = [f"{method} /{path} HTTP/1.1", "Host: here", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class WebTests(Over):
    """Twisted Web."""

    async def served(self) -> Peer:
        """Serve the site instead, and connect."""
        await self.port.stopListening()
        self.port = self.listen(site())
        return self.peer()

    async def test_kept_alive(self) -> None:
        """Requests come one after the other, or all at once, on one connection."""
        peer = await self.served()
        peer.send(request("small"))
        await peer.read_until(lambda: peer.received.endswith(b"small"))
        peer.send(request("small") * 3)
        await peer.read_until(lambda: peer.received.count(b"small") == 4)
        peer.send(request("small", "Connection: close"))
        await peer.read_to_end()
        self.case.assertEqual(peer.received.count(b"200 OK"), 5)
        self.case.assertEqual(peer.ended, "end")

    async def test_big_answer(self) -> None:
        """A big answer flows at the pace of its reader."""
        peer = await self.served()
        peer.send(request("big", "Connection: close"))
        self.case.assertTrue((await peer.read_to_end()).endswith(b"\r\n\r\n" + BIG))

    async def test_big_question(self) -> None:
        """A big body is taken in and sent back."""
        peer = await self.served()
        await peer.send_all(
            request(
                "posted",
                f"Content-Length: {len(BIG)}",
                "Connection: close",
                method="POST",
                body=BIG,
            )
        )
        self.case.assertTrue((await peer.read_to_end()).endswith(b"\r\n\r\n" + BIG))

    async def test_in_pieces(self) -> None:
        """An answer in pieces comes as it is made, and knows its client."""
        peer = await self.served()
        peer.send(request("later", "Connection: close"))
        answer = await peer.read_to_end()
        self.case.assertIn(b"chunked", answer)
        self.case.assertIn(b"one ", answer)
        self.case.assertIn(b"127.0.0.1", answer)

    async def test_nonsense(self) -> None:
        """A client that speaks no HTTP is told so and let go."""
        peer = await self.served()
        peer.send(b"nonsense\r\n\r\n")
        self.case.assertIn(b"400", await peer.read_to_end())


class Echo(WebSocketServerProtocol):
    """Sends messages back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


class WebSocketTests(Over):
    """Autobahn."""

    async def upgraded(self) -> Peer:
        """Serve WebSockets instead, and shake hands."""
        self.case.patch(txaio.tx.config, "loop", REACTOR)
        factory = WebSocketServerFactory()
        factory.protocol = Echo
        factory.noisy = False
        await self.port.stopListening()
        self.port = self.listen(factory)
        peer = self.peer()
        key = base64.b64encode(bytes(16)).decode()
        peer.send(
            request(
                "chat",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Key: {key}",
                "Sec-WebSocket-Version: 13",
            )
        )
        await peer.read_until(lambda: peer.received.endswith(b"\r\n\r\n"))
        self.case.assertIn(b"101", peer.received)
        peer.received.clear()
        return peer

    async def test_echo(self) -> None:
        """Messages come back, and the connection closes by the book."""
        peer = await self.upgraded()
        peer.send(b"\x82\x85\0\0\0\0hello")
        self.case.assertEqual(await peer.read_bytes(7), b"\x82\x05hello")
        peer.send(b"\x88\x82\0\0\0\0\x03\xe8")
        self.case.assertTrue((await peer.read_to_end()).endswith(b"\x88\x02\x03\xe8"))
        self.case.assertEqual(peer.ended, "end")

    async def test_big(self) -> None:
        """A big message comes back whole."""
        peer = await self.upgraded()
        size = len(BIG).to_bytes(8, "big")
        await peer.send_all(b"\x82\xff" + size + b"\0\0\0\0" + BIG)
        answer = await peer.read_bytes(10 + len(BIG))
        self.case.assertEqual(answer, b"\x82\x7f" + size + BIG)
        peer.send(b"\x88\x82\0\0\0\0\x03\xe8")
        await peer.read_to_end()


class StockWebTests(OverStock, WebTests, TestCase):
    """Over Twisted's own transports."""


class StockWebSocketTests(OverStock, WebSocketTests, TestCase):
    """Over Twisted's own transports."""


if HAS_LOOP:

    class LoopWebTests(OverLoop, WebTests, TestCase):
        """Over the loop's transports."""

    class LoopWebSocketTests(OverLoop, WebSocketTests, TestCase):
        """Over the loop's transports."""
