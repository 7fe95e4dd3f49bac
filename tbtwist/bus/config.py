"""The bus' bounds and times."""

from __future__ import annotations

import attrs

from tbtwist.config.schema import KIB, MIB, Settings


@attrs.frozen(kw_only=True)
class BusConfig:
    """Every bound of the bus, with its default.

    A lane has at most a *window* of items on the way; what is beyond it waits in
    the lane's *queue*, and is refused when that is full, or all lanes together
    hold ``total_bytes``. ``kept_bytes`` bounds what a destination keeps of its
    acknowledgements, ``keys`` how many lanes it remembers. An item that was in
    hand at ``max_deaths`` workers when they died is given up.
    """

    heartbeat_s: float = 1.0
    dead_after_s: float = 3.0
    resend_after_s: float = 10.0
    retry_after_s: float = 0.2
    idle_after_s: float = 30.0
    echo_every_s: float = 0.05
    window_messages: int = 64
    window_bytes: int = 256 * KIB
    queue_messages: int = 1024
    queue_bytes: int = 4 * MIB
    total_bytes: int = 64 * MIB
    kept_bytes: int = 16 * MIB
    keys: int = 100_000
    concurrency: int = 100
    max_deaths: int = 2
    calls: int = 1000
    hwm_send: int = 10_000
    hwm_recv: int = 10_000

    @classmethod
    def from_settings(cls, settings: Settings) -> BusConfig:
        """Return the bounds that the configuration asks for."""
        zmq = settings.zmq
        default = cls()
        return cls(
            heartbeat_s=zmq.heartbeat_period_s,
            dead_after_s=zmq.heartbeat_timeout_s,
            window_messages=zmq.window_messages,
            window_bytes=zmq.window_bytes,
            queue_messages=max(default.queue_messages, 2 * zmq.window_messages),
            queue_bytes=max(default.queue_bytes, 2 * zmq.window_bytes),
            concurrency=settings.http_worker.max_concurrent,
            hwm_send=zmq.hwm_send,
            hwm_recv=zmq.hwm_recv,
        )
