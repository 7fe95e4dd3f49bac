"""Clients that mean no good, on real sockets: what they cost a real worker.

Others are served all the time, memory and disk are bounded, and when it is over
nothing is left.
"""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.integration.system import reactor
from tests.integration.worker import MIB, Worker

MODULE = """
import pathlib
from tbtwist import Result, export

@export(mod_name="Probe", name="who", level=0)
async def who():
    return "me"

@export(mod_name="Probe", name="size", level=0)
async def size(files=None):
    return {name: file.size for name, file in (files or {}).items()}

def told(what):
    with open("left.txt", "a") as left:
        left.write(what)

@export(mod_name="Probe", name="stream", level=0)
async def stream():
    async def pieces():
        try:
            while True:
                yield b"x" * 65536
        finally:
            told("s")
    return Result.stream(pieces(), content_type="application/octet-stream")

@export(mod_name="Probe", name="steps", level=0)
def steps():
    def pieces():
        try:
            while True:
                yield b"x" * 65536
        finally:
            told("t")
    return Result.stream(pieces(), content_type="application/octet-stream")

@export(mod_name="Probe", name="events", level=0)
async def events():
    async def pieces():
        try:
            while True:
                yield {"text": "x" * 10000}
        finally:
            told("e")
    return Result.sse(pieces())

@export(mod_name="Probe", name="file", level=0)
async def file():
    return Result.file_path(str(pathlib.Path("big.bin").absolute()), "big.bin")

@export(mod_name="Probe", name="bytes", level=0)
async def whole():
    return Result.binary(bytes(8 << 20))
"""
CROWD = 1000
OTHERS = 8
"""Connections of those who are served meanwhile, at most."""
GIB = 2**30
FLOOD_BYTES = 64 * MIB
BOUNDARY = "cut-here"
PART = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="file"; filename="big.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
LAST = f"\r\n--{BOUNDARY}--\r\n".encode()
PIECE = bytes(65536)


