"""What a worker gets on reliable lanes: deliveries to handle, sends to take."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from twisted.logger import Logger

from tbtwist.boundaries import DeliveryHandler, OriginLostHandler, SendHandler
from tbtwist.bus.codec import Packed, Parcel, Verb, pack, unpack
from tbtwist.bus.inbox import Inbox, Record
from tbtwist.bus.table import Change
from tbtwist.bus.wire import Surroundings
from tbtwist.errors import BadFrame
from tbtwist.events import Delivery
from tbtwist.identity import WorkerId
from tbtwist.services import Background
from tbtwist.tracing import awaited_within, within

_log = Logger()


class Deliveries:
    """Handles what arrives on lanes: a key in order, different keys side by side.

    A handler that fails, in whatever way, is logged, and its item acknowledged
    without replies: it has been handled, and must not come again for ever.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._inbox = Inbox(around.config, around.counters)
        self._handler: DeliveryHandler | None = None
        self._lost_handler: OriginLostHandler | None = None
        self._waiting: deque[Record] = deque()
        self._running = 0
        self._starting = False
        self._closed = False
        self._background = Background()

    @property
    def load(self) -> int:
        """Return how many keys have something to handle now."""
        return self._running + len(self._waiting)

    @property
    def bound(self) -> int:
        """Return how many lanes are bound to this worker."""
        return len(self._inbox)

    @property
    def empty(self) -> bool:
        """Whether no lane is bound to this worker any more."""
        return not self.bound

    def handle_with(self, handler: DeliveryHandler) -> None:
        """Handle deliveries with ``handler`` from now on."""
        self._handler = handler
        self._start()

    def tell_losses(self, handler: OriginLostHandler) -> None:
        """Tell ``handler`` of dead origins."""
        self._lost_handler = handler

    def received(self, origin: str, parcels: Sequence[Parcel]) -> None:
        """Take what arrived."""
        for parcel in parcels:
            outcome = self._inbox.accept(origin, parcel)
            if isinstance(outcome, Parcel):
                self._around.outbox.put(Verb.FORWARD_ACK, origin, outcome)
            elif outcome is not None and not outcome.busy:
                outcome.busy = True
                self._waiting.append(outcome)
        self._start()

    def _start(self) -> None:
        """Start as many keys as the bound allows; not again from within itself."""
        if self._starting or self._handler is None:
            return
        self._starting = True
        while self._waiting and self._running < self._around.config.concurrency:
            self._running += 1
            record = self._waiting.popleft()
            self._background.spawn("a delivery", self._work(record, self._handler))
        self._starting = False

    async def _work(self, record: Record, handler: DeliveryHandler) -> None:
        """Handle one key until nothing is left."""
        try:
            while record.pending and not self._closed:
                parcel = record.pending.popleft()
                replies = await self._handle(record, parcel, handler)
                ack = self._inbox.acknowledge(record, parcel.stamp, replies)
                if not (record.lost or self._closed):
                    self._around.outbox.put(Verb.FORWARD_ACK, record.origin, ack)
        finally:
            record.busy = False
            self._running -= 1
            if not self._closed:
                self._start()

    async def _handle(
        self, record: Record, parcel: Parcel, handler: DeliveryHandler
    ) -> list[Packed]:
        stamp, trace = parcel.stamp, None
        try:
            item = unpack(parcel.items[0])
            trace = item.event.continued()
            again = record.redelivered(stamp)
            if again:
                self._around.counters["redelivered"] += 1
            self._around.done["handled"] += 1
            delivery = Delivery(record.origin, stamp.key, stamp.number, item, again)
            replies = await awaited_within(trace, handler, delivery)
            return [pack(reply.traced(trace)) for reply in replies]
        except BaseException:  # or the key would be deaf from now on
            if self._closed:
                raise
            within(
                trace,
                _log.failure,
                "handling item {number} of {key} failed",
                number=stamp.number,
                key=stamp.key,
            )
            return []

    def ask_to_be_forgotten(self) -> None:
        """Remind origins of the keys that rest here: their farewell may be lost."""
        for origin, ack in self._inbox.resting():
            self._around.outbox.put(Verb.FORWARD_ACK, origin, ack)

    def changed(self, change: Change) -> None:
        """Forget the origins that are gone, and tell who wants to know."""
        for origin in sorted(change.gone):
            keys = self._inbox.lose(origin)
            if keys and self._lost_handler is not None:
                try:
                    self._lost_handler(WorkerId.parse(origin), keys)
                except Exception:  # noqa: BLE001 - the next origin counts as well
                    _log.failure("the loss of {origin} was not taken", origin=origin)

    def close(self) -> None:
        """Stop handling; what runs is cancelled."""
        self._closed = True
        self._waiting.clear()
        self._background.cancel_all()


class Receptions:
    """Takes what other workers send to our connections, at once and in order."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._inbox = Inbox(around.config, around.counters)
        self._handler: SendHandler | None = None

    def take_with(self, handler: SendHandler) -> None:
        """Give sends to ``handler`` from now on."""
        self._handler = handler

    def received(self, origin: str, parcels: Sequence[Parcel]) -> None:
        """Take what arrived, and answer."""
        for parcel in parcels:
            outcome = self._inbox.accept(origin, parcel)
            if isinstance(outcome, Record):
                outcome.pending.clear()
                reason = self._take(parcel)
                outcome = self._inbox.acknowledge(outcome, parcel.stamp, reason=reason)
            if outcome is not None:
                self._around.outbox.put(Verb.SEND_ACK, origin, outcome)

    def _take(self, parcel: Parcel) -> str:
        """Return why the item was not taken, or nothing."""
        if self._handler is None:
            return "this worker has no connections"
        try:
            reason = self._handler(unpack(parcel.items[0])) or ""
        except BadFrame as error:
            return str(error)
        except Exception:  # noqa: BLE001 - the sender gets an answer in any case
            _log.failure("taking an item for {key} failed", key=parcel.stamp.key)
            return "the owner of the connection failed"
        self._around.done["taken"] += not reason
        return reason

    def changed(self, change: Change) -> None:
        """Forget the origins that are gone."""
        for origin in change.gone:
            self._inbox.lose(origin)
