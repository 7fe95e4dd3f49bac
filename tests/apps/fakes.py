"""What the tests of applications stand on: a bus that writes down, a quick loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed

from tbtwist.apps.pool import SyncPool
from tbtwist.boundaries import CallHandler, IncomingCall, PublicationHandler
from tbtwist.events import Event, Item, Publication
from tbtwist.identity import WorkerId, new_conn_id
from tbtwist.tracing import Trace

T = TypeVar("T")

WS = WorkerId("ws-1", 7, "aa")
CONN = new_conn_id(WS, lambda count: bytes(range(count)))
OTHER = new_conn_id(WS, lambda count: bytes([9] * count))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own."""
    return asyncio.run(work)


def direct(function: Callable[..., object], *args: Any) -> None:
    """Be a `CallOnReactor` for tests that are on the reactor's thread already."""
    function(*args)


@attrs.define(eq=False)
class FakeSubscription:
    """Remembers that it was cancelled."""

    topic: str
    handler: PublicationHandler
    cancelled: bool = False

    def cancel(self) -> None:
        """End it."""
        self.cancelled = True


@attrs.define(eq=False)
class FakePort:
    """An `AppPort` that writes down what it is asked, and answers as it was told."""

    sent: list[Item] = attrs.Factory(list)
    published: list[tuple[str, Item]] = attrs.Factory(list)
    subscriptions: list[FakeSubscription] = attrs.Factory(list)
    calls: list[tuple[str, str, object, float]] = attrs.Factory(list)
    traces: list[Trace | None] = attrs.Factory(list)
    served: dict[str, CallHandler] = attrs.Factory(dict)
    threads: list[str] = attrs.Factory(list)
    refusal: Exception | None = None
    answer: Any = None
    open: list[Deferred[None]] | None = None

    def send(self, item: Item) -> Deferred[None]:
        """Write it down; done at once, refused, or left open."""
        self.threads.append(threading.current_thread().name)
        if self.refusal is not None:
            return fail(self.refusal)
        self.sent.append(item)
        if self.open is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self.open.append(waiting)
        return waiting

    def publish(self, topic: str, item: Item) -> None:
        """Write it down, or refuse it."""
        if self.refusal is not None:
            raise self.refusal
        self.published.append((topic, item))

    def subscribe(self, topic: str, handler: PublicationHandler) -> FakeSubscription:
        """Write it down."""
        subscription = FakeSubscription(topic, handler)
        self.subscriptions.append(subscription)
        return subscription

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        *,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """Write it down, and answer."""
        self.calls.append((target, method, payload, timeout_s))
        self.traces.append(trace)
        return succeed(self.answer) if self.refusal is None else fail(self.refusal)

    def serve(self, method: str, handler: CallHandler) -> None:
        """Write it down."""
        self.served[method] = handler

    def tell(
        self, topic: str, payload: dict[str, Any], trace: Trace | None = None
    ) -> None:
        """Publish to those who subscribed."""
        item = Item(Event(type="custom", payload=payload)).traced(trace)
        for subscription in self.subscriptions:
            if subscription.topic == topic and not subscription.cancelled:
                subscription.handler(Publication(topic, item))

    async def ask(self, method: str, payload: object) -> object:
        """Call what is served as ``method``."""
        return await self.served[method](IncomingCall("http-2.1.bb", method, payload))


class QuickRunner:
    """A `Runner` whose Deferreds have fired when they are returned.

    For what an asynchronous test of the reactor's side does not depend on.
    """

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def run(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, timeout_s: float
    ) -> Deferred[T]:
        """Run it to its end on a loop of its own."""
        self.timeouts.append(timeout_s)
        try:
            return succeed(asyncio.run(work()))
        except Exception as error:  # noqa: BLE001 - it is the answer
            return fail(error)


def stopped(pool: SyncPool) -> None:
    """Stop a pool and wait until its threads have ended."""
    ended = threading.Event()
    pool.stop(ended.set)
    if not ended.wait(10):
        msg = "the threads of the pool did not end"
        raise AssertionError(msg)
