"""An echo server on ``websockets`` with its defaults, without compression."""

from __future__ import annotations

import socket

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.pinned import LISTENER


async def echo(connection: ServerConnection) -> None:
    """Send everything back."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    """Serve until the end."""
    listener = socket.socket(fileno=LISTENER)
    async with serve(echo, sock=listener, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
