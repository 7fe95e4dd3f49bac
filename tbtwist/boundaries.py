"""What the parts ask of each other.

The bus' promises are described in ``docs/bus.md``; here is their shape. An
engine (memory, ZeroMQ) implements `EventBus`; nobody outside ``bus/`` knows
which one runs. All methods are called on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from tbtwist.events import Delivery, Item, Publication
from tbtwist.identity import WorkerId
from tbtwist.status import Role, Status, UpdateStep
from tbtwist.tracing import Trace

# --- the bus -----------------------------------------------------------------

PublicationHandler = Callable[[Publication], None]
DeliveryHandler = Callable[[Delivery], Awaitable[Sequence[Item]]]
"""Handles one item of a lane; what it returns travels back inside the ack."""
SendHandler = Callable[[Item], str | None]
"""Takes an item for a connection; the reason why it could not, or None."""
CallHandler = Callable[["IncomingCall"], Awaitable[object]]
OriginLostHandler = Callable[[WorkerId, Sequence[str]], None]
"""Told which worker died, and the keys of its lanes that were bound here."""


@attrs.frozen
class IncomingCall:
    """A ``call`` as the one who answers it sees it."""

    origin: str
    method: str
    payload: Any


def _logged_already(_: Item) -> None:
    """Leave it at the bus' own log."""


@attrs.frozen
class LaneEvents:
    """What a lane tells its owner.

    ``on_replies`` gets the items that a handler sent back, in the order of the
    messages; ``on_room`` is called when a window that was full has room again;
    ``on_given_up`` gets an item that is not delivered any more, because workers
    died with it in hand.
    """

    on_replies: Callable[[Sequence[Item]], None]
    on_room: Callable[[], None]
    on_given_up: Callable[[Item], None] = _logged_already


class Lane(Protocol):
    """The ordered way of one key (a connection) to its http worker.

    The origin keeps every item until it is acknowledged, end to end. While the
    origin lives, nothing is lost but an item that kills whoever handles it; what
    may have been handled twice is marked.
    """

    @property
    def empty(self) -> bool:
        """Whether everything forwarded has been acknowledged."""

    def forward(self, item: Item) -> bool:
        """Take ``item``; False when the window is full from now on.

        The item is taken in either case. After False the owner stops reading
        from its source until `LaneEvents.on_room`.

        Raises:
            QueueFull: the owner went on regardless, far beyond the window.
        """

    def close(self) -> None:
        """Forget the key once everything forwarded has been acknowledged."""


class Subscription(Protocol):
    """A subscription that can be ended."""

    def cancel(self) -> None:
        """End it; calling this twice is fine."""


@attrs.frozen
class BusFigures:
    """What a bus has done so far, and what it has at hand.

    ``done`` counts messages by what became of them, ``incidents`` whatever was
    dropped, refused or repeated by its reason; ``now`` are amounts of this moment.
    """

    done: Mapping[str, int] = attrs.Factory(dict)
    incidents: Mapping[str, int] = attrs.Factory(dict)
    now: Mapping[str, int] = attrs.Factory(dict)


