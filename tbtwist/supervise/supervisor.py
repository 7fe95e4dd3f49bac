"""The supervisor: owns the listening sockets and the children (DESIGN D4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist import __version__
from tbtwist.config.schema import Settings
from tbtwist.errors import TbtwistError
from tbtwist.net.locking import ProcessLock
from tbtwist.net.runtime import ensure_private, runtime_dir
from tbtwist.net.supervised import LIFELINE
from tbtwist.services import Background, wait_until
from tbtwist.status import ManagerInfo, Status
from tbtwist.supervise.keeping import (
    ExitPipe,
    Generations,
    Lifeline,
    sweep_sockets,
    take_manager_lock,
    take_workers_lock,
)
from tbtwist.supervise.moments import Conditions, Moment
from tbtwist.supervise.plan import BROKER_ID, desired
from tbtwist.supervise.policy import Policy
from tbtwist.supervise.slot import Slot, Workshop, http_url, iso_utc
from tbtwist.supervise.world import Hooks, World, tell

_log = Logger()

_STOP_ORDER: Final = (("ws", 2 / 3, 0.0), ("http", 1.0, 0.0), ("broker", 1.0, 1.0))
"""Roles in the order of stopping: which part of the remaining time each may take,
and how many seconds it gets in any case.

A ws worker that says goodbye needs http workers for what its connections still
have to say, and everybody needs the broker.
"""
_PREVIOUS_GRACE_S: Final = 5.0
_FAMILY: Final = "family"


class Supervisor(Service):
    """Starts the workers, keeps them alive, and stops them in order.

    It is a `tbtwist.boundaries.ManagerPort`. Bind, then start: `bind` (or
    ``privilegedStartService``) fails before any process was started.
    """

    def __init__(self, settings: Settings, world: World, hooks: Hooks) -> None:
        self._settings = settings
        self._world = world
        self._hooks = hooks
        self._data_dir = Path(settings.data_dir)
        self._slots: tuple[Slot, ...] = ()
        self._started_at = world.now()
        self._locks: list[ProcessLock] = []
        self._lifeline: Lifeline | None = None
        self._exits: ExitPipe | None = None
        self._shop: Workshop | None = None
        self._bound = False
        self._bringing_up: Deferred[None] | None = None
        self._deadline: float | None = None
        self._conditions = Conditions()
        self._background = Background()
        self._up = Moment()
        self._stopped = Moment()
        self._ended = Moment()

    # --- start

    @override
    def privilegedStartService(self) -> None:
        """Bind."""
        self.bind()

    def bind(self) -> None:
        """Become the manager of the data directory and take all ports.

        If workers of a killed manager are still leaving, the ports are taken
        after the start, when they are gone.

        Raises:
            ConfigError, DataDirUnusable, AlreadyRunning, CannotBind: nothing was
                started, nothing is held.
        """
        if self._locks:
            return
        specs = desired(self._settings)
        self._locks.append(take_manager_lock(self._data_dir, self._world.pid))
        try:
            shop = self._open_shop()
            self._slots = tuple(
                Slot(spec, shop, self._policy(spec.drain_timeout_s)) for spec in specs
            )
            if self._share_workers_lock():
                self._listen()
        except TbtwistError:
            self._free()
            raise

    def _open_shop(self) -> Workshop:
        sockets = runtime_dir(self._data_dir)
        ensure_private(sockets)
        sweep_sockets(sockets)
        self._lifeline, self._exits = Lifeline.open(), ExitPipe.open()
        self._shop = Workshop(
            world=self._world,
            runtime_dir=sockets,
            generations=Generations.load(self._data_dir),
            inherited=((LIFELINE, self._lifeline.child_end),),
            exits=self._exits,
            addresses=self._addresses,
            changed=self._changed,
            said=self._said,
        )
        return self._shop

    def _addresses(self) -> dict[str, str]:
        """Return the real ports, as in ``TB_HTTP_PORTS=8000,8001``."""
        return {
            f"TB_{role.upper()}_PORTS": ",".join(
                str(slot.port) for slot in self._slots if slot.spec.role == role
            )
            for role in ("http", "ws")
        }

    def _policy(self, drain_timeout_s: float) -> Policy:
        return Policy.from_settings(
            self._settings.manager,
            drain_timeout_s=drain_timeout_s,
            jitter=self._world.jitter,
        )

    def _share_workers_lock(self) -> bool:
        lock = take_workers_lock(self._data_dir, self._world.pid)
        if lock is None or self._shop is None:
            return False
        self._locks.append(lock)
        self._shop.inherited += ((_FAMILY, lock.fileno()),)
        return True

    def _listen(self) -> None:
        for slot in self._slots:
            slot.listen()
        self._bound = True

    @override
    def startService(self) -> None:
        """Start the workers, the broker first."""
        super().startService()
        self.bind()
        self._bringing_up = Deferred.fromCoroutine(self._bring_up())
        self._background.own("starting the workers", self._bringing_up)

    async def _bring_up(self) -> None:
        try:
            if not self._bound:
                await self._wait_for_previous()
                self._listen()
            await self._start_in_order()
        except CancelledError:
            raise
        except Exception as error:
            failure = Failure()
            self._up.happen(failure)
            self._ended.happen(failure)
            if not isinstance(error, TbtwistError):
                raise
        else:
            self._up.happen()

    async def _wait_for_previous(self) -> None:
        sections = (self._settings.http_worker, self._settings.ws_worker)
        patience = max(each.drain_timeout_s for each in sections) + _PREVIOUS_GRACE_S
        self._announce(
            "the workers of a manager that was killed are still leaving; "
            f"waiting up to {patience:g} s for them"
        )
        clock = self._world.reactor
        if not await wait_until(clock, self._share_workers_lock, patience):
            self._announce("they are still there; trying to start anyway")

    def _announce(self, sentence: str) -> None:
        _log.warn("{sentence}", sentence=sentence)
        self._said("manager", sentence)

    async def _start_in_order(self) -> None:
        broker = [slot for slot in self._slots if slot.spec.id == BROKER_ID]
        others = [slot for slot in self._slots if slot.spec.id != BROKER_ID]
        for group in (broker, others):
            for slot in group:
                slot.life.spawn()
            await self._until(group, "running", "failed")

    async def _until(self, slots: Sequence[Slot], *states: str) -> None:
        await self._conditions.until(
            lambda: all(slot.state in states for slot in slots)
        )

    def _changed(self, slot: Slot) -> None:
        _log.info("{worker} is {state}", worker=slot.spec.id, state=slot.state)
        tell(self._hooks.changed, slot.status())
        if slot.spec.id == BROKER_ID and slot.state in {"backoff", "failed"}:
            self._refuse_unserved()
        self._conditions.check()

    def _said(self, worker_id: str, line: str) -> None:
        tell(self._hooks.said, worker_id, line)

    def _refuse_unserved(self) -> None:
        """Whoever waits for the broker to come up first serves nobody yet."""
        for slot in self._slots:
            if slot.state == "stopped":
                slot.refuse()

    # --- what others ask

    def when_up(self) -> Deferred[None]:
        """Fire when every worker was ready once, or was given up.

        Fails with the TbtwistError for which nothing could be started.
        """
        return self._up.when()

    def when_ended(self) -> Deferred[None]:
        """Fire when everything was stopped as asked; fails as `when_up`."""
        return self._ended.when()

    def last_lines(self, worker_id: str) -> tuple[str, ...]:
        """Return the last lines that a worker wrote; none for an unknown one."""
        found = [each for each in self._slots if each.spec.id == worker_id]
        return found[0].last_lines if found else ()

    def status(self) -> Status:
        """Return how everything is right now."""
        manager = ManagerInfo(
            pid=self._world.pid,
            version=__version__,
            started_at=iso_utc(self._started_at),
            http_url=http_url(self._slots),
            data_dir=str(self._data_dir),
        )
        workers = tuple(slot.status() for slot in self._slots)
        return Status(manager=manager, workers=workers)

    # --- stop

    @override
    def stopService(self) -> Deferred[None]:
        """Drain and stop everything, in the time that the settings give."""
        super().stopService()
        return self.stop(self._settings.manager.stop_timeout_s)

    def stop(self, timeout_s: float) -> Deferred[None]:
        """Drain and stop everything; fires when all children are reaped.

        Asked again, the nearer deadline counts.
        """
        deadline = self._world.reactor.seconds() + timeout_s
        if self._deadline is None:
            self._deadline = deadline
            self._background.spawn("stopping the workers", self._stop_in_order())
        elif deadline < self._deadline:
            self._deadline = deadline
            for slot in self._slots:
                if slot.state == "draining":
                    slot.stop(timeout_s)
        return self._stopped.when()

    async def _stop_in_order(self) -> None:
        if self._bringing_up is not None:
            self._bringing_up.cancel()
        for slot in self._slots:
            slot.refuse()
        for role, share, grace_s in _STOP_ORDER:
            group = [slot for slot in self._slots if slot.spec.role == role]
            for slot in group:
                slot.stop(max(share * self._remaining(), grace_s))
            await self._until(group, "stopped")
        self._free()
        self._stopped.happen()
        self._ended.happen()

    def _remaining(self) -> float:
        now: float = self._world.reactor.seconds()
        return 0.0 if self._deadline is None else max(0.0, self._deadline - now)

    def _free(self) -> None:
        for slot in self._slots:
            slot.refuse()
        if self._lifeline is not None:
            self._lifeline.cut()
        if self._exits is not None:
            self._exits.close()
        while self._locks:
            self._locks.pop().release()
