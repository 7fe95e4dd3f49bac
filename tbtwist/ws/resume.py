"""Resuming: whoever comes back in time gets what the channels said meanwhile.

A client asks with ``?resume=1``. It is greeted with a token, gets a new one when
its channels change and now and then, and sees from the stamps how far it is
(`tbtwist.ws.stamps`). It comes back with ``?resume=TOKEN&seen=POSITIONS``, to any
worker, which puts it into its channels again and sends what it missed, in order
and before anything new; or says that it cannot (``recovered: false``).

A message may reach a worker after the client that had it from another one. So a
client passes over stamped messages that are not beyond what it has seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tbtwist.boundaries import EventBus, Subscription
from tbtwist.events import Event, EventType, Item, Publication
from tbtwist.ws.connection import Connection, Socket
from tbtwist.ws.departures import Departures
from tbtwist.ws.handshake import Head
from tbtwist.ws.positions import Vector, furthest, read_vector
from tbtwist.ws.presence import Presence
from tbtwist.ws.recall import Recall
from tbtwist.ws.registry import Registry
from tbtwist.ws.stamps import StampedSocket, ours, stamped
from tbtwist.ws.tokens import Refusal, ResumeTokens, Standing, fitting, owner_of

DEPARTED_TOPIC: Final = "ws.departed"

TOKEN_SHARE: Final = 1.5
"""A token is good for so many times ``resume_s``: it may be half as old at a loss."""

_FIRST: Final = frozenset({"", "1"})
_SETTLE_S: Final = 0.05


@attrs.frozen
class Wish:
    """What a handshake asks for; no ``token`` if it is the first of its line."""

    token: str
    seen: Vector

    @classmethod
    def of(cls, head: Head) -> Wish | None:
        """Read the query; None if nobody wants to resume."""
        query = dict(reversed(parse_qsl(head.query, keep_blank_values=True)))
        token = query.get("resume")
        if token is None:
            return None
        seen = read_vector(query.get("seen", ""))
        return cls("" if token in _FIRST else token, seen)


def without_wish(head: Head) -> Head:
    """Return a head as handlers may know it: what is said to us is not theirs."""
    parts = head.query.split("&")
    others = [part for part in parts if not part.startswith(("resume=", "seen="))]
    if not any(part.startswith("resume=") for part in parts):
        return head
    return attrs.evolve(head, query="&".join(others))


@attrs.frozen
class Opening:
    """How a connection begins: its socket, and what it is greeted with."""

    socket: Socket
    greeting: Mapping[str, object] = attrs.Factory(dict)
    wish: Wish | None = None


@attrs.define(eq=False)
class _Line:
    """One connection after another of one client; the first one's id is the name."""

    name: str
    owner: bytes
    token_at: float


