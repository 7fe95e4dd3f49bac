"""What an application can say to the world, and hear from it (contract §9).

Every method can be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

from tbtwist.apps import items
from tbtwist.apps.calls import perform
from tbtwist.apps.crossing import CallOnReactor, on_reactor
from tbtwist.apps.encoding import to_plain
from tbtwist.apps.feeds import PREFIX, EventFeed, Handler, answering
from tbtwist.apps.items import BROADCAST_TOPIC, PRESENCE_METHOD, Message
from tbtwist.apps.outbox import Outbox
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.runner import Runner
from tbtwist.apps.signature import Call
from tbtwist.boundaries import AppPort, Subscription
from tbtwist.errors import NoBus
from tbtwist.events import Event, EventType, Item
from tbtwist.tracing import current_trace, within

H = TypeVar("H", bound=Handler)


@attrs.define(eq=False)
class _Line:
    """A connection to a bus, with what came into being for it."""

    outbox: Outbox
    runner: Runner
    feeds: list[EventFeed] = attrs.Factory(list)
    subscriptions: list[Subscription] = attrs.Factory(list)

    def close(self) -> None:
        for subscription in self.subscriptions:
            subscription.cancel()
        for feed in self.feeds:
            feed.close()


class Messaging:
    """The verbs of an `App`.

    The ``ws_`` verbs, `publish` and `send_notification` say True when what they
    sent is under way, and False when it is certain that it is not: there is no
    bus, too much is under way already, or the id is not a connection's.
    """

    def __init__(self, pool: SyncPool, timeout_s: float) -> None:
        self.pool = pool
        self.timeout_s = timeout_s
        self._line: _Line | None = None
        self._topics: list[tuple[str, Handler]] = []
        self._methods: list[tuple[str, Handler]] = []

    # --- the bus -------------------------------------------------------------

    def connect_bus(
        self, port: AppPort, call_on_reactor: CallOnReactor, runner: Runner
    ) -> None:
        """Speak over ``port`` from now on; handlers run through ``runner``.

        On the reactor's thread.
        """
        self._line = _Line(Outbox(port, call_on_reactor), runner)
        for topic, handler in self._topics:
            self._subscribe(self._line, topic, handler)
        for method, handler in self._methods:
            self._serve(self._line, method, handler)

    def disconnect_bus(self) -> None:
        """Forget the bus; on the reactor's thread."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    @property
    def events_dropped(self) -> int:
        """Return how many events its own handlers were too slow for."""
        feeds = self._line.feeds if self._line else []
        return sum(feed.dropped for feed in feeds)

    @property
    def sends_refused(self) -> int:
        """Return how many sends there was no room for."""
        return self._line.outbox.refused if self._line else 0

    # --- WebSockets ----------------------------------------------------------

    def ws_send(self, conn_id: str, data: object) -> bool:
        """Send ``data`` to a connection: bytes, text, or anything as JSON."""
        return self._send(items.send(conn_id, Message.of(data)))

    async def ws_send_confirmed(self, conn_id: str, data: object) -> None:
        """Send as `ws_send`, and come back when it has been taken; in asyncio code.

        Raises:
            Undeliverable: the connection is gone.
            QueueFull: too much is under way to it.
            NoBus: there is no bus.
        """
        outbox = self._connected().outbox
        item = items.send(conn_id, Message.of(data)).traced(current_trace())
        await on_reactor(outbox.call_on_reactor, within, None, outbox.port.send, item)

    def ws_broadcast(
        self, channel: str, data: object, exclude: str | Iterable[str] = ()
    ) -> bool:
        """Send ``data`` to all members of a channel except ``exclude``."""
        item = items.broadcast(channel, Message.of(data), exclude)
        return self._publish(BROADCAST_TOPIC, item)

    def ws_broadcast_all(self, data: object, exclude: str | Iterable[str] = ()) -> bool:
        """Send ``data`` to every connection except ``exclude``."""
        item = items.broadcast_all(Message.of(data), exclude)
        return self._publish(BROADCAST_TOPIC, item)

    def ws_join_channel(
        self, conn_id: str, channel: str, *, presence: bool = False
    ) -> bool:
        """Make a connection a member of ``channel``.

        With ``presence`` its client hears of others there who come and go, as far as
        they joined so too, and they of it.
        """
        return self._send(items.join(conn_id, channel, presence=presence))

    async def ws_presence(
        self, channel: str, timeout_s: float = 5.0
    ) -> list[dict[str, str]]:
        """Return who is in ``channel`` now: ``conn_id, user_id, user_name`` each.

        Every ws worker is asked for its members (the first 10,000); in asyncio code.

        Raises:
            Unroutable: there is no ws worker.
            CallTimeout: one of them does not answer.
            NoBus: there is no bus.
        """
        outbox = self._connected().outbox

        def ask() -> Any:
            payload = {"channel": channel}
            return outbox.port.call(
                "ws*", PRESENCE_METHOD, payload, timeout_s=timeout_s
            )

        answers = await on_reactor(outbox.call_on_reactor, within, None, ask)
        return [dict(member) for members in answers for member in members]

    def ws_leave_channel(self, conn_id: str, channel: str) -> bool:
        """End a membership."""
        return self._send(items.leave(conn_id, channel))

    def ws_close(self, conn_id: str, code: int = 1000, reason: str = "") -> bool:
        """Close a connection; 4000 to 4999 are codes of your own."""
        return self._send(items.close(conn_id, code, reason))

    def send_notification(
        self,
        title: str,
        content: str,
        conn_id: str | None = None,
        channel: str | None = None,
        icon: str | None = None,
        level: str = "info",
    ) -> bool:
        """Notify one connection, the members of a channel, or everybody (R3)."""
        data = {"title": title, "content": content, "level": level}
        message = {
            "type": "notification",
            "data": {**data, "icon": icon} if icon else data,
        }
        if conn_id is not None:
            return self.ws_send(conn_id, message)
        if channel is not None:
            return self.ws_broadcast(channel, message)
        return self.ws_broadcast_all(message)

    # --- other workers -------------------------------------------------------

    def publish(self, topic: str, payload: Mapping[str, Any]) -> bool:
        """Tell everybody who listens to ``topic`` (`on_event`), at most once."""
        event = Event(type=EventType.CUSTOM, payload=to_plain(payload))
        return self._publish(PREFIX + topic, Item(event))

    def on_event(self, topic: str) -> Callable[[H], H]:
        """Call the decorated function with the payload of every event of ``topic``.

        One after another; ``def`` in the pool, ``async def`` as a Task. What it
        raises is logged.
        """

        def register(handler: H) -> H:
            self._topics.append((topic, handler))
            self._when_connected(self._subscribe, topic, handler)
            return handler

        return register

    def serve(self, method: str) -> Callable[[H], H]:
        """Answer other workers' calls of ``method`` with what the function returns."""

        def register(handler: H) -> H:
            self._methods.append((method, handler))
            self._when_connected(self._serve, method, handler)
            return handler

        return register

    # --- within --------------------------------------------------------------

    def _connected(self) -> _Line:
        if self._line is None:
            raise NoBus
        return self._line

    async def _ask(
        self, target: str, method: str, payload: object, timeout_s: float
    ) -> Any:
        outbox, trace = self._connected().outbox, current_trace()

        def ask() -> Any:
            return outbox.port.call(
                target,
                PREFIX + method,
                to_plain(payload),
                timeout_s=timeout_s,
                trace=trace,
            )

        return await on_reactor(outbox.call_on_reactor, within, None, ask)

    def _send(self, item: Item) -> bool:
        sent = item.traced(current_trace())
        return self._line is not None and self._line.outbox.send(sent)

    def _publish(self, topic: str, item: Item) -> bool:
        sent = item.traced(current_trace())
        return self._line is not None and self._line.outbox.publish(topic, sent)

    def _when_connected(self, begin: Callable[..., None], *args: Any) -> None:
        line = self._line
        if line is not None:
            line.outbox.call_on_reactor(begin, line, *args)

    def _subscribe(self, line: _Line, topic: str, handler: Handler) -> None:
        feed = EventFeed(topic, handler, self._run_handler)
        line.feeds.append(feed)
        subscription = line.outbox.port.subscribe(PREFIX + topic, feed.take)
        line.subscriptions.append(subscription)

    def _serve(self, line: _Line, method: str, handler: Handler) -> None:
        line.outbox.port.serve(PREFIX + method, answering(handler, self._run_handler))

    async def _run_handler(self, handler: Handler, argument: Any) -> Any:
        call = Call.of(handler, argument)
        return await self._connected().runner.run(
            lambda: perform(call, self.pool), timeout_s=self.timeout_s
        )
