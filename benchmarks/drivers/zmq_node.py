"""A process on bare pyzmq and the stdlib's json, without any event loop.

``… zmq_node receiver|sender PUBLISHERS SUBSCRIBERS``. Blocking sockets and
nothing else: what an event loop, checks and gap counting cost is not in it.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

import msgspec
import zmq

from benchmarks.drivers import events
from benchmarks.drivers.flow import STEP, WINDOW
from benchmarks.drivers.lines import say

_TOPIC = events.TOPIC.encode()
_SEEN = events.SEEN.encode()


def _event() -> dict[str, Any]:
    item = events.news()
    return {**msgspec.structs.asdict(item.event), "body": item.body.decode()}


class Node:
    """A PUB and a SUB socket at a proxy."""

    def __init__(self, publishers: str, subscribers: str, topic: bytes) -> None:
        context = zmq.Context()
        self._out, self._in = context.socket(zmq.PUB), context.socket(zmq.SUB)
        for socket in (self._out, self._in):
            socket.set_hwm(10_000)
        self._in.subscribe(topic)
        self._out.connect(publishers)
        self._in.connect(subscribers)

    def receive(self) -> None:
        """Count what comes, and tell, for ever."""
        seen = 0
        while True:
            _, data = self._in.recv_multipart()
            if json.loads(data)["payload"].get("channel"):
                seen += 1
            if seen % STEP == 0:  # also at a knock, which comes before all others
                self._out.send_multipart((_SEEN, json.dumps({"seen": seen}).encode()))

    def knock(self) -> None:
        """Wait until what we publish arrives, and its answer too."""
        while not self._in.poll(50):
            self._out.send_multipart((_TOPIC, json.dumps({"payload": {}}).encode()))

    def publish(self, seconds: float, sent: int) -> dict[str, float]:
        """Publish as fast as the receiver takes it; ``sent`` have been sent before."""
        seen = before = sent
        event = _event()
        began = perf_counter()
        while perf_counter() - began < seconds:
            for _ in range(STEP):
                self._out.send_multipart((_TOPIC, json.dumps(event).encode()))
            sent += STEP
            while sent - seen > WINDOW - STEP:
                seen = self._told()
        rate = (seen - before) / (perf_counter() - began)
        while sent > seen:
            seen = self._told()
        return {"per_second": rate, "count": sent - before, "sent": sent}

    def _told(self) -> int:
        _, data = self._in.recv_multipart()
        return int(json.loads(data)["seen"])


def main(role: str, publishers: str, subscribers: str) -> None:
    """Receive, or obey, until the end."""
    node = Node(publishers, subscribers, _TOPIC if role == "receiver" else _SEEN)
    if role == "receiver":
        say({"ready": True})
        node.receive()
    node.knock()
    say({"ready": True})
    sent = 0
    for line in sys.stdin:
        answer = node.publish(json.loads(line)["seconds"], sent)
        sent = int(answer["sent"])
        say(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
