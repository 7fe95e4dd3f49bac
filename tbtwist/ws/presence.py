"""Who is in a channel, and notices for those who want to know who comes and goes.

Asked, every ws worker tells its own members. A connection that joined a channel
with ``presence`` is announced to all others that did, on all workers, and told of
them. Notices are gathered for a moment; one that would be too long says that
there is more, and whoever needs to know asks. A worker that dies announces nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tbtwist.apps.items import PRESENCE_METHOD
from tbtwist.boundaries import EventBus, IncomingCall, Subscription
from tbtwist.events import Event, EventType, Item, Publication
from tbtwist.ws.connection import Connection, Message
from tbtwist.ws.registry import Registry
from tbtwist.ws.stamps import ours

TOPIC: Final = "ws.presence"
MAX_MEMBERS: Final = 10_000
"""How many members of a channel one worker tells."""

MAX_TOLD: Final = 100
"""How many people one notice names in each direction."""

_GATHER_S: Final = 0.1

Person = Mapping[str, str]


@attrs.define(eq=False)
class _News:
    """Who came and who left since the last notice, by connection."""

    joined: dict[str, Person] = attrs.Factory(dict)
    left: dict[str, Person] = attrs.Factory(dict)
    more: bool = False

    def came(self, person: Person) -> None:
        self._add(self.joined, person)

    def went(self, person: Person) -> None:
        if self.joined.pop(person["conn_id"], None) is None:
            self._add(self.left, person)

    def _add(self, people: dict[str, Person], person: Person) -> None:
        if len(people) >= MAX_TOLD:
            self.more = True
        else:
            people[person["conn_id"]] = person


class Presence:
    """The members of one worker's channels; an `Observer` of connections."""

    def __init__(
        self, bus: EventBus, registry: Registry[Connection], clock: IReactorTime
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._clock = clock
        self._told: dict[str, dict[str, Connection]] = {}
        self._noticed: dict[str, set[str]] = {}
        self._news: dict[str, _News] = {}
        self._gathering: IDelayedCall | None = None
        self._subscription: Subscription | None = None
        self._stopped = False

    def start(self) -> None:
        """Register at the bus, before that connects."""
        self._bus.serve(PRESENCE_METHOD, self._tell)
        self._subscription = self._bus.subscribe(TOPIC, self._heard)

    def stop(self) -> None:
        """Tell what is left to tell, and let go of the bus."""
        self._stopped = True
        if self._gathering is not None:
            self._gathering.cancel()
            self._publish()
        if self._subscription is not None:
            self._subscription.cancel()

    def noticed(self, conn_id: str) -> frozenset[str]:
        """Return the channels in which a connection is announced."""
        return frozenset(self._noticed.get(conn_id, ()))

    # --- who is there ------------------------------------------------------------

    async def _tell(self, call: IncomingCall) -> object:
        members = self._registry.members(str(call.payload["channel"]))
        return [dict(member.person) for member in members[:MAX_MEMBERS]]

    # --- as an `Observer` ----------------------------------------------------------

    def joined(self, connection: Connection, channel: str, *, noticed: bool) -> None:
        """Announce it, if it asked for that."""
        if noticed and self._add(connection, channel):
            self._gather(channel).came(connection.person)

    def moved(self, connection: Connection, channel: str, before: str) -> None:
        """Announce a connection that takes the place of the one ``before``."""
        if self._add(connection, channel):
            news = self._gather(channel)
            news.went({**connection.person, "conn_id": before})
            news.came(connection.person)

    def left(self, connection: Connection, channel: str) -> None:
        """Announce that it left, if it was announced before."""
        conn_id = connection.conn_id
        channels = self._noticed.get(conn_id, set())
        if channel not in channels:
            return
        channels.discard(channel)
        if not channels:
            del self._noticed[conn_id]
        members = self._told[channel]
        del members[conn_id]
        if not members:
            del self._told[channel]
        self._gather(channel).went(connection.person)

    def dismissed(self, connection: Connection) -> None:
        """Wait until it is gone."""

    def gone(self, connection: Connection) -> None:
        """It left all its channels."""
        for channel in self.noticed(connection.conn_id):
            self.left(connection, channel)

    def _add(self, connection: Connection, channel: str) -> bool:
        members = self._told.setdefault(channel, {})
        if connection.conn_id in members:
            return False
        members[connection.conn_id] = connection
        self._noticed.setdefault(connection.conn_id, set()).add(channel)
        return True

    # --- notices -------------------------------------------------------------------

    def _gather(self, channel: str) -> _News:
        if self._gathering is None and not self._stopped:
            self._gathering = self._clock.callLater(_GATHER_S, self._publish)
        return self._news.setdefault(channel, _News())

    def _publish(self) -> None:
        self._gathering = None
        news, self._news = self._news, {}
        for channel, each in news.items():
            payload = {
                "channel": channel,
                "joined": list(each.joined.values()),
                "left": list(each.left.values()),
                "more": each.more,
            }
            if each.joined or each.left:
                source = str(self._bus.identity)
                event = Event(
                    type=EventType.WS_PRESENCE, source=source, payload=payload
                )
                self._bus.publish(TOPIC, Item(event))

    def _heard(self, publication: Publication) -> None:
        """Pass a notice on to the members that asked for it."""
        payload: Mapping[str, Any] = publication.item.event.payload
        notice = {"type": "presence", **payload}
        plain = Message(msgspec.json.encode(notice), binary=False)
        marked = ours(notice)
        channel = str(payload.get("channel", ""))
        for connection in tuple(self._told.get(channel, {}).values()):
            connection.send(marked if connection.resumable else plain)
