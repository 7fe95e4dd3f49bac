"""One slot: a listener that stays, and the processes that serve it in turn."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
from msgspec import UNSET, UnsetType
from twisted.logger import Logger

from tbtwist.errors import CannotBind
from tbtwist.net.listening import port_of
from tbtwist.net.supervised import EXITS
from tbtwist.status import BUS_FIGURE, LastExit, WorkerState, WorkerStatus
from tbtwist.supervise.keeping import (
    NOTIFY_PREFIX,
    ExitPipe,
    Generations,
    sweep_peer,
)
from tbtwist.supervise.lifecycle import Lifecycle
from tbtwist.supervise.plan import EVERY_ADDRESS, WorkerSpec
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.process import Child, Exit, Launch
from tbtwist.supervise.world import World

_log = Logger()

REFUSE_AFTER_S: Final = 2.0
"""A slot that nobody serves for longer refuses connections instead of queueing them."""

_FIGURE: Final = "X_"
_LONGEST_DETAIL: Final = 300


@attrs.define(eq=False)
class Workshop:
    """What all slots of a manager share.

    ``inherited`` are the descriptors that every child gets beside its listener;
    ``addresses`` says where all workers listen, for their environment; ``exits``
    tells the broker at once whom it need not wait for.
    """

    world: World
    runtime_dir: Path
    generations: Generations
    inherited: tuple[tuple[str, int], ...]
    exits: ExitPipe
    addresses: Callable[[], Mapping[str, str]]
    changed: Callable[[Slot], None]
    said: Callable[[str, str], None]


def iso_utc(seconds: float) -> str:
    """Return a moment of the wall clock as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def http_url(slots: Sequence[Slot]) -> str:
    """Return where a browser finds the first http worker; empty if there is none."""
    for slot in slots:
        if slot.spec.role == "http" and slot.spec.address is not None:
            host = slot.spec.address.host
            shown = "127.0.0.1" if host in EVERY_ADDRESS else host
            shown = f"[{shown}]" if ":" in shown else shown
            return f"http://{shown}:{slot.port}"
    return ""


