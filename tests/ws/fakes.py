"""A bus and a socket that write down what happens to them, and ready-made heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.identity import BadCredentials, Found, Identifier, Identity
from tbtwist.auth.revocation import MemoryRevoker
from tbtwist.auth.session import authenticated_session
from tbtwist.auth.signing import Signer
from tbtwist.boundaries import (
    BusFigures,
    CallHandler,
    DeliveryHandler,
    LaneEvents,
    OriginLostHandler,
    PublicationHandler,
    SendHandler,
)
from tbtwist.config.schema import Auth, Session, Settings, WsWorker
from tbtwist.errors import QueueFull
from tbtwist.events import Event, EventType, Item, Publication
from tbtwist.identity import WorkerId
from tbtwist.tracing import Trace
from tbtwist.ws.gateway import Gateway
from tbtwist.ws.handshake import Head

IDENTITY = WorkerId("ws-1", 7, "c3f9")
START = 1_000_000.0
PEER = "198.51.100.7"
UPGRADE = {
    "host": "example.com",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
Log = list[Any]


class FakeLane:
    """A lane whose room the test decides."""

    def __init__(self, key: str, events: LaneEvents, log: Log) -> None:
        self.key = key
        self.events = events
        self.room = True
        self.full = False
        self.items: list[Item] = []
        self.closed = 0
        self.empty = True
        self._log = log

    def forward(self, item: Item) -> bool:
        """Write the item down; refuse it when the test says so."""
        if self.full:
            raise QueueFull(target=self.key, limit="64 messages")
        self.items.append(item)
        self._log.append(("forward", str(item.event.type), item.body))
        return self.room

    def close(self) -> None:
        """Write down that the lane was closed."""
        self.closed += 1
        self._log.append(("lane closed",))

    def kinds(self) -> list[str]:
        """Return the types of all items, in order."""
        return [str(item.event.type) for item in self.items]


@attrs.define
class FakeSubscription:
    """A subscription that remembers whether it was cancelled."""

    cancelled: bool = False

    def cancel(self) -> None:
        """Write it down."""
        self.cancelled = True


class FakeBus:
    """An `EventBus` with nobody on it."""

    def __init__(self, log: Log | None = None) -> None:
        self.log: Log = [] if log is None else log
        self.lanes: dict[str, FakeLane] = {}
        self.connected = True
        self.counters: dict[str, int] = {}
        self.refuses_lanes = False
        self.send_handler: SendHandler | None = None
        self.subscriptions: dict[str, PublicationHandler] = {}
        self.subscription = FakeSubscription()
        self.numbers: dict[str, int] = {}
        self.published: list[tuple[str, Item]] = []
        self.served: dict[str, CallHandler] = {}
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, str]] = []

    @property
    def identity(self) -> WorkerId:
        """Who we are."""
        return IDENTITY

    def open_lane(self, key: str, events: LaneEvents) -> FakeLane:
        """Open a recorded lane."""
        if self.refuses_lanes:
            raise QueueFull(target=key, limit="0 lanes")
        self.log.append(("lane opened",))
        self.lanes[key] = FakeLane(key, events, self.log)
        return self.lanes[key]

    def on_send(self, handler: SendHandler) -> None:
        """Keep the handler for `bring`."""
        self.send_handler = handler

    def bring(self, item: Item) -> str | None:
        """Do what the bus does with an item that was sent to us."""
        assert self.send_handler is not None
        return self.send_handler(item)

    def subscribe(self, topic: str, handler: PublicationHandler) -> FakeSubscription:
        """Keep the handler for `broadcast`."""
        self.subscriptions[topic] = handler
        return self.subscription

    def broadcast(
        self, item: Item, missed: int = 0, *, origin: str = "http-1.1.aa"
    ) -> None:
        """Do what the bus does with a published broadcast, numbered from 1."""
        number = self.numbers[origin] = self.numbers.get(origin, 0) + 1 + missed
        publication = Publication("ws.broadcast", item, missed, origin, number)
        self.subscriptions["ws.broadcast"](publication)

    def figures(self) -> BusFigures:
        """Nothing has been done."""
        return BusFigures()

    def colleagues(self, role: str) -> int:
        """Nobody else is there."""
        return 0

    def connect(self) -> Deferred[None]:
        """Be connected at once."""
        return succeed(None)

    def announce(self, *, ready: bool) -> None:
        """Tell nobody."""

    def drain(self, timeout_s: float) -> Deferred[bool]:
        """Be empty at once."""
        return succeed(True)

    def close(self) -> Deferred[None]:
        """Hold nothing."""
        return succeed(None)

    def publish(self, topic: str, item: Item) -> None:
        """Write it down."""
        self.published.append((topic, item))

    def send(self, item: Item) -> Deferred[None]:
        """Reach nobody."""
        return succeed(None)

    def call(
        self,
        target: str,
        method: str,
        payload: object,
        *,
        timeout_s: float,
        trace: Trace | None = None,
    ) -> Deferred[Any]:
        """Answer what the test has put into `answers`; an exception fails the call."""
        self.calls.append((target, method))
        answer = self.answers.get(method)
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def serve(self, method: str, handler: CallHandler) -> None:
        """Keep the handler."""
        self.served[method] = handler

    def on_delivery(self, handler: DeliveryHandler) -> None:
        """Get nothing delivered."""

    def on_origin_lost(self, handler: OriginLostHandler) -> None:
        """Lose nobody."""

    def on_fenced(self, handler: Callable[[], None]) -> None:
        """Fence nobody."""


class FakeSocket:
    """A `Socket` that writes down what it is told."""

    def __init__(self, log: Log | None = None) -> None:
        self.log: Log = [] if log is None else log

    def send(self, message: Any) -> None:
        """Write it down."""
        self.log.append(("send", message.data, message.binary))

    def close(self, code: int, reason: str) -> None:
        """Write it down."""
        self.log.append(("close", code, reason))

    def abort(self) -> None:
        """Write it down."""
        self.log.append(("abort",))

    def pause(self) -> None:
        """Write it down."""
        self.log.append(("pause",))

    def resume(self) -> None:
        """Write it down."""
        self.log.append(("resume",))


def item(kind: EventType, body: bytes = b"", **payload: object) -> Item:
    """Return an item as an http worker makes them."""
    return Item(Event(type=kind, payload=payload), body)


def head(target: str = "/ws/Chat/room", **headers: str) -> Head:
    """Return a head that asks for a WebSocket; ``_`` in names stands for ``-``."""
    path, _, query = target.partition("?")
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head("GET", path, query, {**UPGRADE, **given})


def cookies() -> SessionCookies:
    """Return a reader and writer of session cookies with a secret of the test."""
    return SessionCookies(Signer([b"s" * 64]), Session(), False)


class FakeVerifier:
    """Knows the tokens in ``known``; waits for the test where it says so."""

    def __init__(self) -> None:
        self.known: dict[str, Identity] = {}
        self.asked: list[str] = []
        self.waits: Deferred[None] | None = None
        self.error: Exception | None = None

    async def verify(self, token: str) -> Found:
        """Look the token up."""
        self.asked.append(token)
        if self.waits is not None:
            await self.waits
        if self.error is not None:
            raise self.error
        return self.known.get(token) or BadCredentials("the token is not recognised")


def identifier(
    verifier: FakeVerifier | None = None,
    auth: Auth | None = None,
    now: Callable[[], float] = lambda: START,
) -> Identifier:
    """Return what identifies by `cookies`, and by tokens that ``verifier`` knows."""
    verify = (verifier or FakeVerifier()).verify
    revoker = MemoryRevoker(now)
    random = counting_random()
    return Identifier.of(cookies(), revoker, verify, auth or Auth(), random)


def signed_as(user_id: str, session_id: str) -> str:
    """Return the value of a cookie of a user in a session."""
    session = authenticated_session(
        user_id, "Ann", level=1, exp=START + 3600, random=bytes
    )
    session = attrs.evolve(session, session_id=session_id)
    return Signer([b"s" * 64]).sign(session.to_json_bytes())


def signed(user_id: str = "u1", exp: float = START + 3600, level: int = 1) -> str:
    """Return the value of a cookie that proves to be ``user_id``."""
    session = authenticated_session(user_id, "Ann", level=level, exp=exp, random=bytes)
    return Signer([b"s" * 64]).sign(session.to_json_bytes())


def settings(
    *, environment: Any = "development", auth: Auth | None = None, **ws: Any
) -> Settings:
    """Return settings with these values of the section ``ws_worker``."""
    return Settings(
        environment=environment, auth=auth or Auth(), ws_worker=WsWorker(**ws)
    )


def counting_random() -> Callable[[int], bytes]:
    """Return a source of bytes that never gives the same twice."""
    calls = iter(range(1, 1_000_000))
    return lambda length: next(calls).to_bytes(length)


def make_gateway(
    bus: FakeBus,
    clock: Clock,
    configured: Settings | None = None,
    verifier: FakeVerifier | None = None,
) -> Gateway:
    """Return a gateway on ``bus`` whose wall clock goes with ``clock``."""
    configured = configured or settings()

    def now() -> float:
        return START + clock.seconds()

    return Gateway(
        bus,
        configured,
        identifier(verifier, configured.auth, now),
        IDENTITY,
        clock,
        now,
        counting_random(),
        [b"s" * 64],
    )