def descriptors(count: int) -> None:
    """Allow this process ``count`` descriptors; skip where that is not to be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SkipTest(f"needs {count} descriptors, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def post(path: str, *headers: str) -> bytes:
    """Return the head of an upload."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        *headers,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Crowd:
    """Clients that send a byte now and then, and never close."""

    def __init__(self, worker: Worker, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.open = [worker.connect() for _ in range(count)]
        self.replies: dict[socket.socket, bytes] = {}
        for client in self.open:
            client.setblocking(False)
            self.selector.register(client, selectors.EVENT_READ)
            self.replies[client] = b""

    def say(self, data: bytes) -> None:
        """Everyone who was not refused says it."""
        for client, reply in self.replies.items():
            if not reply:
                client.send(data)

    def listen(self, seconds: float) -> None:
        """Read what comes."""
        for key, _ in self.selector.select(seconds):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            data = client.recv(65536)
            self.replies[client] += data
            if not data:
                self.selector.unregister(client)

    def drip(self) -> None:
        """Drip until the server has ended every conversation; blocks."""
        until = reactor.seconds() + 60
        while self.selector.get_map():
            if reactor.seconds() > until:
                raise AssertionError("some were never refused")
            self.say(b"x")
            self.listen(0.2)

    def leave(self) -> None:
        """Close everything."""
        self.selector.close()
        for client in self.open:
            client.close()


class SlowlorisTests(TestCase):
    """A thousand requests that never get complete."""

    timeout = 180

    async def test_heads(self) -> None:
        """Each is refused when its time is over, though it never fell silent."""
        descriptors(CROWD + 500)
        worker = await Worker.start(self, MODULE, header_timeout_s=2)
        with worker.serving(), worker.costing(worker.memory_bytes) as memory:
            crowd = await worker.in_thread(Crowd, worker, CROWD)
            self.addCleanup(crowd.leave)
            await worker.until(lambda: worker.connections() >= CROWD)
            await worker.in_thread(crowd.say, b"GET /api/Probe/who HTTP/1.1\r\nX: ")
            await worker.in_thread(crowd.drip)
            replies = set(crowd.replies.values())
            await worker.until(lambda: worker.connections() <= OTHERS)
        self.assertEqual({reply[:12] for reply in replies}, {b"HTTP/1.1 408"})
        self.assertLess(memory.most, 30 * MIB)
        await worker.until(lambda: worker.connections() == 0)
        await worker.ends()


class UploadTests(TestCase):
    """Bodies that are larger than they may be, and large ones that may be."""

    timeout = 180

    def send(self, worker: Worker, head: bytes, piece: bytes, most: int) -> bytes:
        """Send up to ``most`` bytes until refused; return what came. Blocks."""
        with worker.connect() as client:
            sent = 0
            try:
                client.sendall(head)
                while sent < most:
                    client.sendall(piece)
                    sent += len(piece)
            except OSError:
                self.assertLess(sent, most)
            return received(client)

    async def refused(self, head: bytes, piece: bytes) -> None:
        """A GiB is refused, at little cost."""
        worker = await Worker.start(self, MODULE)
        with (
            worker.serving(),
            worker.costing(worker.memory_bytes) as memory,
            worker.costing(worker.disk_bytes) as disk,
        ):
            raw = await worker.in_thread(self.send, worker, head, piece, GIB)
        self.assertEqual(raw[:12], b"HTTP/1.1 413")
        self.assertEqual(raw.count(b"HTTP/1.1"), 1)
        self.assertLess(memory.most, 10 * MIB)
        self.assertLess(disk.most, 17 * MIB)
        await worker.until(lambda: worker.connections() == 0)
        self.assertEqual(worker.uploads(), [])
        await worker.ends()

    async def test_announced(self) -> None:
        """A GiB that is announced is refused before it comes."""
        await self.refused(post("/api/Probe/size", f"Content-Length: {GIB}"), PIECE)

    async def test_chunked(self) -> None:
        """A GiB in chunks is refused where the limit is."""
        head = post("/api/Probe/size", "Transfer-Encoding: chunked")
        first = b"%x\r\n%b\r\n" % (len(PART), PART)
        await self.refused(head + first, b"10000\r\n" + PIECE + b"\r\n")

    async def upload(self, worker: Worker, total: int, sent: int) -> bytes:
        """Send ``sent`` of ``total`` bytes, and what ends the form after all."""
        length = len(PART) + total + len(LAST)
        head = post("/api/Probe/size", f"Content-Length: {length}") + PART

        def send() -> bytes:
            with worker.connect() as client:
                client.sendall(head)
                for _ in range(sent // len(PIECE)):
                    client.sendall(PIECE)
                if sent < total:
                    return b""
                client.sendall(LAST)
                return one_reply(client)

        answer: bytes = await worker.in_thread(send)
        return answer

    async def test_large(self) -> None:
        """A large file that may be sent goes to disk, and is gone afterwards.

        So it is when its client leaves before it has sent everything.
        """
        total = 200 * MIB
        worker = await Worker.start(self, MODULE, max_body_bytes=256 * MIB)
        with (
            worker.serving(),
            worker.costing(worker.memory_bytes) as memory,
            worker.costing(worker.disk_bytes) as disk,
        ):
            raw = await self.upload(worker, total, total)
            self.assertIn(f'"file":{total}'.encode(), raw.replace(b" ", b""))
            await worker.until(lambda: not worker.uploads())
            await self.upload(worker, total, total // 2)
            await worker.until(lambda: not worker.uploads())
        self.assertLess(memory.most, 20 * MIB)
        self.assertGreater(disk.most, 50 * MIB)
        await worker.until(lambda: worker.connections() == 0)
        await worker.ends()


def received(client: socket.socket) -> bytes:
    """Return what comes until the server ends the conversation; blocks."""
    found = []
    try:
        while data := client.recv(65536):
            found.append(data)
    except ConnectionResetError:
        pass
    return b"".join(found)


def one_reply(client: socket.socket) -> bytes:
    """Return one small answer, all of it in one piece; blocks."""
    found = b""
    while b"\r\n\r\n" not in found or found.endswith(b"\r\n\r\n"):
        found += client.recv(65536)
    return found


class ReaderTests(TestCase):
    """Clients that ask, and do not take what they asked for."""

    timeout = 180

    async def start(self) -> Worker:
        """Start a worker that waits two seconds for a reader."""
        return await Worker.start(self, MODULE, write_timeout_s=2)

    @contextmanager
    def clients(self, worker: Worker, count: int) -> Iterator[list[socket.socket]]:
        """Connect, with small buffers."""
        clients = [worker.connect(receive_bytes=8192) for _ in range(count)]
        try:
            yield clients
        finally:
            for client in clients:
                client.close()

    async def stops(self, *names: str, each_bytes: int = 2 * MIB) -> Worker:
        """Ten stop to read each of these; all are cut off.

        Until then each costs what is on its way, ``each_bytes`` at most.
        """
        worker = await self.start()
        with (worker.root / "big.bin").open("wb") as big:
            big.truncate(GIB)
        (worker.root / "left.txt").touch()
        with (
            self.clients(worker, 10 * len(names)) as clients,
            worker.serving(),
            worker.costing(worker.memory_bytes) as memory,
        ):
            for number, client in enumerate(clients):
                name = names[number % len(names)]
                request = f"GET /api/Probe/{name} HTTP/1.1\r\nHost: x\r\n\r\n"
                client.sendall(request.encode())
                self.assertEqual(client.recv(12), b"HTTP/1.1 200", name)
            await worker.until(lambda: worker.connections() >= len(clients))
            await worker.until(lambda: worker.connections() <= OTHERS)
        self.assertLess(memory.most, 10 * len(names) * each_bytes)
        await worker.until(lambda: worker.connections() == 0)
        return worker

    async def test_streams(self) -> None:
        """Streams and events wait for their reader; one that stopped is cut off.

        Each generator is closed, so an application can tidy up.
        """
        worker = await self.stops("stream", "steps", "events")
        left = worker.root / "left.txt"
        closed = sorted("est" * 10)
        await worker.until(lambda: sorted(left.read_text()) == closed)
        await worker.ends()

    async def test_files(self) -> None:
        """A file is read as fast as its reader takes it."""
        worker = await self.stops("file")
        self.assertLess(worker.disk_bytes(), MIB, "a file is still open")
        await worker.ends()

    async def test_bytes(self) -> None:
        """An answer that is whole in memory is there once, not once more as sent."""
        worker = await self.stops("bytes", each_bytes=12 * MIB)
        await worker.ends()


class PipelineTests(TestCase):
    """Requests without an end on one connection, whose answers nobody reads."""

    timeout = 180

    async def floods(self, *targets: str) -> None:
        """Each flood is stopped, and costs little."""
        worker = await Worker.start(self, MODULE, write_timeout_s=2)
        with worker.serving(), worker.costing(worker.memory_bytes) as memory:
            for target in targets:
                await worker.in_thread(self.flood, worker, target)
        self.assertLess(memory.most, 10 * MIB)
        await worker.until(lambda: worker.connections() == 0)
        await worker.ends()

    def flood(self, worker: Worker, target: str) -> None:
        """Ask until the server has had enough; blocks."""
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 1000
        with worker.connect(receive_bytes=8192) as client:
            for _ in range(FLOOD_BYTES // len(request)):
                try:
                    client.sendall(request)
                except ConnectionError:
                    return
        raise AssertionError("the server took all of it")

    async def test_calls(self) -> None:
        """Functions are not called faster than their answers are taken."""
        await self.floods("/api/Probe/who")

    async def test_answered_at_once(self) -> None:
        """Nor is what needs no function at all, on either lane."""
        await self.floods("/health", "/api/Probe/nothing", "/nothing")
