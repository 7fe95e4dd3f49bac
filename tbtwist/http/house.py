"""What all connections of one worker share, and the round that looks at deadlines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.threadpool import ThreadPool

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.health import Health
from tbtwist.http.accesslog import AccessLog
from tbtwist.http.admission import Admission
from tbtwist.http.limits import Limits
from tbtwist.http.mounts import NO_MOUNTS, Mounts
from tbtwist.http.parsing import Head
from tbtwist.http.writing import ServerLines
from tbtwist.net.proxies import TrustedProxies

ROUND_S: Final = 0.5
"""How often deadlines are looked at; each is kept with this precision."""


class Watched(Protocol):
    """A connection with deadlines."""

    def check(self, now: float) -> None:
        """Do what is due at ``now``."""

    def drain(self, due: float) -> None:
        """Close by ``due`` if there is nothing to do, else after the answer."""


@attrs.define(eq=False)
class House:
    """What all connections of one worker share.

    A request takes no timer of its own: it writes down when it is due, and one
    round over all connections, twice a second, looks who is late.
    """

    reactor: Any
    dispatcher: Dispatcher
    health: Health
    limits: Limits
    admission: Admission
    proxies: TrustedProxies
    files: ThreadPool
    answers_api: Callable[[str], bool]
    access_log: AccessLog | None
    server_lines: ServerLines
    mounts: Mounts = NO_MOUNTS
    mount_body_bytes: int = 0
    site: Any = None
    channels: set[Watched] = attrs.Factory(set)
    _round: IDelayedCall | None = None
    _ids: Any = attrs.Factory(lambda: count(1))
    _prefix: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._prefix = self.dispatcher.random(4).hex()

    @property
    def clock(self) -> IReactorTime:
        """Return what tells how much time has passed."""
        clock: IReactorTime = self.reactor
        return clock

    def new_request_id(self) -> str:
        """Return an id that no other request of any worker has."""
        return f"{self._prefix}{next(self._ids) & 0xFFFFFFFF:08x}"

    def body_limit(self, head: Head) -> int:
        """Return how many bytes a body may have; below a mount it may be more."""
        mounted = self.mounts.find(head.raw_path) is not None
        if mounted and not self.dispatcher.owns(head.route):
            return self.mount_body_bytes
        return self.limits.body_bytes

    # --- connections ---------------------------------------------------------

    def enter(self, channel: Watched) -> None:
        """Watch the deadlines of ``channel``."""
        self.channels.add(channel)
        if self._round is None:
            self._round = self.reactor.callLater(ROUND_S, self._look)
        if self.health.draining:
            channel.drain(self._grace_ends())

    def leave(self, channel: Watched) -> None:
        """Forget a connection that is gone."""
        self.channels.discard(channel)
        if not self.channels and self._round is not None:
            self._round.cancel()
            self._round = None

    def _look(self) -> None:
        self._round = self.reactor.callLater(ROUND_S, self._look)
        now = self.reactor.seconds()
        for channel in tuple(self.channels):
            channel.check(now)

    def drain(self) -> None:
        """Give idle connections their grace; the others end with their answer."""
        due = self._grace_ends()
        for channel in tuple(self.channels):
            channel.drain(due)

    def _grace_ends(self) -> float:
        return float(self.reactor.seconds()) + self.limits.drain_grace_s
