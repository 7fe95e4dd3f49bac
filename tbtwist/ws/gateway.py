"""All WebSocket connections of one worker, and their way to and from the bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from tbtwist.auth.identity import BadCredentials, Identifier, Identity
from tbtwist.boundaries import EventBus, Subscription
from tbtwist.config.schema import Settings
from tbtwist.errors import TbtwistError
from tbtwist.events import EventType, Item, Publication
from tbtwist.identity import RandomBytes, WorkerId, new_conn_id
from tbtwist.services import wait, wait_until
from tbtwist.ws import admission
from tbtwist.ws.admission import Readiness
from tbtwist.ws.authentication import identify
from tbtwist.ws.connection import (
    GOING_AWAY,
    OVERLOADED,
    SERVICE_RESTART,
    UNAUTHORIZED,
    Connection,
    Message,
    Shared,
    Socket,
    describe,
)
from tbtwist.ws.counts import Counts
from tbtwist.ws.figures import Report
from tbtwist.ws.handshake import Answer, Head, refusal
from tbtwist.ws.origins import OriginRules
from tbtwist.ws.presence import Presence
from tbtwist.ws.recall import Recall
from tbtwist.ws.registry import Registry
from tbtwist.ws.resume import TOKEN_SHARE, Resuming, without_wish
from tbtwist.ws.stamps import stamped
from tbtwist.ws.tokens import ResumeTokens
from tbtwist.ws.visitors import Visitors

_log = Logger()

METRICS_PATH: Final = "/metrics"
BROADCAST_TOPIC: Final = "ws.broadcast"
_SWEEP_S: Final = 1.0
_PACE_S: Final = 0.1
_MIN_BATCH: Final = 20
_PACED_SHARE: Final = 0.5
"""The part of the drain's time in which connections are told to go."""


@attrs.frozen
class _TurnedAway:
    code: int
    reason: str


_FULL: Final = _TurnedAway(OVERLOADED, "too many connections")
_LATER: Final = _TurnedAway(OVERLOADED, "try again later")
_RESTARTING: Final = _TurnedAway(SERVICE_RESTART, "service restart")
_UNAUTHORIZED: Final = _TurnedAway(UNAUTHORIZED, "unauthorized")


