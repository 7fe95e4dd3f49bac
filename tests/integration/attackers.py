"""Clients that mean no good: plain sockets and bytes. Everything here blocks."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import struct
import urllib.request
import zlib
from collections.abc import Iterator
from time import monotonic
from typing import Any

import psutil

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
PATIENCE_S = 60.0
MIB = 1024 * 1024


def allow_descriptors() -> None:
    """Allow this process, and those that it starts, as many as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """Return how many files this process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return a frame masked with zeros."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 0xFE, size) + bytes(4) + payload
    return struct.pack("!BBQ", first, 0xFF, size) + bytes(4) + payload


class Raw:
    """A socket on which a WebSocket is open."""

    def __init__(self, port: int, *lines: str, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        request = (
            "GET /ws/Abuse/room HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            *lines,
        )
        self.socket.sendall("\r\n".join([*request, "", ""]).encode())
        self._data = b""
        self.head = self._until(b"\r\n\r\n")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._more()
        found, _, self._data = self._data.partition(mark)
        return found

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self._data += data

    def send(self, data: bytes) -> bool:
        """Send bytes; whether the server took them all."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame of the server: opcode and payload."""
        while (end := _end(self._data)) > len(self._data) or end == 0:
            self._more()
        size = self._data[1]
        begin = 2 if size < 126 else 4 if size == 126 else 10
        found = self._data[0] & 0x0F, self._data[begin:end]
        self._data = self._data[end:]
        return found

    def closed_with(self) -> int:
        """Return the code of the server's close frame; pass over other frames."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])

    def close(self) -> None:
        """Leave."""
        self.socket.close()


def _end(data: bytes) -> int:
    """Return where the first frame ends; 0 if nobody knows yet."""
    if len(data) < 2:
        return 0
    size = data[1]
    if size < 126:
        return 2 + size
    head = 4 if size == 126 else 10
    return head + int.from_bytes(data[2:head]) if len(data) >= head else 0


@contextlib.contextmanager
def raw(port: int, *lines: str, **more: int) -> Iterator[Raw]:
    """Open a WebSocket by hand."""
    client = Raw(port, *lines, **more)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def half_open(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that send half a handshake, and then nothing."""
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
            clients.append(client)
            client.sendall(b"GET /ws/Abuse/room HTTP/1.1\r\nHost: a\r\n")
        yield clients
    finally:
        for client in clients:
            client.close()


def ended(client: socket.socket) -> bool:
    """Wait until the server has ended a connection; False if it takes too long."""
    try:
        while client.recv(4096):
            continue
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


def bomb(megabytes: int) -> bytes:
    """Return so many MiB of zeros, deflated to a thousandth."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    again = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return block + again * (megabytes - 1)


def memory(pid: int) -> int:
    """Return a process's resident bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def figures(port: int) -> dict[str, Any]:
    """Return what the worker counts."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return dict(json.load(answer))


def until(reached: Any, what: str) -> None:
    """Ask again and again until ``reached``."""
    deadline = monotonic() + PATIENCE_S
    while not reached():
        if monotonic() > deadline:
            raise AssertionError(f"never: {what}")
