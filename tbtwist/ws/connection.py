"""One WebSocket connection, without a socket: what happens to it, in order.

It opens a lane of the bus, announces itself there (``ws.connect``), passes on
every message just as it came (``ws.message``), and says when it is gone
(``ws.disconnect``). What comes back over the lane or by `EventBus.send` goes
to the client. Nobody here looks into a message.

Flow control: reading is paused exactly while the connection is open and the
lane's window is full, or the worker is leaving and waits for the last answers.
Once it is closing, reading goes on, for only so the
client's answer to the close is seen, and what else it sends is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import attrs
import msgspec

from tbtwist.auth.identity import Identity
from tbtwist.auth.revocation import Revoker
from tbtwist.boundaries import EventBus, Lane, LaneEvents
from tbtwist.errors import QueueFull
from tbtwist.events import Event, EventType, Item
from tbtwist.tracing import Trace
from tbtwist.ws.counts import Counts
from tbtwist.ws.handshake import Head
from tbtwist.ws.registry import Registry

GOING_AWAY: Final = 1001
UNAUTHORIZED: Final = 1008
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
OVERLOADED: Final = 1013
NO_STATUS: Final = 1005

_DEFAULT_CLOSE_CODE: Final = 1008
_FORBIDDEN_CODES: Final = frozenset({1004, 1005, 1006, 1015})


@attrs.frozen
class Message:
    """A WebSocket message; text is UTF-8 in ``data``.

    ``channel`` is where it was sent: to a channel, to all (``""``), or (None) to
    one connection alone. It decides what a slow client may miss.
    """

    data: bytes
    binary: bool
    channel: str | None = None


class Socket(Protocol):
    """What a connection needs of its socket."""

    def send(self, message: Message) -> None:
        """Send a message to the client."""

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; `Connection.closed` follows."""

    def abort(self) -> None:
        """Drop the connection at once; `Connection.closed` follows."""

    def pause(self) -> None:
        """Deliver no more messages."""

    def resume(self) -> None:
        """Deliver messages again, first those that were held back."""


class Observer(Protocol):
    """Learns what becomes of connections and their memberships."""

    def joined(self, connection: Connection, channel: str, /, *, noticed: bool) -> None:
        """It is in a channel; ``noticed`` if others there should hear of that."""

    def left(self, connection: Connection, channel: str) -> None:
        """It was taken out of a channel."""

    def dismissed(self, connection: Connection) -> None:
        """The application closes it."""

    def gone(self, connection: Connection) -> None:
        """Its socket is gone."""


@attrs.frozen
class Shared:
    """What all connections of a worker have in common."""

    bus: EventBus
    registry: Registry[Connection]
    counts: Counts
    now: Callable[[], float]
    observers: tuple[Observer, ...] = ()

    def item(
        self, kind: EventType, payload: Mapping[str, Any], body: bytes = b""
    ) -> Item:
        """Return an item from this worker to whoever handles the connection."""
        source = str(self.bus.identity)
        event = Event(
            type=kind,
            source=source,
            target="http",
            payload=payload,
            timestamp=self.now(),
        )
        return Item(event, body)


def describe(
    conn_id: str, head: Head, identity: Identity, now: float
) -> dict[str, Any]:
    """Return what a handler learns about a connection with each event (R3)."""
    session = identity.session
    return {
        "conn_id": conn_id,
        "path": head.path,
        "query": head.query,
        "user_id": session.user_id,
        "user_name": session.user_name,
        "session_id": session.session_id,
        "level": session.level,
        "cloudm_user_id": session.provider_user_id,
        "authenticated": identity.authenticated(now),
        "exp": identity.ends_at,
    }


