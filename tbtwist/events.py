"""What travels between processes.

An `Event` is the header of every message on the bus and has the keys of the
contract (§4): ``type, source, target, payload, correlation_id, timestamp,
ttl``. An `Item` is an event with raw bytes beside it, a WebSocket message just
as it came; nobody between the client and the handler looks into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tbtwist.tracing import Trace, continued


class EventType(StrEnum):
    """The event types of the contract (R4) that this system sends."""

    WS_CONNECT = "ws.connect"
    WS_MESSAGE = "ws.message"
    WS_DISCONNECT = "ws.disconnect"
    WS_SEND = "ws.send"
    WS_CLOSE = "ws.close"
    WS_BROADCAST_CHANNEL = "ws.broadcast_channel"
    WS_BROADCAST_ALL = "ws.broadcast_all"
    WS_JOIN_CHANNEL = "ws.join_channel"
    WS_LEAVE_CHANNEL = "ws.leave_channel"
    WS_POSITION = "ws.position"
    WS_PRESENCE = "ws.presence"
    WS_DEPARTED = "ws.departed"
    SESSION_REVOKED = "session.invalidate"
    CUSTOM = "custom"


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The header of a message: who says what to whom.

    ``payload`` has only what msgpack can carry: None, bool, int, float, str,
    bytes, lists and dicts with string keys. ``ttl`` is in seconds. The trace that it
    was sent under is not in the message where there is none. Values, which refer to
    nobody who refers to them: the garbage collector need not look at them.
    """

    type: str
    source: str = ""
    target: str = "*"
    payload: Mapping[str, Any] = {}
    correlation_id: str = ""
    timestamp: float = 0.0
    ttl: float = 60.0
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET

    def traced(self, trace: Trace | None) -> Event:
        """Return this event as sent under ``trace``, if there is one."""
        if trace is None:
            return self
        parent, state = trace.traceparent, trace.state or UNSET
        return msgspec.structs.replace(self, traceparent=parent, tracestate=state)

    def continued(self) -> Trace | None:
        """Return the span of whoever handles this, if it was sent under a trace."""
        if not self.traceparent:
            return None
        return continued(self.traceparent, self.tracestate or "")


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event and the raw bytes that it is about."""

    event: Event
    body: bytes = b""

    @property
    def conn_id(self) -> str:
        """Return the connection that this is about, or the empty string."""
        return str(self.event.payload.get("conn_id", ""))

    def traced(self, trace: Trace | None) -> Item:
        """Return this item as sent under ``trace``, if there is one."""
        return self if trace is None else Item(self.event.traced(trace), self.body)


class Delivery(msgspec.Struct, frozen=True):
    """An item of the reliable lane as its destination gets it.

    ``number`` counts from 1 for each ``(origin, key)``. ``redelivered`` is true
    when an earlier worker may have handled the item already.
    """

    origin: str
    key: str
    number: int
    item: Item
    redelivered: bool = False


class Publication(msgspec.Struct, frozen=True):
    """A published item as a subscriber gets it.

    ``missed`` is how many publications of this publisher and topic were lost
    before this one. ``number`` counts this publisher's publications under this
    topic: it always grows, by one unless the publisher had forgotten the topic.
    """

    topic: str
    item: Item
    missed: int = 0
    origin: str = ""
    number: int = 0
