"""A ``zmq.proxy`` between XSUB and XPUB: ``… zmq_proxy PUBLISHERS SUBSCRIBERS``."""

from __future__ import annotations

import sys

import zmq


def main(publishers: str, subscribers: str) -> None:
    """Forward until the end."""
    context = zmq.Context()
    inside, outside = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    for socket in (inside, outside):
        socket.set_hwm(10_000)
    inside.bind(publishers)
    outside.bind(subscribers)
    zmq.proxy(inside, outside)


if __name__ == "__main__":
    main(*sys.argv[1:])