class Slot:
    """The place of one worker; `Hands` of its life, `ChildEvents` of its process."""

    def __init__(self, spec: WorkerSpec, shop: Workshop, policy: Policy) -> None:
        self.spec = spec
        self.generation = 0
        self.port: int | None = None
        self.life = Lifecycle(shop.world.reactor, policy, self)
        self._shop = shop
        self._listener: socket.socket | None = None
        self._child: Child | None = None
        self._starts = 0
        self._started_at = 0.0
        self._unserved_since: float | None = None
        self._detail = ""
        self._figures: dict[str, int] = {}
        self._last_exit: LastExit | None = None

    @property
    def state(self) -> WorkerState:
        """Return the state as an operator sees it."""
        return self.life.state

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that the present or previous process wrote."""
        return () if self._child is None else self._child.last_lines

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

    def stop(self, kill_after_s: float) -> None:
        """Let the process drain and end; nobody takes its place."""
        self.refuse()
        self.life.stop(kill_after_s)

    # --- Hands of the lifecycle

    def spawn(self) -> None:
        """Start the next process of this slot."""
        self._starts += 1
        self._figures.clear()
        self._started_at = self._shop.world.now()
        try:
            self.listen()
            self.generation = self._shop.generations.next(self.spec.id)
        except (CannotBind, OSError) as error:
            self.ended(Exit(None, None, str(error)))
            return
        world = self._shop.world
        self._child = Child(world.reactor, self._launch(), self, world.open_pidfd)
        self._child.start()

    def _launch(self) -> Launch:
        listener = self._listener
        own = () if listener is None else ((self.spec.role, listener.fileno()),)
        if self.spec.role == "broker":
            own = (*own, (EXITS, self._shop.exits.read_end))
        name = f"{NOTIFY_PREFIX}{self.spec.id}.{self.generation}"
        return Launch(
            command=self._shop.world.command(self.spec),
            environ={**self._shop.world.environ, **self._shop.addresses()},
            notify_path=self._shop.runtime_dir / name,
            generation=self.generation,
            descriptors=(*own, *self._shop.inherited),
        )

    def terminate(self) -> None:
        """Ask the process to drain."""
        if self._child is not None:
            self._child.signal("TERM")

    def kill(self) -> None:
        """End the process at once."""
        if self._child is not None:
            self._child.signal("KILL")

    def entered(self, state: WorkerState) -> None:
        """Keep or close the listener, and tell who wants to know."""
        now = self._shop.world.reactor.seconds()
        if state in {"starting", "stopped"}:
            self._detail = ""
        if state == "running":
            self._unserved_since = None
        elif self._unserved_since is None:
            self._unserved_since = now
        if state == "failed" or (state == "backoff" and self._unserved_too_long(now)):
            self.refuse()
        self._shop.changed(self)

    def _unserved_too_long(self, now: float) -> bool:
        since = now if self._unserved_since is None else self._unserved_since
        return now - since + self.life.backoff_s > REFUSE_AFTER_S

    # --- ChildEvents of the process

    def notified(self, facts: Mapping[str, str]) -> None:
        """Take note of what the worker says about itself."""
        self.life.heard()
        if "STATUS" in facts:
            self._detail = facts["STATUS"][:_LONGEST_DETAIL]
        self._figures |= {
            name: int(value)
            for name, value in facts.items()
            if name.startswith(_FIGURE) and value.isdecimal() and value.isascii()
        }
        if facts.get("READY") == "1":
            self.life.ready()
        if facts.get("STOPPING") == "1":
            self.life.stopping()

    def said(self, line: str) -> None:
        """Hand a line of its output on."""
        self._shop.said(self.spec.id, line)

    def exited(self) -> None:
        """Let the bus know at once; nobody else sees it sooner than we do."""
        self._shop.exits.tell(self.spec.id, self.generation)
        sweep_peer(self._shop.runtime_dir, self.spec.id, self.generation)

    def ended(self, end: Exit) -> None:
        """Remember how it ended; its life decides what comes next."""
        self._last_exit = LastExit(
            at=iso_utc(self._shop.world.now()),
            code=end.code,
            signal=end.signal,
            reason=self.life.verdict or end.reason,
        )
        _log.info(
            "{worker} generation {generation} ended: {reason}",
            worker=self.spec.id,
            generation=self.generation,
            reason=self._last_exit.reason,
        )
        self.life.exited()

    # --- what an operator sees

    def status(self) -> WorkerStatus:
        """Return how the slot is right now."""
        pid = None if self._child is None else self._child.pid
        usage = None if pid is None else self._shop.world.measure(pid)
        alive = pid is not None
        started = self._started_at
        return WorkerStatus(
            id=self.spec.id,
            role=self.spec.role,
            state=self.state,
            generation=self.generation,
            pid=pid,
            port=self.port,
            started_at=iso_utc(started) if alive else None,
            uptime_s=max(0.0, self._shop.world.now() - started) if alive else None,
            restarts=max(0, self._starts - 1),
            memory_bytes=None if usage is None else usage.memory_bytes,
            cpu_percent=None if usage is None else usage.cpu_percent,
            requests_total=self._figure("http", "X_REQUESTS_TOTAL"),
            connections=self._figure("ws", "X_CONNECTIONS"),
            last_exit=self._last_exit,
            bus=self._bus_figures(),
            detail=self._describe(),
        )

    def _figure(self, role: str, name: str) -> int | UnsetType | None:
        return self._figures.get(name) if self.spec.role == role else UNSET

    def _bus_figures(self) -> dict[str, int]:
        first = f"{_FIGURE}{BUS_FIGURE}"
        return {
            name.removeprefix(first): count
            for name, count in sorted(self._figures.items())
            if name.startswith(first)
        }

    def _describe(self) -> str:
        if self.state == "failed":
            return f"gave up: it died {self.life.quick_deaths} times in a row"
        if self.state == "backoff":
            return f"starts again {self.life.backoff_s:.1f} s after its end"
        return self._detail
