"""Processes are killed at random again and again; so is the manager.

What is random comes from one seed; ``TB_CHAOS_SEED`` gives another.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.defer import Deferred

from benchmarks.programs import free_ports
from tbtwist.services import wait
from tests.integration.chaos import RESTARTED, SEED, ChaosCase
from tests.integration.crowd import ABNORMAL
from tests.integration.sample import config
from tests.integration.system import reactor

CLIENTS: Final = 30
WORKERS: Final = ("broker", "http-1", "http-2", "ws-1", "ws-2")
KILLS: Final = ("one",) * 10 + ("two at once",) * 3 + ("while it starts",) * 2
"""Twenty kills, since the last two kinds take two each."""
RESTARTS: Final = 3
_SOON_S: Final = (0.0, 0.5)


class KillsTests(ChaosCase):
    """The system is whole again after each death, and nothing is there twice."""

    async def test_twenty(self) -> None:
        """Broker and workers die twenty times, at random, also while they start.

        Only clients of ws workers that died notice more than a pause. In the end
        there is one process for each slot, on the port that it had.
        """
        patient = "manager:\n  max_restart_attempts: 100\n  backoff_max_s: 0.5"
        await self.begin(CLIENTS, config(2, 2).replace("manager:", patient))
        before = await self.places()
        killed: set[str] = set()
        for kind in self.chance.sample(KILLS, len(KILLS)):
            chosen = self.chance.sample(WORKERS, 2 if kind == "two at once" else 1)
            await self.kill(*chosen)
            if kind == "while it starts":
                await self.kill_starting(chosen[0])
            killed.update(chosen)
        self.assertEqual(before, await self.places())
        await self.one_for_each_slot()
        ports = {id_: place for id_, place in before.items() if id_ in killed}
        await self.judge(
            {port: ABNORMAL for id_, port in ports.items() if id_.startswith("ws")}
        )

    async def kill_starting(self, worker_id: str) -> None:
        """Kill a worker, then its successor before that serves."""
        pid = await self.system.kill(worker_id)
        await self.system.until(partial(self.starting, worker_id, pid), worker_id)
        await wait(reactor, self.chance.uniform(*_SOON_S))
        pid = await self.system.kill(worker_id)
        await self.system.until(partial(self.replaced, worker_id, pid), worker_id)
        await self.whole_again()

    async def starting(self, worker_id: str, pid: int) -> bool:
        """Whether a worker has a successor."""
        worker = await self.system.worker(worker_id)
        return bool(worker["pid"] and worker["pid"] != pid)

    async def test_manager(self) -> None:
        """A manager that is killed is started again from outside, and all is whole.

        Its workers drain and leave meanwhile; who was connected is told to come back
        (1012), to the same port. Nothing is lost, no process of an old manager stays.
        """
        http, ws = free_ports(2)
        text = config(1, 1).replace("port: 0", f"port: {http}", 1)
        await self.begin(CLIENTS, text.replace("port: 0", f"port: {ws}", 1))
        self.restarting = True
        restarter = Deferred.fromCoroutine(self.restart_always())
        before = await self.places()
        for _ in range(RESTARTS):
            await wait(reactor, self.chance.uniform(*_SOON_S))
            await self.kill_manager()
        self.assertEqual(before, await self.places())
        await self.one_for_each_slot()
        self.restarting = False
        await self.judge({ws: RESTARTED})
        await restarter

    async def restart_always(self) -> None:
        """Do what systemd does."""
        while self.restarting:
            assert self.system.manager is not None
            await self.system.manager.ended
            if self.restarting:
                self.system.manager = self.system.spawn_manager()

    async def kill_manager(self) -> None:
        """Kill the manager; come back when another one has everything whole."""
        old = set(self.system.processes())
        assert self.system.manager is not None
        self.system.manager.signal("KILL")
        await self.system.manager.ended

        async def renewed() -> bool:
            return not old & set(self.system.processes())

        await self.system.until(renewed, "the end of the old ones")
        await self.whole_again()

    async def places(self) -> dict[str, int]:
        """Return the port of each worker that has one."""
        workers = (await self.system.status())["workers"]
        return {each["id"]: each["port"] for each in workers if each["port"]}

    async def one_for_each_slot(self) -> None:
        """Nobody is there but the manager and its workers."""
        workers = (await self.system.status())["workers"]
        assert self.system.manager is not None
        expected = {self.system.manager.pid, *(each["pid"] for each in workers)}
        self.assertEqual(expected, {*self.system.processes()}, f"seed {SEED}")
