"""An echo server on ``websockets`` with its defaults, without compression.

What begins with ``!`` goes to all, by its own `broadcast`.
"""

from __future__ import annotations

import socket
from typing import Final

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.pinned import LISTENER

_BACKLOG: Final = 2048
_everyone: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    """Send everything back, or to all."""
    _everyone.add(connection)
    try:
        async for message in connection:
            if message[:1] == "!":
                broadcast(_everyone, message)
            else:
                await connection.send(message)
    finally:
        _everyone.discard(connection)


async def main() -> None:
    """Serve until the end."""
    listener = socket.socket(fileno=LISTENER)
    async with serve(echo, sock=listener, compression=None, backlog=_BACKLOG) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