@attrs.define(eq=False)
class Resuming:
    """The resumable connections of a worker; an `Observer` of connections."""

    _bus: EventBus
    _registry: Registry[Connection]
    _presence: Presence
    _clock: IReactorTime
    _recall: Recall
    _tokens: ResumeTokens
    _departures: Departures = attrs.field(init=False)
    _lines: OrderedDict[Connection, _Line] = attrs.field(
        factory=OrderedDict, init=False
    )
    _changed: dict[Connection, None] = attrs.field(factory=dict, init=False)
    _settling: IDelayedCall | None = attrs.field(default=None, init=False)
    _subscription: Subscription | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._departures = Departures(self._tokens.valid_s)

    # --- life ------------------------------------------------------------------

    def start(self) -> None:
        """Register at the bus, before that connects."""
        self._subscription = self._bus.subscribe(DEPARTED_TOPIC, self._departed)

    def stop(self) -> None:
        """Let go of the bus and the clock, and of all connections."""
        self._lines.clear()
        if self._subscription is not None:
            self._subscription.cancel()
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def tick(self) -> None:
        """Renew tokens before they are too old; every second."""
        now = self._recall.now()
        self._departures.expire(now)
        due = now - self._recall.settings.resume_s / 2
        while self._lines and next(iter(self._lines.values())).token_at <= due:
            self._renew(next(iter(self._lines)))

    # --- connections -----------------------------------------------------------

    def opening(self, socket: Socket, head: Head, about: Mapping[str, Any]) -> Opening:
        """Return how a connection begins that asked with ``head``."""
        wish = Wish.of(head) if self._recall.enabled else None
        if wish is None:
            return Opening(socket)
        if wish.token:
            return Opening(StampedSocket(socket), {"resuming": True}, wish)
        line = self._line(about)
        token = self._token(line, line.name, {}, self._recall.positions.vector)
        return Opening(StampedSocket(socket), {"resume": token}, wish)

    def opened(self, connection: Connection, wish: Wish) -> None:
        """Follow a connection that has been greeted, and bring it up to date."""
        line = self._line(connection.about)
        self._lines[connection] = line
        if not wish.token:
            return
        standing = self._tokens.read(wish.token, line.owner)
        if isinstance(standing, Standing) and self._was_sent_away(standing):
            standing = Refusal("sent away")
        if isinstance(standing, Refusal):
            self._say_resumed(connection, {}, reason=standing.reason)
            return
        line.name = standing.line
        self._resume(connection, standing, furthest(standing.positions, wish.seen))

    def missed(self, broadcasts: int) -> None:
        """Tell everybody who asked that broadcasts were lost on their way to us."""
        message = ours({"type": "missed", "broadcasts": broadcasts})
        for connection in tuple(self._lines):
            connection.send(message)

    def _line(self, about: Mapping[str, Any]) -> _Line:
        return _Line(str(about["conn_id"]), owner_of(about), self._recall.now())

    def _was_sent_away(self, standing: Standing) -> bool:
        return self._departures.since(standing.line, None, standing.issued_at)

    def _resume(self, connection: Connection, standing: Standing, seen: Vector) -> None:
        rejoined = [
            channel
            for channel, noticed in standing.channels.items()
            if self._rejoin(connection, channel, standing, noticed=noticed)
        ]
        missed = self._recall.missed(rejoined, standing, seen)
        for broadcast in self._recall.history.in_order(missed.broadcasts):
            if standing.conn_id not in broadcast.exclude:
                connection.send(stamped(broadcast))
        told = {
            channel: {"recovered": news is not None, "messages": len(news or ())}
            for channel, news in missed.channels.items()
        }
        self._say_resumed(connection, told, seen, recovered=missed.recovered)

    def _rejoin(
        self, connection: Connection, channel: str, standing: Standing, *, noticed: bool
    ) -> bool:
        """Put a connection into a channel, unless it was taken out of it since."""
        if self._departures.since(standing.line, channel, standing.issued_at):
            return False
        joined = self._registry.join(connection.conn_id, channel) is None
        if joined and noticed:
            self._presence.moved(connection, channel, standing.conn_id)
        return joined

    def _say_resumed(
        self,
        connection: Connection,
        channels: Mapping[str, object],
        seen: Vector | None = None,
        *,
        recovered: bool = False,
        reason: str = "",
    ) -> None:
        told: dict[str, object] = {"recovered": recovered, "channels": channels}
        if reason:
            told["reason"] = reason
        vector = self._recall.positions.vector
        ahead = {
            mark: max(at, (seen or {}).get(mark, 0)) for mark, at in vector.items()
        }
        self._say(connection, "resumed", ahead, told)

    def _renew(self, connection: Connection) -> None:
        self._say(connection, "token", self._recall.positions.vector)

    def _say(
        self,
        connection: Connection,
        kind: str,
        vector: Vector,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Send a new token to a client, with what else is to say."""
        line = self._lines[connection]
        line.token_at = self._recall.now()
        self._lines.move_to_end(connection)
        conn_id = connection.conn_id
        noticed = self._presence.noticed(conn_id)
        joined = {name: name in noticed for name in self._registry.joined(conn_id)}
        token = self._token(line, conn_id, joined, vector)
        connection.send(ours({"type": kind, **(more or {}), "resume": token}))

    def _token(
        self, line: _Line, conn_id: str, channels: Mapping[str, bool], vector: Vector
    ) -> str:
        told, complete = fitting(channels)
        standing = Standing(
            owner=line.owner,
            line=line.name,
            conn_id=conn_id,
            issued_at=line.token_at,
            channels=told,
            positions=dict(vector),
            complete=complete,
        )
        return self._tokens.issue(standing)

    # --- as an `Observer` --------------------------------------------------------

    def joined(self, connection: Connection, _channel: str, *, noticed: bool) -> None:  # noqa: ARG002
        """A new token is due."""
        self._change(connection)

    def left(self, connection: Connection, channel: str) -> None:
        """No old token may bring it back."""
        self._depart(connection, channel)
        self._change(connection)

    def dismissed(self, connection: Connection) -> None:
        """Its tokens are void: the application has closed it."""
        self._depart(connection, None)

    def gone(self, connection: Connection) -> None:
        """Forget it."""
        self._lines.pop(connection, None)
        self._changed.pop(connection, None)

    def _change(self, connection: Connection) -> None:
        if connection not in self._lines:
            return
        self._changed[connection] = None
        if self._settling is None:
            self._settling = self._clock.callLater(_SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        changed, self._changed = self._changed, {}
        for connection in changed:
            self._renew(connection)

    def _depart(self, connection: Connection, channel: str | None) -> None:
        line = self._lines.get(connection)
        if line is None:
            return
        at = self._recall.now()
        self._departures.note(line.name, channel, at)
        payload = {"line": line.name, "channel": channel, "at": at}
        event = Event(
            type=EventType.WS_DEPARTED, source=str(self._bus.identity), payload=payload
        )
        self._bus.publish(DEPARTED_TOPIC, Item(event))

    def _departed(self, publication: Publication) -> None:
        """Another worker (or we) took somebody out of a channel."""
        payload = publication.item.event.payload
        line, channel = str(payload.get("line", "")), payload.get("channel")
        at = min(float(payload.get("at", 0.0)), self._recall.now())
        self._departures.note(line, channel, at)
