"""Keep-alive connections at a constant rate: ``… http_clients``.

One command, ``pace``. It waits in ``select``, whose deadline has microseconds: the
timers of event loops have milliseconds, and would be most of what is measured.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections import deque
from contextlib import ExitStack
from time import perf_counter, process_time
from typing import Any, Final

import attrs

from benchmarks.drivers.lines import say
from benchmarks.measures import percentile
from benchmarks.pacing import AnswerReader, Load, Pace

_PATIENCE_S: Final = 10.0


@attrs.define(eq=False)
class Client:
    """One connection, and when the request on it was due."""

    connection: socket.socket
    due_at: float = 0.0
    reader: AnswerReader = attrs.Factory(AnswerReader)

    def fileno(self) -> int:
        """Return what `select` waits for."""
        return self.connection.fileno()


class Crowd:
    """Clients that send the same request in turns, and check every answer."""

    def __init__(self, clients: list[Client], load: Load) -> None:
        self._request = load.request
        self._expected = load.expected.encode()
        self._free = deque(clients)
        self._busy: set[Client] = set()

    def run(self, pace: Pace) -> None:
        """Send and receive until all has been answered."""
        while not pace.over:
            self._send(pace)
            ready, _, _ = select.select(self._busy, (), (), self._patience(pace))
            for client in ready:
                self._receive(client, pace)
            if not (ready or self._due_soon(pace)):
                msg = f"no answer for {_PATIENCE_S:.0f} s"
                raise TimeoutError(msg)

    def _due_soon(self, pace: Pace) -> bool:
        return bool(self._free) and pace.next_at is not None

    def _patience(self, pace: Pace) -> float:
        at = pace.next_at
        if at is None or not self._free:
            return _PATIENCE_S
        return max(0.0, at - perf_counter())

    def _send(self, pace: Pace) -> None:
        while self._free and (due_at := pace.take(perf_counter())) is not None:
            client = self._free.popleft()
            client.due_at = due_at
            client.connection.sendall(self._request)
            self._busy.add(client)

    def _receive(self, client: Client, pace: Pace) -> None:
        data = client.connection.recv(1 << 16)
        now = perf_counter()
        if not data:
            raise ConnectionError("the server closed a connection")
        answer = client.reader.feed(data)
        if answer is None:
            return
        status, body = answer
        if status != 200 or self._expected not in body:
            msg = f"answered {status}: {body!r}"
            raise ConnectionError(msg)
        pace.answered(client.due_at, now)
        self._busy.discard(client)
        self._free.append(client)


def pace(load: Load) -> dict[str, Any]:
    """Make the load; return how long answers took, and how busy we were."""
    with ExitStack() as stack:
        clients = [_connected(stack, load.port) for _ in range(load.connections)]
        crowd = Crowd(clients, load)
        crowd.run(Pace(load.rate, load.connections, perf_counter()))  # a first round
        began, worked = perf_counter(), process_time()
        pace = Pace(load.rate, max(1, round(load.rate * load.seconds)), began)
        crowd.run(pace)
        busy = (process_time() - worked) / (perf_counter() - began)
    return {
        "p50_ms": percentile(pace.took_ms, 50),
        "p99_ms": percentile(pace.took_ms, 99),
        "count": pace.total + load.connections,
        "client_load": busy,
    }


def _connected(stack: ExitStack, port: int) -> Client:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Client(connection)


def main() -> None:
    """Obey until the input ends."""
    say({"ready": True})
    for line in sys.stdin:
        say(pace(Load(**json.loads(line))))


if __name__ == "__main__":
    main()
