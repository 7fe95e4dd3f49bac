"""The bus inside one process: same core, same promises, no sockets.

Deterministic with ``task.Clock``: every message waits in one queue, and the
queue is worked off from a ``callLater(0, …)``, never from within a send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tbtwist.boundaries import Outgoing, Router
from tbtwist.bus.config import BusConfig
from tbtwist.bus.core import BusCore
from tbtwist.bus.wire import Receiver
from tbtwist.identity import WorkerId

QUEUE_LIMIT: Final = 100_000
PER_WAKE_UP: Final = 256


class MemoryHub:
    """The broker of one process: hands messages to ``router`` and its answers out.

    It ticks ``router`` as long as anybody is attached.
    """

    def __init__(
        self, router: Router, clock: IReactorTime, *, tick_s: float = 0.25
    ) -> None:
        self.clock = clock
        self._router = router
        self._tick_s = tick_s
        self._wires: dict[bytes, MemoryWire] = {}
        self._queue: deque[Callable[[], None]] = deque()
        self._pumping: IDelayedCall | None = None
        self._ticking: IDelayedCall | None = None

    def attach(self, wire: MemoryWire) -> None:
        """Bring a worker in."""
        self._wires[wire.identity] = wire
        if self._ticking is None:
            self._ticking = self.clock.callLater(self._tick_s, self._tick)

    def detach(self, wire: MemoryWire) -> None:
        """Let a worker go; the last one stops the clockwork."""
        if self._wires.get(wire.identity) is wire:
            del self._wires[wire.identity]
        if not self._wires:
            self._stop()

    def route(self, frames: Sequence[bytes], peer: bytes | None) -> bool:
        """Bring a message to the router; False when the queue is full."""
        return self._enqueue(lambda: self._routed(frames, peer))

    def spread(self, frames: Sequence[bytes]) -> bool:
        """Bring a publication to its subscribers; False when the queue is full."""
        return self._enqueue(lambda: self._published(frames))

    def _enqueue(self, step: Callable[[], None]) -> bool:
        if len(self._queue) >= QUEUE_LIMIT:
            return False
        self._queue.append(step)
        if self._pumping is None:
            self._pumping = self.clock.callLater(0, self._pump)
        return True

    def _pump(self) -> None:
        """Work off what is there, but let others have their turn."""
        for _ in range(min(len(self._queue), PER_WAKE_UP)):
            if not self._queue:  # the last one left
                break
            self._queue.popleft()()
        more = bool(self._queue)
        self._pumping = self.clock.callLater(0, self._pump) if more else None

    def _routed(self, frames: Sequence[bytes], peer: bytes | None) -> None:
        self._hand_out(self._router.received(frames, peer, self.clock.seconds()))

    def _tick(self) -> None:
        self._ticking = self.clock.callLater(self._tick_s, self._tick)
        self._hand_out(self._router.tick(self.clock.seconds()))

    def _hand_out(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            wire = self._wires.get(message.identity)
            if wire is None:
                self._hand_out(self._router.undelivered(message, "unreachable"))
            else:
                wire.received(message.frames)

    def _published(self, frames: Sequence[bytes]) -> None:
        for wire in tuple(self._wires.values()):
            if frames[0] in wire.topics:
                wire.published(frames)

    def _stop(self) -> None:
        self._queue.clear()
        for call in (self._pumping, self._ticking):
            if call is not None and call.active():
                call.cancel()
        self._pumping = self._ticking = None


def _nobody(_: Sequence[bytes]) -> None:
    """Receive nothing: the wire is not open."""


class MemoryWire:
    """`Wire` to a `MemoryHub`."""

    def __init__(self, hub: MemoryHub, identity: WorkerId) -> None:
        self.identity = str(identity).encode()
        self.topics: set[bytes] = set()
        self.received: Receiver = _nobody
        self.published: Receiver = _nobody
        self._hub = hub
        self._open = False

    def open(self, received: Receiver, published: Receiver) -> None:
        """As `Wire.open`."""
        self.received, self.published = received, published
        self._open = True
        self._hub.attach(self)

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.transmit`."""
        return self._open and self._hub.route(tuple(frames), self.identity)

    def push(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.push`."""
        return self._open and self._hub.route(tuple(frames), None)

    def publish(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.publish`."""
        return self._open and self._hub.spread(tuple(frames))

    def subscribe(self, topic: bytes) -> None:
        """As `Wire.subscribe`."""
        self.topics.add(topic)

    def unsubscribe(self, topic: bytes) -> None:
        """As `Wire.unsubscribe`."""
        self.topics.discard(topic)

    def close(self) -> None:
        """As `Wire.close`."""
        self._open = False
        self.received = self.published = _nobody
        self._hub.detach(self)


class MemoryBus(BusCore):
    """`EventBus` for everything that runs in one process."""

    def __init__(
        self, hub: MemoryHub, identity: WorkerId, config: BusConfig | None = None
    ) -> None:
        wire = MemoryWire(hub, identity)
        super().__init__(hub.clock, identity, wire, config or BusConfig())
