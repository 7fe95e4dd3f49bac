"""Who serves a slot: one process after another, until it is told to leave.

A tenant brings its own process back when that dies. In an update a second tenant,
the successor, moves in beside the present one; whichever fails leaves the other
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from twisted.logger import Logger

from tbtwist.errors import CannotBind, WorkerNotReady
from tbtwist.net.supervised import figures_in
from tbtwist.observe.metrics import IN_FLIGHT
from tbtwist.status import LastExit, WorkerState
from tbtwist.supervise.keeping import NOTIFY_PREFIX, sweep_peer
from tbtwist.supervise.lifecycle import Lifecycle
from tbtwist.supervise.plan import WorkerSpec
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.process import Child, Exit, Launch
from tbtwist.supervise.workshop import Workshop, iso_utc

_log = Logger()

_LONGEST_DETAIL: Final = 300


class Place(Protocol):
    """What a tenant needs of its slot."""

    def descriptors(self) -> tuple[tuple[str, int], ...]:
        """Return the listener to inherit, opened if it was not; may be none.

        Raises:
            CannotBind: the port is not to be had.
        """

    def entered(self, tenant: Tenant, state: WorkerState) -> None:
        """Learn that a tenant is now in ``state``."""

    def left(self, tenant: Tenant, end: LastExit) -> None:
        """Learn how a process of a tenant ended."""


class Tenant:
    """`Hands` of a life, `ChildEvents` of its process.

    While it is ``on_trial``, its processes prove themselves before they serve.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        shop: Workshop,
        policy: Policy,
        place: Place,
        *,
        on_trial: bool = False,
    ) -> None:
        self.spec = spec
        self.on_trial = on_trial
        self.generation = 0
        self.starts = 0
        self.started_at = 0.0
        self.detail = ""
        self.farewell = ""
        self.last_exit: LastExit | None = None
        self.life = Lifecycle(shop.world.reactor, policy, self)
        self.figures: dict[str, int] = {}
        self._oom_kills = 0
        self._shop = shop
        self._place = place
        self._child: Child | None = None

    @property
    def state(self) -> WorkerState:
        """Return the state as an operator sees it."""
        return self.life.state

    @property
    def pid(self) -> int | None:
        """Return the id of its process, if it has one."""
        return None if self._child is None else self._child.pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that the present or previous process wrote."""
        return () if self._child is None else self._child.last_lines

    def not_ready(self) -> WorkerNotReady:
        """Return why it did not come up."""
        last = self.last_exit
        reason = last.reason.rstrip(".") if last is not None else self.state
        return WorkerNotReady(worker=self.spec.id, reason=reason)

    # --- Hands of the lifecycle

    def spawn(self) -> None:
        """Start the next process."""
        self.starts += 1
        self.figures.clear()
        self.started_at = self._shop.world.now()
        self._oom_kills = self._shop.world.oom_kills()
        try:
            own = self._place.descriptors()
            self.generation = self._shop.generations.next(self.spec.id)
        except (CannotBind, OSError) as error:
            self.ended(Exit(None, None, str(error)))
            return
        world = self._shop.world
        self._child = Child(world.reactor, self._launch(own), self, world.open_pidfd)
        self._child.start()

    def _launch(self, own: tuple[tuple[str, int], ...]) -> Launch:
        name = f"{NOTIFY_PREFIX}{self.spec.id}.{self.generation}"
        return Launch(
            command=self._shop.world.command(self.spec),
            environ={
                **self._shop.world.environ,
                **self._shop.addresses(),
                **({"TB_PROBING": "1"} if self.on_trial else {}),
            },
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

    def examine(self) -> None:
        """Have it write the stacks of its threads, which are among its last lines."""
        if self._child is not None:
            self._child.signal("USR2")

    def entered(self, state: WorkerState) -> None:
        """Tell the slot."""
        if state in {"starting", "stopped"}:
            self.detail = ""
        self._place.entered(self, state)

    # --- ChildEvents of the process

    def notified(self, facts: Mapping[str, str]) -> None:
        """Take note of what the worker says about itself."""
        self.life.heard()
        if "STATUS" in facts:
            self.detail = facts["STATUS"][:_LONGEST_DETAIL]
        self.figures |= figures_in(facts)
        if self.figures:
            self._shop.counted(self.spec.id, self.generation, dict(self.figures))
        if facts.get("READY") == "1":
            self.life.ready()
        if facts.get("STOPPING") == "1":
            self.life.stopping()

    def said(self, line: str) -> None:
        """Hand a line of its output on."""
        pid = None if self._child is None else self._child.first_pid
        self._shop.said(self.spec.id, line, pid)

    def exited(self) -> None:
        """Let the bus know at once; nobody else sees it sooner than we do."""
        self._shop.exits.tell(self.spec.id, self.generation)
        sweep_peer(self._shop.runtime_dir, self.spec.id, self.generation)

    def ended(self, end: Exit) -> None:
        """Tell how it ended; its life decides what comes next."""
        asked = self.farewell if end.code == 0 else ""
        killed = end.signal == "SIGKILL" and not self.life.verdict
        shortage = self._shop.world.oom_kills() > self._oom_kills
        suspicion = "; the system was out of memory" if killed and shortage else ""
        self.last_exit = last = LastExit(
            at=iso_utc(self._shop.world.now()),
            code=end.code,
            signal=end.signal,
            reason=(self.life.verdict or asked or end.reason) + suspicion,
            generation=self.generation,
            in_flight=self.figures.get(IN_FLIGHT),
            lines=() if asked else self.last_lines,
        )
        _log.info(
            "{worker} generation {generation} ended: {reason}",
            worker=self.spec.id,
            generation=self.generation,
            reason=last.reason,
        )
        self._place.left(self, last)
        self._shop.left(self.spec.id, self.generation, last, self.last_lines)
        self.life.exited()
