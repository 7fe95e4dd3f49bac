"""The broker's mind: who is there, and where a message goes. No sockets.

It keeps nothing but a table that re-announcing rebuilds, and the names of those
it has declared dead: an identity that left or fell silent is *fenced*, told so,
and never heard again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.logger import Logger

from tbtwist.boundaries import Outgoing
from tbtwist.bus.codec import (
    Announcement,
    Beat,
    Member,
    Route,
    Verb,
    decode_payload,
    decode_route,
    encode_number,
    encode_payload,
    encode_route,
    only,
)
from tbtwist.bus.config import BusConfig
from tbtwist.errors import BadFrame
from tbtwist.identity import CLIENT_ROLE, WorkerId

_log = Logger()

NAME: Final = "broker"
FENCED_BOUND: Final = 10_000
_DIRECT: Final = frozenset(
    {Verb.FORWARD, Verb.FORWARD_ACK, Verb.SEND, Verb.SEND_ACK, Verb.REPLY, Verb.REFUSED}
)
_ANSWERABLE: Final = frozenset({Verb.FORWARD, Verb.SEND, Verb.CALL})

Frames = tuple[bytes, ...]


@attrs.define(eq=False)
class Worker:
    """A worker that is there."""

    identity: WorkerId
    address: bytes
    heard_at: float
    beat: Beat = attrs.Factory(Beat)
    handed: int = 0
    """Calls that it got since its last beat, which knows nothing of them."""

    @property
    def load(self) -> int:
        """Return what it has to do, as far as we know."""
        return self.beat.load + self.handed

    @property
    def name(self) -> str:
        """Return its identity as it travels."""
        return self.address.decode("ascii")


class RoutingTable:
    """`boundaries.Router`. ``counters`` counts every drop by its reason."""

    def __init__(self, boot: str, config: BusConfig, now: float) -> None:
        self.counters: Counter[str] = Counter()
        self._boot = boot
        self._config = config
        self._started_at = now
        self._ticked_at = now
        self._told_at = now
        self._version = 0
        self._workers: dict[str, Worker] = {}
        self._fenced: OrderedDict[str, None] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._turn = 0
        self._takers: dict[Verb, Callable[[Route, Frames, float], list[Outgoing]]] = {
            Verb.BEAT: self._beat,
            Verb.LEAVE: self._leave,
            Verb.CALL: self._call,
        }

    @property
    def workers(self) -> tuple[str, ...]:
        """Return the identities of those who are there."""
        return tuple(self._workers)

    @property
    def anybody_waits(self) -> bool:
        """Whether anybody is here who needs us to drain; programs do not."""
        return any(w.identity.role != CLIENT_ROLE for w in self._workers.values())

    # --- boundaries.Router

    def received(
        self, frames: Sequence[bytes], peer: bytes | None, now: float
    ) -> Sequence[Outgoing]:
        """As `Router.received`; what is malformed or forged is counted and dropped."""
        try:
            route = decode_route(frames[0] if frames else b"")
            if self._plausible(route, peer):
                return self._routed(route, tuple(frames), now)
        except BadFrame as error:
            _log.debug("{error}", error=error)
        self.counters["dropped: bad frame"] += 1
        return ()

    def tick(self, now: float) -> Sequence[Outgoing]:
        """As `Router.tick`.

        If we were not asked for long, it was we who slept: nobody is blamed.
        """
        slept_s = now - self._ticked_at - self._config.heartbeat_s
        self._ticked_at = now
        if slept_s > 0:
            self._started_at += slept_s
            for worker in self._workers.values():
                worker.heard_at += slept_s
        dead = [
            worker
            for worker in self._workers.values()
            if now - worker.heard_at > self._config.dead_after_s
        ]
        for worker in dead:
            self.counters["declared dead: silent"] += 1
            self._put_out(worker.name)
        if dead or now - self._told_at >= self._config.heartbeat_s:
            return self._tell_all(now)
        return ()

    def undelivered(self, message: Outgoing, reason: str) -> Sequence[Outgoing]:
        """As `Router.undelivered`: tell the origin, if it can do something about it."""
        route = decode_route(message.frames[0])
        self.counters[f"undelivered: {reason}"] += 1
        return self._unroutable(route, message.frames, reason)

    def ended(self, slot: str, generation: int, now: float) -> Sequence[Outgoing]:
        """Whoever started it saw this process end: it is dead, whatever it was.

        Messages of its that are still on their way are refused from now on.
        """
        process = f"{slot}.{generation}"
        _remember(self._ended, process)
        gone = [
            each for name, each in self._workers.items() if _process(name) == process
        ]
        for worker in gone:
            self.counters["declared dead: it ended"] += 1
            self._put_out(worker.name)
        return self._tell_all(now) if gone or not self._is_settled(now) else ()

    # --- receiving

    def _plausible(self, route: Route, peer: bytes | None) -> bool:
        """Whether the transport vouches for the origin; PULL is for sends alone."""
        if peer is None:
            return route.verb is Verb.SEND
        return route.origin.encode("ascii") == peer

    def _routed(self, route: Route, frames: Frames, now: float) -> Sequence[Outgoing]:
        if route.origin in self._fenced or _process(route.origin) in self._ended:
            self.counters["refused: fenced"] += 1
            return [self._out(route.origin)]
        origin = self._workers.get(route.origin)
        if origin is not None:
            origin.heard_at = now
        if route.verb in _DIRECT:
            return self._direct(route, frames)
        taker = self._takers.get(route.verb)
        if taker is None:
            raise BadFrame(reason=f"{route.verb.name} is not for the broker")
        return taker(route, frames, now)

    def _direct(self, route: Route, frames: Frames) -> Sequence[Outgoing]:
        """Hand on to the identity that the route names."""
        worker = self._workers.get(route.destination)
        if worker is None:
            self.counters["unroutable: unknown"] += 1
            return self._unroutable(route, frames, "unknown")
        return (Outgoing(worker.address, frames),)

    def _beat(self, route: Route, frames: Frames, now: float) -> list[Outgoing]:
        """Hear that a worker is there; tell everyone if that is news."""
        beat = decode_payload(only(frames, 2)[1], Beat)
        worker = self._workers.get(route.origin)
        news = worker is None or worker.beat.ready != beat.ready
        if worker is None:
            identity = WorkerId.parse(route.origin)
            worker = Worker(identity, route.origin.encode("ascii"), now)
            self._workers[route.origin] = worker
        worker.beat, worker.handed = beat, 0
        buried = [name for name in beat.buried if name in self._workers]
        if not (news or buried):
            return []
        self._version += 1
        return [*self._bury(buried), *self._tell_all(now)]

    def _bury(self, names: Sequence[str]) -> list[Outgoing]:
        """Put out whom others knew to be dead before we were there."""
        for name in names:
            self.counters["declared dead before"] += 1
            self._put_out(name)
        return [self._out(name) for name in names]

    def _leave(self, route: Route, frames: Frames, now: float) -> list[Outgoing]:
        """Let a worker go, and confirm it."""
        only(frames, 1)
        self._put_out(route.origin)
        return [self._out(route.origin), *self._tell_all(now)]

    def _put_out(self, name: str) -> None:
        self._workers.pop(name, None)
        self._version += 1
        _remember(self._fenced, name)

    # --- calls

    def _call(self, route: Route, frames: Frames, now: float) -> list[Outgoing]:
        """Hand a call to its target: one worker, any of a role, or all of it."""
        del now
        only(frames, 2)
        target = route.destination
        callees = self._callees(target)
        if not callees:
            self.counters["unroutable: call"] += 1
            return self._unroutable(route, frames, "nobody")
        calls = [Outgoing(callee.address, frames) for callee in callees]
        if target.endswith("*"):
            count = encode_number(len(callees))
            about = encode_route(Verb.EXPECT, route.origin, NAME, count)
            expect = Outgoing(route.origin.encode("ascii"), (about, frames[1]))
            return [expect, *calls]
        return calls

    def _callees(self, target: str) -> list[Worker]:
        """Return who answers to ``target``."""
        exact = self._workers.get(target)
        if exact is not None:
            return [exact]
        ready = [worker for worker in self._workers.values() if worker.beat.ready]
        if target.endswith("*"):
            return [w for w in ready if w.identity.role == target[:-1]]
        named = [worker for worker in ready if worker.identity.slot == target]
        if named:
            return [max(named, key=lambda worker: worker.identity.generation)]
        able = [worker for worker in ready if worker.identity.role == target]
        return [self._least_loaded(able)] if able else []

    def _least_loaded(self, able: Sequence[Worker]) -> Worker:
        """Return who has least to do; equals take turns."""
        self._turn += 1
        start = self._turn % len(able)
        chosen = min((*able[start:], *able[:start]), key=lambda worker: worker.load)
        chosen.handed += 1
        return chosen

    # --- telling

    def _unroutable(self, route: Route, frames: Frames, why: str) -> list[Outgoing]:
        """Answer that something was not delivered: the old route, a call's header."""
        if route.verb not in _ANSWERABLE or route.origin not in self._workers:
            return []
        about = encode_route(
            Verb.UNROUTABLE, route.origin, NAME, why.encode("ascii", "replace")
        )
        echoed = frames[:2] if route.verb is Verb.CALL else frames[:1]
        return [Outgoing(route.origin.encode("ascii"), (about, *echoed))]

    def _out(self, name: str) -> Outgoing:
        return Outgoing(name.encode("ascii"), (encode_route(Verb.FENCED, name, NAME),))

    def _is_settled(self, now: float) -> bool:
        return now - self._started_at >= self._config.dead_after_s

    def _tell_all(self, now: float) -> list[Outgoing]:
        """Send the table to everyone."""
        self._told_at = now
        settled = self._is_settled(now)
        news = Announcement(
            boot=self._boot,
            version=self._version,
            settled=settled,
            ended=() if settled else tuple(self._ended),
            members=tuple(
                Member(name, worker.beat.ready, worker.beat.load, worker.beat.direct)
                for name, worker in self._workers.items()
            ),
        )
        frames = (encode_route(Verb.TABLE, "", NAME), encode_payload(NAME, news))
        return [Outgoing(worker.address, frames) for worker in self._workers.values()]


def _process(name: str) -> str:
    """Return slot and generation of an identity, which is what a manager knows."""
    return name.rpartition(".")[0]


def _remember(names: OrderedDict[str, None], name: str) -> None:
    """Take a name; the oldest is forgotten beyond the bound."""
    names[name] = None
    if len(names) > FENCED_BOUND:
        names.popitem(last=False)
