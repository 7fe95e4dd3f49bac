"""What leaves in one wake-up leaves together."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.bus.codec import (
    Parcel,
    Stamp,
    Verb,
    decode_number,
    decode_route,
    decode_stamps,
)
from tbtwist.bus.wire import (
    BATCH_BYTES,
    BATCH_ITEMS,
    BATCH_PARCELS,
    Outbox,
    Receiver,
    batches,
)


class RecordingWire:
    """Notes what is sent, and where."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, list[int]]] = []
        self.published: list[tuple[bytes, int, int]] = []
        self.full = False

    def _note(self, way: str, frames: Sequence[bytes]) -> bool:
        route = decode_route(frames[0])
        numbers = [stamp.number for stamp in decode_stamps(route)]
        self.sent.append((way, route.destination, numbers))
        return not self.full

    def open(self, received: Receiver, published: Receiver) -> None:
        """As `Wire.open`."""

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.transmit`."""
        return self._note("transmit", frames)

    def push(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.push`."""
        return self._note("push", frames)

    def publish(self, frames: Sequence[bytes]) -> bool:
        """As `Wire.publish`."""
        topic, route, items = frames
        first = decode_number(decode_route(route).rest)
        self.published.append((topic, first, len(items) - 3))
        return not self.full

    def subscribe(self, topic: bytes) -> None:
        """As `Wire.subscribe`."""

    def unsubscribe(self, topic: bytes) -> None:
        """As `Wire.unsubscribe`."""

    def close(self) -> None:
        """As `Wire.close`."""


def parcel(number: int, size: int = 0) -> Parcel:
    """Return a parcel."""
    return Parcel(Stamp("k", 1, number), ((b"", b"x" * size),))


class OutboxTests(SynchronousTestCase):
    """Batches a destination."""

    def setUp(self) -> None:
        """Start afresh."""
        self.clock, self.wire = Clock(), RecordingWire()
        self.outbox = Outbox(self.clock, self.wire, "ws-1.1.aa")

    def test_one_message_a_destination(self) -> None:
        """Parcels of one wake-up travel together, sends on their own way."""
        for number in (1, 2, 3):
            self.outbox.put(Verb.FORWARD, "http-1.1.aa", parcel(number))
        self.outbox.put(Verb.FORWARD, "http-2.1.bb", parcel(4))
        self.outbox.put(Verb.SEND, "ws-1.1.aa", parcel(5))
        self.assertEqual(self.wire.sent, [])
        self.clock.advance(0)
        self.assertEqual(
            self.wire.sent,
            [
                ("transmit", "http-1.1.aa", [1, 2, 3]),
                ("transmit", "http-2.1.bb", [4]),
                ("push", "ws-1.1.aa", [5]),
            ],
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_publications_of_a_turn(self) -> None:
        """Publications of one topic travel together, numbered by the first."""
        for number in (7, 8):
            self.outbox.publish(b"a\0", number, b"\xc0")
        self.outbox.publish(b"b\0", 1, b"\xc0")
        self.assertEqual(self.wire.published, [])
        self.clock.advance(0)
        self.assertEqual(self.wire.published, [(b"a\0", 7, 2), (b"b\0", 1, 1)])

    def test_publications_are_bounded(self) -> None:
        """Many or large ones do not wait for the end of the turn."""
        for number in range(BATCH_ITEMS):
            self.outbox.publish(b"a\0", number, b"\xc0")
        self.outbox.publish(b"b\0", 1, bytes(BATCH_BYTES))
        sent = [(b"a\0", 0, BATCH_ITEMS), (b"b\0", 1, BATCH_BYTES)]
        self.assertEqual(self.wire.published, sent)
        self.clock.advance(0)
        self.assertEqual(self.wire.published, sent)

    def test_what_the_wire_does_not_take_is_counted(self) -> None:
        """Nothing is dropped in silence."""
        self.wire.full = True
        self.outbox.put(Verb.FORWARD, "http-1.1.aa", parcel(1))
        self.outbox.put(Verb.SEND, "ws-1.1.aa", parcel(1))
        self.outbox.publish(b"a\0", 1, b"\xc0")
        self.outbox.publish(b"a\0", 2, b"\xc0")
        self.clock.advance(0)
        self.outbox.discard()
        self.outbox.publish(b"a\0", 3, b"\xc0")
        self.assertEqual(
            self.outbox.counters,
            {"forward: no room": 1, "send: no room": 1, "publication: not sent": 3},
        )

    def test_flush_and_discard(self) -> None:
        """What must leave now leaves now; what is discarded never leaves."""
        self.outbox.put(Verb.FORWARD, "http-1.1.aa", parcel(1))
        self.outbox.flush()
        self.outbox.flush()
        self.outbox.put(Verb.FORWARD, "http-1.1.aa", parcel(2))
        self.outbox.discard()
        self.clock.advance(1)
        self.assertEqual(self.wire.sent, [("transmit", "http-1.1.aa", [1])])

    def test_messages_are_bounded(self) -> None:
        """A message holds so many parcels and bytes, and a large one alone."""
        many = batches([parcel(n) for n in range(BATCH_PARCELS + 1)])
        self.assertEqual([len(batch) for batch in many], [BATCH_PARCELS, 1])
        large = batches([parcel(1), parcel(2, BATCH_BYTES + 1), parcel(3)])
        self.assertEqual([len(batch) for batch in large], [1, 1, 1])
        self.assertEqual(batches([]), [])