@attrs.define(eq=False)
class Gateway:
    """Makes connections, brings items to them, and ends them in the end.

    ``now`` is the wall clock, ``clock`` the reactor's; resume tokens are signed with
    the session's ``secrets``. Call `start` before the
    bus connects, and `drain` or `shut_down` before it leaves.
    """

    _bus: EventBus
    _settings: Settings
    _identifier: Identifier
    _identity: WorkerId
    _clock: IReactorTime
    _now: Callable[[], float]
    _random: RandomBytes
    _secrets: Sequence[bytes]
    counts: Counts = attrs.Factory(Counts)
    _draining: bool = attrs.field(default=False, init=False)
    _swept_version: int = attrs.field(default=0, init=False)
    _broadcasts: Subscription | None = attrs.field(default=None, init=False)
    _registry: Registry[Connection] = attrs.field(init=False)
    _shared: Shared = attrs.field(init=False)
    _origins: OriginRules = attrs.field(init=False)
    _visitors: Visitors = attrs.field(init=False)
    report: Report = attrs.field(init=False)
    gauges: Callable[[], Mapping[str, int]] = attrs.field(default=dict, init=False)
    _sweeping: LoopingCall = attrs.field(init=False)
    _recall: Recall = attrs.field(init=False)
    _presence: Presence = attrs.field(init=False)
    _resuming: Resuming = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ws, bus, clock = self._settings.ws_worker, self._bus, self._clock
        registry: Registry[Connection] = Registry(ws.max_connections)
        presence = Presence(bus, registry, clock)
        tokens = ResumeTokens(self._secrets, TOKEN_SHARE * ws.resume_s, self._now)
        self._recall = recall = Recall(bus, ws, clock, self._now)
        self._registry, self._presence = registry, presence
        self._resuming = Resuming(bus, registry, presence, clock, recall, tokens)
        observers = (presence, self._resuming)
        self._shared = Shared(bus, registry, self.counts, self._now, observers)
        self._origins = OriginRules.from_settings(self._settings)
        self._visitors = Visitors.from_settings(self._settings)
        self.report = Report(
            self._identity.slot,
            self.counts,
            self._registry,
            lambda: self.readiness is Readiness.READY,
            lambda: self.gauges(),  # noqa: PLW0108 - it is set later
            self._bus.figures,
        )
        self._sweeping = LoopingCall(self.sweep)
        self._sweeping.clock = self._clock

    # --- life ----------------------------------------------------------------

    def start(self) -> None:
        """Register at the bus, and begin to look for sessions that expire."""
        self._bus.on_send(self.deliver)
        self._broadcasts = self._bus.subscribe(BROADCAST_TOPIC, self._broadcast)
        self._presence.start()
        self._resuming.start()
        self._recall.start()
        running = self._sweeping.start(_SWEEP_S, now=False)
        _ = running.addErrback(lambda why: _log.failure("sweeping", failure=why))

    def catch_up(self) -> Deferred[None]:
        """Learn what has been said so far; once the bus is connected."""
        return Deferred.fromCoroutine(self._recall.learn())

    def drain(self, timeout_s: float) -> Deferred[None]:
        """Close all connections with 1012, at a pace; fires when they are gone.

        The pace spreads the reconnects of many clients over half of the time. So
        long a connection may wait for the answers to what its client said before;
        what is left after ``timeout_s`` is dropped.
        """
        self._draining = True
        return Deferred.fromCoroutine(self._drain(timeout_s))

    def shut_down(self, timeout_s: float) -> Deferred[None]:
        """Close all connections with 1001, at once; else as `drain`."""
        self._draining = True
        for connection in self._registry.everyone():
            connection.close(GOING_AWAY, "server shutting down")
        return Deferred.fromCoroutine(self._see_off(timeout_s))

    async def _drain(self, timeout_s: float) -> None:
        ends_at = self._clock.seconds() + timeout_s
        steps = max(1, int(timeout_s * _PACED_SHARE / _PACE_S))
        batch = max(_MIN_BATCH, -(-self.connections // steps))
        for _ in range(steps):
            self._let_go(batch)
            if not self._open_connections():
                break
            await wait(self._clock, _PACE_S)
        for connection in self._open_connections():
            connection.close(SERVICE_RESTART, "service restart")
        await self._see_off(max(0.0, ends_at - self._clock.seconds()))

    def _let_go(self, batch: int) -> None:
        """Begin to part from a batch, and go on with those that wait for answers."""
        still_there = self._open_connections()
        fresh = [each for each in still_there if not each.is_parting][:batch]
        waiting = [each for each in still_there if each.is_parting]
        for connection in (*waiting, *fresh):
            connection.part(SERVICE_RESTART, "service restart")

    async def _see_off(self, timeout_s: float) -> None:
        gone = await wait_until(self._clock, lambda: not self.connections, timeout_s)
        if not gone:
            for connection in self._registry.everyone():
                connection.abort()
        if self._broadcasts is not None:
            self._broadcasts.cancel()
        self._presence.stop()
        self._resuming.stop()
        if self._sweeping.running:
            self._sweeping.stop()

    def _open_connections(self) -> list[Connection]:
        return [each for each in self._registry.everyone() if each.is_open]

    def sweep(self) -> None:
        """Close connections whose session has ended, by itself or by somebody."""
        self._recall.expire()
        self._resuming.tick()
        now, revoker = self._now(), self._identifier.revoker
        version = revoker.version
        news = version != self._swept_version
        self._swept_version = version
        for connection in self._registry.everyone():
            if connection.is_expired(now):
                connection.close(UNAUTHORIZED, "session expired")
            elif news and connection.is_revoked(revoker):
                connection.close(UNAUTHORIZED, "session revoked")

    # --- new connections -------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections are open or closing."""
        return len(self._registry)

    @property
    def readiness(self) -> Readiness:
        """Whether new connections should come here."""
        if self._draining:
            return Readiness.DRAINING
        return Readiness.READY if self._bus.connected else Readiness.STARTING

    def answer(self, head: Head, peer: str) -> Answer | None:
        """Return the plain HTTP answer to ``head``; None if a WebSocket may open."""
        answer = self._answer(head, self._visitors.address(head, peer))
        if answer is not None and answer.status >= 400:
            self.counts.refused[str(answer.status)] += 1
        return answer

    def _answer(self, head: Head, address: str) -> Answer | None:
        if head.path == METRICS_PATH:
            insider = self._visitors.insiders.include(address)
            return self.report.answer(head, insider=insider)
        worker = admission.Worker(
            self._identity.slot, self.readiness, self.connections, self._now()
        )
        answer = admission.answer(head, worker, self._origins)
        if answer is None and not self._visitors.may_connect(address, self._now()):
            return refusal(429, "Too many connections.", (("Retry-After", "1"),))
        return answer

    async def accept(self, socket: Socket, head: Head) -> Connection | None:
        """Make a connection of a socket whose handshake is done; or close it.

        This may take a moment, when somebody has to be asked whose a token is.
        """
        outcome = self._full() or await self._identified(head)
        outcome = self._full() or self._gone() or outcome
        if isinstance(outcome, Identity):
            return self._open(socket, head, outcome)
        self.counts.refused[outcome.reason] += 1
        socket.close(outcome.code, outcome.reason)
        return None

    def _full(self) -> _TurnedAway | None:
        return _FULL if self._registry.full else None

    def _gone(self) -> _TurnedAway | None:
        return _RESTARTING if self._draining else None

    async def _identified(self, head: Head) -> Identity | _TurnedAway:
        try:
            found = await identify(head, self._identifier, self._now())
        except TbtwistError as error:
            _log.warn("a token could not be checked: {error}", error=error)
            return _LATER
        if isinstance(found, BadCredentials):
            return _UNAUTHORIZED
        anonymous = not found.authenticated(self._now())
        return _UNAUTHORIZED if anonymous and self._requires_identity else found

    @property
    def _requires_identity(self) -> bool:
        auth = self._settings.auth
        required = auth.ws_require_auth
        strict = self._settings.production if required is None else required
        return strict or not auth.ws_allow_anonymous

    def _open(self, socket: Socket, head: Head, identity: Identity) -> Connection:
        conn_id = new_conn_id(self._identity, self._random)
        about = describe(conn_id, without_wish(head), identity, self._now())
        issued_at = identity.session.issued_at
        opening = self._resuming.opening(socket, head, about)
        connection = Connection(
            about,
            opening.socket,
            self._shared,
            issued_at=issued_at,
            greeting=opening.greeting,
            resumable=opening.wish is not None,
            trace=head.trace,
        )
        connection.open()
        if opening.wish is not None:
            self._resuming.opened(connection, opening.wish)
        return connection

    # --- from the bus ----------------------------------------------------------

    def deliver(self, item: Item) -> str | None:
        """Bring an item to its connection; the reason why not, or None."""
        connection = self._registry.get(item.conn_id)
        reason = "the connection is gone"
        if connection is not None:
            reason = connection.apply(item) or ""
        if reason:
            self.counts.drop(reason)
        return reason or None

    def _broadcast(self, publication: Publication) -> None:
        self.counts.broadcasts_missed += publication.missed
        if missing := self._recall.passed(publication):
            self._resuming.missed(missing)
        event = publication.item.event
        exclude = frozenset(event.payload.get("exclude", ()))
        match event.type:
            case EventType.WS_BROADCAST_CHANNEL:
                channel = str(event.payload.get("channel", ""))
                members = self._registry.members(channel, exclude)
                self._spread(publication, channel, members)
            case EventType.WS_BROADCAST_ALL:
                self._spread(publication, None, self._registry.everyone(exclude))
            case EventType.WS_POSITION:
                pass
            case _:
                self.counts.drop("unknown event type")

    def _spread(
        self,
        publication: Publication,
        channel: str | None,
        audience: tuple[Connection, ...],
    ) -> None:
        """Send a broadcast; each of its two forms is one value for all who get it."""
        broadcast = self._recall.keep(publication, channel)
        plain = Message(broadcast.body, broadcast.binary, channel=channel or "")
        resumable = [each for each in audience if each.resumable]
        for connection in audience:
            if not connection.resumable:
                connection.send(plain)
        copy = stamped(broadcast) if resumable else plain
        for connection in resumable:
            connection.send(copy)
