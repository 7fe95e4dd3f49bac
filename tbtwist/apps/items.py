"""What goes to WebSocket connections, as items of the bus (BUS.md, contract §4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from tbtwist.apps.encoding import to_json
from tbtwist.events import Event, EventType, Item

BROADCAST_TOPIC: Final = "ws.broadcast"


@attrs.frozen
class Message:
    """A WebSocket message: text (UTF-8), or binary."""

    body: bytes
    binary: bool = False

    @classmethod
    def of(cls, data: object) -> Message:
        """Return ``data`` as a message: bytes and text as they are, the rest as JSON."""
        if isinstance(data, bytes | bytearray | memoryview):
            return cls(bytes(data), binary=True)
        if isinstance(data, str):
            return cls(data.encode("utf-8", "replace"))
        return cls(to_json(data))


def send(conn_id: str, message: Message) -> Item:
    """Return the item that sends ``message`` to a connection."""
    payload = {"conn_id": conn_id, "binary": message.binary}
    return _item(EventType.WS_SEND, payload, message.body)


def close(conn_id: str, code: int, reason: str) -> Item:
    """Return the item that closes a connection."""
    payload = {"conn_id": conn_id, "code": code, "reason": reason}
    return _item(EventType.WS_CLOSE, payload)


def join(conn_id: str, channel: str) -> Item:
    """Return the item that makes a connection a member of ``channel``."""
    payload = {"conn_id": conn_id, "channel": channel}
    return _item(EventType.WS_JOIN_CHANNEL, payload)


def leave(conn_id: str, channel: str) -> Item:
    """Return the item that ends a membership."""
    payload = {"conn_id": conn_id, "channel": channel}
    return _item(EventType.WS_LEAVE_CHANNEL, payload)


def broadcast(channel: str, message: Message, exclude: str | Iterable[str]) -> Item:
    """Return the publication for every member of ``channel``."""
    payload = {"channel": channel, **_excluding(message, exclude)}
    return _item(EventType.WS_BROADCAST_CHANNEL, payload, message.body)


def broadcast_all(message: Message, exclude: str | Iterable[str]) -> Item:
    """Return the publication for every connection."""
    payload = _excluding(message, exclude)
    return _item(EventType.WS_BROADCAST_ALL, payload, message.body)


def _excluding(message: Message, exclude: str | Iterable[str]) -> dict[str, Any]:
    one = isinstance(exclude, str)
    ids = [exclude] * bool(exclude) if one else list(exclude)
    return {"exclude": ids, "binary": message.binary}


def _item(kind: EventType, payload: dict[str, Any], body: bytes = b"") -> Item:
    return Item(Event(type=kind, payload=payload), body)
