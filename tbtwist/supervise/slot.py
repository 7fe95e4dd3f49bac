"""One slot: a listener that stays, and the tenants that serve it in turn."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable
from typing import Final

import attrs
from msgspec import UNSET, UnsetType

from tbtwist.net.listening import port_of
from tbtwist.net.supervised import EXITS
from tbtwist.observe.metrics import (
    BUS_PENDING,
    BUS_REASON,
    CONNECTIONS,
    DROPS,
    REQUESTS,
)
from tbtwist.status import LastExit, WorkerState, WorkerStatus
from tbtwist.supervise.plan import WorkerSpec, reachable
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.tenant import Tenant
from tbtwist.supervise.workshop import Workshop, iso_utc

_REMEMBERED_EXITS: Final = 5
REFUSE_AFTER_S: Final = 2.0
"""A slot that nobody serves for longer refuses connections instead of queueing them."""


def http_url(slots: Iterable[Slot]) -> str:
    """Return where a browser finds the first http worker; empty if there is none."""
    for slot in slots:
        if slot.spec.role == "http" and slot.spec.address is not None:
            shown = reachable(slot.spec.address.host)
            shown = f"[{shown}]" if ":" in shown else shown
            return f"http://{shown}:{slot.port}"
    return ""


class Slot:
    """The place of one worker.

    ``tenant`` serves it; in an update a ``successor`` moves in, and who was
    replaced is among ``leaving`` until its process has ended.
    """

    def __init__(self, spec: WorkerSpec, shop: Workshop, policy: Policy) -> None:
        self.spec = spec
        self.port: int | None = None
        self.successor: Tenant | None = None
        self.leaving: list[Tenant] = []
        self._shop = shop
        self._policy = policy
        self._listener: socket.socket | None = None
        self._unserved_since: float | None = None
        self._crashes = 0
        self._exits: deque[LastExit] = deque(maxlen=_REMEMBERED_EXITS)
        self.tenant = Tenant(spec, shop, policy, self)

    @property
    def state(self) -> WorkerState:
        """Return the state of the present tenant, as an operator sees it."""
        return self.tenant.state

    @property
    def empty(self) -> bool:
        """Whether nobody is here any more, not even somebody who is leaving."""
        tenants = [self.tenant, *self.leaving]
        if self.successor is not None:
            tenants.append(self.successor)
        return all(each.state == "stopped" for each in tenants)

    # --- the listener

    def listen(self) -> None:
        """Open the listener unless it is open, on the same port as before.

        Raises:
            CannotBind: the port is not to be had.
        """
        address = self.spec.address
        if address is None or self._listener is not None:
            return
        port = address.port if self.port is None else self.port
        self._listener = self._shop.world.bind(
            address.host, port, backlog=address.backlog, what=self.spec.id
        )
        self.port = port_of(self._listener)

    def refuse(self) -> None:
        """Close the listener: clients are refused at once instead of left waiting."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # --- orders from the supervisor

    def start(self) -> None:
        """Let the first tenant move in."""
        self.tenant.life.spawn()

    def stop(self, kill_after_s: float) -> None:
        """Let all processes drain and end; nobody takes their place."""
        self.refuse()
        for tenant in (self.tenant, self.successor, *self.leaving):
            if tenant is not None:
                tenant.life.stop(kill_after_s)

    def hurry(self, kill_after_s: float) -> None:
        """Give those who drain a nearer deadline, those who were replaced too."""
        for tenant in (self.tenant, self.successor, *self.leaving):
            if tenant is not None:
                tenant.life.hurry(kill_after_s)

    # --- an update

    def invite(self) -> Tenant:
        """Start a successor beside the present tenant; it has one try."""
        policy = attrs.evolve(self._policy, max_restart_attempts=0)
        self.successor = successor = Tenant(
            self.spec, self._shop, policy, self, on_trial=True
        )
        successor.life.spawn()
        return successor

    @property
    def kill_after_s(self) -> float:
        """Return when its worker is killed if it is told to leave."""
        return self._policy.kill_after_s

    def hand_over(self) -> Tenant:
        """Make the successor the tenant, and let the old one drain; return that."""
        successor = self.successor
        assert successor is not None
        old, self.tenant, self.successor = self.tenant, successor, None
        self._crashes += max(0, old.starts - 1)
        successor.life.adopt(self._policy)
        successor.on_trial = False
        self.leaving.append(old)
        old.farewell = f"replaced by generation {successor.generation}"
        old.life.stop(self.kill_after_s)
        self._unserved_since = None
        self._tidy()
        self._shop.changed(self.spec.id)
        return old

    def turn_away(self) -> None:
        """Send the successor away; the present tenant stays."""
        successor, self.successor = self.successor, None
        if successor is not None:
            self.leaving.append(successor)
            successor.life.stop(0)
            self._tidy()

    def _tidy(self) -> None:
        self.leaving = [each for each in self.leaving if each.state != "stopped"]

    # --- the place of a tenant

    def descriptors(self) -> tuple[tuple[str, int], ...]:
        """Return the listener, opened if it was not; to the broker, who has ended."""
        self.listen()
        if self.spec.role == "broker":
            return ((EXITS, self._shop.exits.read_end),)
        listener = self._listener
        return () if listener is None else ((self.spec.role, listener.fileno()),)

    def entered(self, tenant: Tenant, state: WorkerState) -> None:
        """Keep or close the listener, and tell who wants to know."""
        if tenant is self.tenant:
            self._served(state)
        self._tidy()
        self._shop.changed(self.spec.id)

    def _served(self, state: WorkerState) -> None:
        now = self._shop.world.reactor.seconds()
        if state == "running":
            self._unserved_since = None
        elif self._unserved_since is None:
            self._unserved_since = now
        if self.successor is not None:
            return
        if state == "failed" or (state == "backoff" and self._unserved_too_long(now)):
            self.refuse()

    def _unserved_too_long(self, now: float) -> bool:
        since = now if self._unserved_since is None else self._unserved_since
        return now - since + self.tenant.life.backoff_s > REFUSE_AFTER_S

    def left(self, tenant: Tenant, end: LastExit) -> None:
        """Remember how a process ended."""
        if tenant is not self.successor:
            self._exits.append(end)

    def renew(self, spec: WorkerSpec, policy: Policy) -> None:
        """Take what new settings say, from the next tenant on; the address stays."""
        self.spec, self._policy = spec, policy

    # --- what an operator sees

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that the present or previous process wrote."""
        return self.tenant.last_lines

    def status(self) -> WorkerStatus:
        """Return how the slot is right now."""
        tenant = self.tenant
        pid = tenant.pid
        usage = None if pid is None else self._shop.world.measure(pid)
        alive = pid is not None
        started = tenant.started_at
        return WorkerStatus(
            id=self.spec.id,
            role=self.spec.role,
            state=self.state,
            generation=tenant.generation,
            pid=pid,
            port=self.port,
            started_at=iso_utc(started) if alive else None,
            uptime_s=max(0.0, self._shop.world.now() - started) if alive else None,
            restarts=self._crashes + max(0, tenant.starts - 1),
            memory_bytes=None if usage is None else usage.memory_bytes,
            cpu_percent=None if usage is None else usage.cpu_percent,
            requests_total=self._figure(REQUESTS, "http"),
            connections=self._figure(CONNECTIONS, "ws"),
            drops=self._by_reason(DROPS) if self.spec.role == "ws" else UNSET,
            bus_pending=self._figure(BUS_PENDING, "http", "ws"),
            last_exit=self._exits[-1] if self._exits else None,
            bus=self._by_reason(BUS_REASON),
            exits=tuple(self._exits),
            detail=self._describe(),
        )

    def _figure(self, name: str, *roles: str) -> int | UnsetType | None:
        """Return a figure of ours; UNSET if only other ``roles`` have it."""
        return self.tenant.figures.get(name) if self.spec.role in roles else UNSET

    def _by_reason(self, kind: str) -> dict[str, int]:
        """Return the figures of a kind, each by what follows in its name."""
        return {
            name.removeprefix(kind): count
            for name, count in sorted(self.tenant.figures.items())
            if name.startswith(kind)
        }

    def _describe(self) -> str:
        life = self.tenant.life
        if self.state == "failed":
            return f"gave up: it died {life.quick_deaths} times in a row"
        if self.state == "backoff":
            return f"starts again {life.backoff_s:.1f} s after its end"
        return self.tenant.detail