class EventBus(Protocol):
    """The four verbs, each with its promise (publish, forward, send, call).

    Lifetime: register handlers, then `connect`, then `announce` readiness;
    in the end `drain`, then `close`.
    """

    @property
    def identity(self) -> WorkerId:
        """Who we are on this bus."""

    @property
    def connected(self) -> bool:
        """Whether the broker knows us and our subscriptions have been echoed."""

    def colleagues(self, role: str) -> int:
        """How many workers of ``role`` the broker has announced."""

    def figures(self) -> BusFigures:
        """Return what has been done, what went wrong, and what is at hand."""

    def connect(self) -> Deferred[None]:
        """Join the bus; fires when `connected` is true for the first time."""

    def announce(self, *, ready: bool) -> None:
        """Tell everyone whether new keys and calls may come to this worker."""

    def drain(self, timeout_s: float) -> Deferred[bool]:
        """Take no new keys; True when all windows emptied in time."""

    def close(self) -> Deferred[None]:
        """Leave the bus and free everything it held."""

    def publish(self, topic: str, item: Item) -> None:
        """Tell every subscriber of ``topic``, at most once, in order."""

    def subscribe(self, topic: str, handler: PublicationHandler) -> Subscription:
        """Call ``handler`` with everything published under exactly ``topic``."""

    def open_lane(self, key: str, events: LaneEvents) -> Lane:
        """Open the reliable lane of ``key`` to one ready http worker."""

    def send(self, item: Item) -> Deferred[None]:
        """Bring ``item`` to the ws worker that owns ``item.conn_id``, in order.

        Fails with `Undeliverable` (the connection is gone, or no such owner),
        `QueueFull`, or nothing while the broker is away: it is sent again.
        """

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        *,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """Ask and get the answer, or an error in time.

        ``target`` is a slot (``http-1``: its newest ready generation), a role
        (``http``: any ready one) or all of a role (``http*``: a list of answers).
        Whoever answers works under ``trace``, in a span of their own. Fails with
        `Unroutable` at once, `CallTimeout`, or `CallRefused`.
        """

    def serve(self, method: str, handler: CallHandler) -> None:
        """Answer calls of ``method``, each under its trace."""

    def on_delivery(self, handler: DeliveryHandler) -> None:
        """Handle what arrives on lanes (http workers), each under its trace."""

    def on_send(self, handler: SendHandler) -> None:
        """Handle what is sent to connections of ours (ws workers)."""

    def on_origin_lost(self, handler: OriginLostHandler) -> None:
        """Learn that an origin died together with its lanes."""

    def on_fenced(self, handler: Callable[[], None]) -> None:
        """Learn that the broker has declared us dead; the bus is closed by then."""


# --- the broker's side -------------------------------------------------------


@attrs.frozen
class Outgoing:
    """What the routing core wants sent: ``frames`` to the worker ``identity``."""

    identity: bytes
    frames: tuple[bytes, ...]


class Router(Protocol):
    """The routing core: knows who is there, and nothing of sockets."""

    def received(
        self, frames: Sequence[bytes], peer: bytes | None, now: float
    ) -> Sequence[Outgoing]:
        """Take one message and return what must be sent because of it.

        ``peer`` is the identity that the transport vouches for; None for
        messages that came in through PULL.
        """

    def tick(self, now: float) -> Sequence[Outgoing]:
        """Time has passed: heartbeats to send, silent workers to declare dead."""

    def undelivered(self, message: Outgoing, reason: str) -> Sequence[Outgoing]:
        """``message`` could not be sent; return what must be sent because of that."""


# --- the manager's side ------------------------------------------------------


class ManagerPort(Protocol):
    """What the control plane may ask of the supervisor."""

    def status(self) -> Status:
        """Return a snapshot of everything."""

    def stop(self, timeout_s: float) -> Deferred[None]:
        """Drain and stop everything; fires when all children are gone."""

    def plan(self, roles: Sequence[Role]) -> Sequence[str]:
        """Return what `update` would do now, a line a step."""

    def update(
        self, say: Callable[[UpdateStep], None], roles: Sequence[Role]
    ) -> Deferred[None]:
        """Read the configuration again and replace all workers of ``roles``.

        Fails with the reason when a new worker does not get ready; the old ones
        serve on.
        """

    def start_worker(self, role: Role) -> Deferred[str]:
        """Start one more worker; fires with its id when it serves."""

    def stop_worker(self, worker_id: str, *, graceful: bool = True) -> Deferred[None]:
        """Let one worker drain and leave; ungraceful, it is killed."""

    def restart_worker(
        self, say: Callable[[UpdateStep], None], worker_id: str
    ) -> Deferred[None]:
        """Replace one worker as `update` does."""

    def scale(self, role: Role, count: int) -> Deferred[None]:
        """Start or stop workers until there are ``count`` of ``role``."""


# --- what application code may ask of its process ----------------------------


class AppPort(Protocol):
    """The bus as an application sees it; every method on the reactor's thread."""

    def send(self, item: Item) -> Deferred[None]:
        """As `EventBus.send`."""

    def publish(self, topic: str, item: Item) -> None:
        """As `EventBus.publish`."""

    def subscribe(self, topic: str, handler: PublicationHandler) -> Subscription:
        """As `EventBus.subscribe`."""

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        *,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """As `EventBus.call`."""

    def serve(self, method: str, handler: CallHandler) -> None:
        """As `EventBus.serve`."""
