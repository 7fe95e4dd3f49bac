"""The supervisor: owns the listening sockets and the children (DESIGN D4)."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from tbtwist import __version__
from tbtwist.config.schema import Settings
from tbtwist.errors import ManagerBusy, TbtwistError
from tbtwist.net.locking import ProcessLock
from tbtwist.net.runtime import ensure_private, runtime_dir
from tbtwist.net.supervised import LIFELINE
from tbtwist.services import Background, wait_until
from tbtwist.status import ManagerInfo, Role, Status
from tbtwist.supervise.fleet import Fleet
from tbtwist.supervise.keeping import (
    ExitPipe,
    Generations,
    Lifeline,
    sweep_sockets,
    take_manager_lock,
    take_workers_lock,
)
from tbtwist.supervise.moments import Moment
from tbtwist.supervise.orders import SERVING, Orders
from tbtwist.supervise.plan import BROKER_ID, check_ports
from tbtwist.supervise.rolling import Say
from tbtwist.supervise.slot import http_url
from tbtwist.supervise.workshop import Workshop, iso_utc
from tbtwist.supervise.world import Hooks, World, tell

_log = Logger()
T = TypeVar("T")

_PREVIOUS_GRACE_S: Final = 5.0
_FAMILY: Final = "family"


class Supervisor(Service):
    """Starts the workers, keeps them alive, and stops them in order.

    It is a `tbtwist.boundaries.ManagerPort`. Bind, then start: `bind` (or
    ``privilegedStartService``) fails before any process was started. ``ui_url`` is
    told on in its status.
    """

    def __init__(self, settings: Settings, world: World, hooks: Hooks) -> None:
        self._settings = settings
        self._world = world
        self._hooks = hooks
        self.ui_url = ""
        self._data_dir = Path(settings.data_dir)
        self._fleet = Fleet()
        self._orders = Orders(self._fleet, settings, world.reload)
        self._started_at = world.now()
        self._locks: list[ProcessLock] = []
        self._lifeline: Lifeline | None = None
        self._exits: ExitPipe | None = None
        self._shop: Workshop | None = None
        self._bound = False
        self._bringing_up: Deferred[None] | None = None
        self._deadline: float | None = None
        self._ordered: set[Deferred[Any]] = set()
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
        check_ports(self._settings)
        self._locks.append(take_manager_lock(self._data_dir, self._world.pid))
        try:
            self._fleet.fill(self._settings, self._open_shop())
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
            addresses=self._fleet.addresses,
            changed=self._changed,
            said=self._said,
            counted=partial(tell, self._hooks.counted),
            left=partial(tell, self._hooks.left),
        )
        return self._shop

    def _share_workers_lock(self) -> bool:
        lock = take_workers_lock(self._data_dir, self._world.pid)
        if lock is None or self._shop is None:
            return False
        self._locks.append(lock)
        self._shop.inherited += ((_FAMILY, lock.fileno()),)
        return True

    def _listen(self) -> None:
        self._fleet.listen()
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
            await self._fleet.start()
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
        self._said("manager", sentence, self._world.pid)

    def _changed(self, worker_id: str) -> None:
        slot = self._fleet.find(worker_id)
        if slot is not None:
            _log.info("{worker} is {state}", worker=worker_id, state=slot.state)
            tell(self._hooks.changed, slot.status())
            if worker_id == BROKER_ID and slot.state in {"backoff", "failed"}:
                self._fleet.refuse_unserved()
        self._fleet.conditions.check()

    def _said(self, worker_id: str, line: str, pid: int | None) -> None:
        tell(self._hooks.said, worker_id, line, pid)

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
        slot = self._fleet.find(worker_id)
        return () if slot is None else slot.last_lines

    def status(self) -> Status:
        """Return how everything is right now."""
        manager = ManagerInfo(
            pid=self._world.pid,
            version=__version__,
            started_at=iso_utc(self._started_at),
            http_url=http_url(self._fleet.slots),
            data_dir=str(self._data_dir),
            ui_url=self.ui_url,
        )
        workers = tuple(slot.status() for slot in self._fleet.slots)
        return Status(manager=manager, workers=workers)

    # --- what an operator may change

    def plan(self, roles: Sequence[Role] = SERVING) -> Sequence[str]:
        """As `Orders.plan`, in words."""
        return self._orders.plan(roles).lines()

    def update(self, say: Say, roles: Sequence[Role] = SERVING) -> Deferred[None]:
        """As `Orders.update`; a stop of everything cancels it."""
        return self._carry_out(self._orders.update(say, roles))

    def start_worker(self, role: Role) -> Deferred[str]:
        """As `Orders.start_worker`."""
        return self._carry_out(self._orders.start_worker(role))

    def stop_worker(self, worker_id: str, *, graceful: bool = True) -> Deferred[None]:
        """As `Orders.stop_worker`."""
        return self._carry_out(self._orders.stop_worker(worker_id, graceful=graceful))

    def restart_worker(self, say: Say, worker_id: str) -> Deferred[None]:
        """As `Orders.restart_worker`; a stop of everything cancels it."""
        return self._carry_out(self._orders.restart_worker(say, worker_id))

    def scale(self, role: Role, count: int) -> Deferred[None]:
        """As `Orders.scale`."""
        return self._carry_out(self._orders.scale(role, count))

    def _carry_out(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Begin with ``work`` unless everything starts or stops."""
        if not self._up.happened or self._deadline is not None:
            work.close()
            doing = "stopping" if self._deadline is not None else "starting"
            return fail(ManagerBusy(doing=doing))
        order = Deferred.fromCoroutine(work)
        self._ordered.add(order)
        return order.addBoth(self._carried_out, order)

    def _carried_out(self, outcome: T, order: Deferred[Any]) -> T:
        self._ordered.discard(order)
        return outcome

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
            self._fleet.hurry(timeout_s)
        return self._stopped.when()

    async def _stop_in_order(self) -> None:
        if self._bringing_up is not None:
            self._bringing_up.cancel()
        for order in tuple(self._ordered):
            order.cancel()
        await self._fleet.stop(self._remaining)
        self._free()
        self._stopped.happen()
        self._ended.happen()

    def _remaining(self) -> float:
        now: float = self._world.reactor.seconds()
        return 0.0 if self._deadline is None else max(0.0, self._deadline - now)

    def _free(self) -> None:
        self._fleet.refuse()
        if self._lifeline is not None:
            self._lifeline.cut()
        if self._exits is not None:
            self._exits.close()
        while self._locks:
            self._locks.pop().release()