class _Phase(Enum):
    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Connection:
    """The core of one connection. All methods may be called in any phase.

    ``greeting`` is told to the client beside its id; ``resumable`` if it can come
    back and get what it missed (`tbtwist.ws.resume`). ``trace`` is the client's span,
    as its handshake said; all that comes from the client is handled under it.
    """

    __slots__ = (
        "_about",
        "_greeting",
        "_issued_at",
        "_lane",
        "_parting",
        "_paused",
        "_phase",
        "_shared",
        "_socket",
        "_trace",
        "_why",
        "resumable",
    )

    def __init__(  # noqa: PLR0913 - all that a handshake brings
        self,
        about: Mapping[str, Any],
        socket: Socket,
        shared: Shared,
        *,
        issued_at: float = 0.0,
        greeting: Mapping[str, object] | None = None,
        resumable: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self._about = about
        self._socket = socket
        self._shared = shared
        self._issued_at = issued_at
        self._greeting = greeting or {}
        self.resumable = resumable
        self._trace = trace
        self._phase = _Phase.NEW
        self._paused = self._parting = False
        self._why: tuple[int, str] | None = None
        self._lane: Lane | None = None

    @property
    def conn_id(self) -> str:
        """The id under which everybody knows this connection."""
        return str(self._about["conn_id"])

    @property
    def about(self) -> Mapping[str, Any]:
        """Return what handlers learn about it."""
        return self._about

    @property
    def person(self) -> dict[str, str]:
        """Return who it is to the other members of its channels."""
        keys = ("conn_id", "user_id", "user_name")
        return {key: str(self._about[key]) for key in keys}

    @property
    def is_open(self) -> bool:
        """Whether messages still go both ways."""
        return self._phase is _Phase.OPEN

    @property
    def is_parting(self) -> bool:
        """Whether it only waits for the last answers before it closes."""
        return self._parting

    def is_expired(self, now: float) -> bool:
        """Whether the session behind it has ended."""
        return bool(0 < self._about["exp"] <= now)

    def is_revoked(self, revoker: Revoker) -> bool:
        """Whether somebody has ended the session behind it."""
        about = self._about
        return revoker.is_revoked(
            about["session_id"], about["user_id"], self._issued_at
        )

    def open(self) -> None:
        """Greet the client and announce the connection on its lane."""
        if self._phase is not _Phase.NEW:
            return
        self._phase = _Phase.OPEN
        self._shared.registry.add(self.conn_id, self)
        self._shared.counts.opened += 1
        known = {"type": "connected", "conn_id": self.conn_id}
        greeting = {**known, **self._greeting}
        self._socket.send(Message(msgspec.json.encode(greeting), binary=False))
        events = LaneEvents(self._replied, self._has_room, self._given_up)
        self._lane = self._shared.bus.open_lane(self.conn_id, events)
        self._forward(self._lane, EventType.WS_CONNECT, self._about)

    def received(self, data: bytes, *, binary: bool) -> None:
        """Pass on a message of the client; text is UTF-8 in ``data``."""
        if self._lane is None or self._phase is not _Phase.OPEN:
            self._shared.counts.drop("received while closing")
            return
        self._shared.counts.messages_in += 1
        payload = {**self._about, "binary": binary}
        self._forward(self._lane, EventType.WS_MESSAGE, payload, data)

    def send(self, message: Message) -> str | None:
        """Send a message to the client; the reason why not, or None."""
        if self._phase is not _Phase.OPEN:
            return "the connection is closing"
        self._shared.counts.messages_out += 1
        self._socket.send(message)
        return None

    def apply(self, item: Item) -> str | None:
        """Do what an item for this connection says; the reason why not, or None."""
        payload = item.event.payload
        match item.event.type:
            case EventType.WS_SEND:
                return self.send(Message(item.body, bool(payload.get("binary"))))
            case EventType.WS_CLOSE:
                return self._close_as_told(payload)
            case EventType.WS_JOIN_CHANNEL:
                return self._join(payload)
            case EventType.WS_LEAVE_CHANNEL:
                self._leave(payload)
                return None
            case _:
                return "unknown event type"

    def _join(self, payload: Mapping[str, Any]) -> str | None:
        channel = str(payload.get("channel", ""))
        reason = self._shared.registry.join(self.conn_id, channel)
        if reason is None:
            noticed = bool(payload.get("presence"))
            for observer in self._shared.observers:
                observer.joined(self, channel, noticed=noticed)
        return reason

    def _leave(self, payload: Mapping[str, Any]) -> None:
        channel = str(payload.get("channel", ""))
        self._shared.registry.leave(self.conn_id, channel)
        for observer in self._shared.observers:
            observer.left(self, channel)

    def _close_as_told(self, payload: Mapping[str, Any]) -> str | None:
        code = payload.get("code", _DEFAULT_CLOSE_CODE)
        if not is_close_code(code):
            return "invalid close code"
        for observer in self._shared.observers:
            observer.dismissed(self)
        self.close(code, str(payload.get("reason", "")))
        return None

    def close(self, code: int, reason: str) -> None:
        """Begin to close; what the client still sends is dropped."""
        if self._phase is _Phase.OPEN:
            self._end(code, reason)
            self._socket.close(code, reason)

    def part(self, code: int, reason: str) -> None:
        """Take nothing more, and close if all that was taken has been answered.

        To be called again until it is closed.
        """
        self._parting = True
        if self._lane is None or self._lane.empty:
            self.close(code, reason)
        else:
            self._pause()

    def _end(self, code: int, reason: str) -> None:
        self._phase = _Phase.CLOSING
        self._why = (code, reason)
        self._shared.counts.closes[code] += 1
        self._resume()

    def failed(self, code: int, reason: str) -> None:
        """The client has broken the protocol; its socket closes by itself."""
        if self._phase is _Phase.OPEN:
            self._end(code, reason)

    def abort(self) -> None:
        """Drop a connection that does not end by itself."""
        if self._phase in {_Phase.OPEN, _Phase.CLOSING}:
            self._socket.abort()

    def closed(self, code: int, reason: str) -> None:
        """The socket is gone; ``code`` and ``reason`` are the client's, if any."""
        lane, self._lane = self._lane, None
        if lane is None:
            return
        self._phase = _Phase.CLOSED
        self._paused = False
        for observer in self._shared.observers:
            observer.gone(self)
        self._shared.registry.remove(self.conn_id)
        code, reason = self._why or (code, reason)
        payload = {
            "conn_id": self.conn_id,
            "path": self._about["path"],
            "user_id": self._about["user_id"],
            "code": code,
            "reason": reason,
        }
        self._forward(lane, EventType.WS_DISCONNECT, payload)
        lane.close()

    def _forward(
        self,
        lane: Lane,
        kind: EventType,
        payload: Mapping[str, Any],
        body: bytes = b"",
    ) -> None:
        try:
            item = self._shared.item(kind, payload, body)
            has_room = lane.forward(item.traced(self._trace))
        except QueueFull:
            self._shared.counts.drop("lane full")
            self.close(OVERLOADED, "too many unanswered messages")
            return
        if not has_room:
            self._pause()

    def _pause(self) -> None:
        if self._phase is _Phase.OPEN and not self._paused:
            self._paused = True
            self._socket.pause()

    def _has_room(self) -> None:
        if not self._parting:
            self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._socket.resume()

    def _replied(self, items: Sequence[Item]) -> None:
        for item in items:
            reason = self.apply(item)
            if reason is not None:
                self._shared.counts.drop(reason)

    def _given_up(self, item: Item) -> None:
        """Workers died of ``item``, and nobody gets it any more (the bus logs it).

        A client whose message is missing must not believe that all is well.
        """
        self._shared.counts.drop("given up")
        if item.event.type == EventType.WS_MESSAGE:
            self.close(INTERNAL_ERROR, "a message could not be handled")


def is_close_code(code: object) -> bool:
    """Whether a close frame may carry ``code`` (RFC 6455, section 7.4)."""
    if not isinstance(code, int) or code in _FORBIDDEN_CODES:
        return False
    return 1000 <= code <= 1014 or 3000 <= code <= 4999
