"""The threads that functions without async run in."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - its own thread
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.apps.pool import PoolService, SyncPool
from tbtwist.errors import PoolFull
from tests.apps.fakes import run, stopped

reactor: Any = _reactor
PATIENCE_S = 10.0


class Gate:
    """A function that does not return before it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self) -> str:
        """Wait to be opened."""
        self.entered.release()
        assert self.open.wait(PATIENCE_S)
        return threading.current_thread().name


async def entered(gate: Gate, times: int = 1) -> None:
    """Wait until a gate has been entered, without blocking the loop."""
    for _ in range(times):
        assert await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE_S)


class PoolTests(SynchronousTestCase):
    """What a pool does for coroutines."""

    def pool(self, threads: int = 1, queue: int = 0) -> SyncPool:
        """Return a pool that is stopped in the end."""
        pool = SyncPool(threads, queue, name="test")
        self.addCleanup(stopped, pool)
        return pool

    def test_value(self) -> None:
        """The value comes back, from a thread with the pool's name."""
        pool = self.pool()
        name = run(pool.run(lambda: threading.current_thread().name))
        self.assertEqual(name, "test-1")

    def test_exception(self) -> None:
        """So does an exception."""
        with self.assertRaises(ZeroDivisionError):
            run(self.pool().run(lambda: 1 // 0))

    def test_exceptions_of_the_language(self) -> None:
        """One that means more to Python becomes an ordinary one."""

        def raising(error: BaseException) -> Callable[[], None]:
            def work() -> None:
                raise error

            return work

        pool = self.pool()
        for error in (
            StopIteration(1),
            SystemExit(3),
            KeyboardInterrupt(),
            asyncio.CancelledError(),
        ):
            with self.assertRaises(RuntimeError) as caught:
                run(pool.run(raising(error)))
            self.assertIs(caught.exception.__cause__, error)
        self.assertEqual(run(pool.run(lambda: 1)), 1)

    def test_context(self) -> None:
        """Context variables are those of the caller, and changes stay inside."""
        var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

        def work() -> int:
            seen = var.get()
            var.set(99)
            return seen

        async def use() -> tuple[int, int]:
            var.set(7)
            return await pool.run(work), var.get()

        pool = self.pool()
        self.assertEqual(run(use()), (7, 7))

    def test_side_by_side(self) -> None:
        """As many run at once as there are threads."""
        gate = Gate()

        async def use() -> set[str]:
            running = [asyncio.ensure_future(pool.run(gate)) for _ in range(3)]
            await entered(gate, 3)
            self.assertEqual((pool.busy, pool.queued), (3, 0))
            gate.open.set()
            return set(await asyncio.gather(*running))

        pool = self.pool(threads=3)
        self.assertEqual(run(use()), {"test-1", "test-2", "test-3"})

    def test_full(self) -> None:
        """When threads and queue are full, the next one is told at once."""
        gate = Gate()

        async def use() -> list[str]:
            running = [asyncio.ensure_future(pool.run(gate)) for _ in range(3)]
            await entered(gate)
            self.assertEqual((pool.busy, pool.queued), (1, 2))
            with self.assertRaises(PoolFull):
                await pool.run(gate)
            gate.open.set()
            return await asyncio.gather(*running)

        pool = self.pool(threads=1, queue=2)
        self.assertEqual(run(use()), ["test-1"] * 3)

    def test_room_again(self) -> None:
        """Who has its answer has also left the pool."""

        async def use() -> int:
            return sum([await pool.run(lambda: 1) for _ in range(200)])

        pool = self.pool(threads=1, queue=0)
        self.assertEqual(run(use()), 200)

    def test_threads_are_reused(self) -> None:
        """An idle thread is used before a new one is started."""

        async def use() -> set[str]:
            names = set()
            for _ in range(50):
                names.add(await pool.run(lambda: threading.current_thread().name))
            return names

        pool = self.pool(threads=50, queue=50)
        self.assertLess(len(run(use())), 50)

    def test_cancelled_in_the_queue(self) -> None:
        """Who gives up while waiting is never run, and its place is free at once."""
        gate = Gate()
        ran: list[int] = []

        async def use() -> None:
            first = asyncio.ensure_future(pool.run(gate))
            await entered(gate)
            second = asyncio.ensure_future(pool.run(lambda: ran.append(2)))
            await asyncio.sleep(0)
            second.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await second
            self.assertEqual(pool.queued, 0)
            third = asyncio.ensure_future(pool.run(lambda: ran.append(3)))
            gate.open.set()
            await asyncio.gather(first, third)

        pool = self.pool(threads=1, queue=1)
        run(use())
        self.assertEqual((ran, pool.overdue), ([3], 0))

    def test_overdue(self) -> None:
        """A function that outlives its deadline keeps its thread, and is counted."""
        gate = Gate()

        async def use() -> None:
            late = asyncio.ensure_future(pool.run(gate))
            await entered(gate)
            late.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await late
            self.assertEqual((pool.overdue, pool.busy), (1, 1))
            with self.assertRaises(PoolFull):
                await pool.run(gate)

        pool = self.pool()
        run(use())
        gate.open.set()
        stopped(pool)
        self.assertEqual((pool.overdue, pool.busy), (0, 0))

    def test_stop(self) -> None:
        """A stopped pool refuses work, drops what waits, and ends its threads."""
        gate = Gate()
        ended = threading.Event()

        async def use() -> None:
            first = asyncio.ensure_future(pool.run(gate))
            await entered(gate)
            second = asyncio.ensure_future(pool.run(gate))
            await asyncio.sleep(0)
            pool.stop(ended.set)
            with self.assertRaises(asyncio.CancelledError):
                await second
            with self.assertRaises(PoolFull):
                await pool.run(gate)
            self.assertFalse(ended.is_set())
            gate.open.set()
            await first

        pool = self.pool(threads=1, queue=5)
        run(use())
        self.assertTrue(ended.wait(PATIENCE_S))

    def test_stop_when_nothing_ran(self) -> None:
        """A pool that never had a thread is stopped at once."""
        told: list[int] = []
        self.pool().stop(lambda: told.append(1))
        self.assertEqual(told, [1])

    def test_start_again(self) -> None:
        """A pool can be used again after a stop."""
        pool = self.pool()
        run(pool.run(lambda: 1))
        stopped(pool)
        pool.start()
        self.assertEqual(run(pool.run(lambda: 2)), 2)


class StopTimeTests(SynchronousTestCase):
    """Stopping takes no longer than it may."""

    def test_stuck_function(self) -> None:
        """A function that never returns cannot hold up the shutdown."""
        gate = Gate()
        pool = SyncPool(1, 0)
        service = PoolService(pool, _ClockWithThreads(), 3.0)
        service.startService()
        thread = threading.Thread(target=lambda: run(pool.run(gate)))
        thread.start()
        self.addCleanup(thread.join, PATIENCE_S)
        self.addCleanup(gate.open.set)
        self.assertTrue(gate.entered.acquire(timeout=PATIENCE_S))
        done = service.stopService()
        self.assertNoResult(done)
        service._clock.advance(3.0)  # type: ignore[attr-defined]
        self.assertIsNone(self.successResultOf(done))


class _ClockWithThreads(Clock):
    """A clock that takes calls from threads, and never gets to them."""

    def callFromThread(self, *_: object) -> None:
        """Too late."""


class PoolServiceTests(TestCase):
    """The pool as a service of a real reactor."""

    async def test_stop(self) -> None:
        """Stopping fires when the threads have ended, and leaves no timer behind."""
        pool = SyncPool(2, 2)
        service = PoolService(pool, reactor, 60.0)
        service.startService()
        self.assertEqual(await self.elsewhere(lambda: run(pool.run(lambda: 5))), 5)
        await service.stopService()
        self.assertEqual(pool.busy, 0)

    async def test_start_again(self) -> None:
        """A service that is started again takes work again."""
        pool = SyncPool(1, 1)
        service = PoolService(pool, reactor, 60.0)
        await service.stopService()
        service.startService()
        self.assertEqual(await self.elsewhere(lambda: run(pool.run(lambda: 1))), 1)
        await service.stopService()

    def elsewhere(self, work: Callable[[], object]) -> Deferred[object]:
        """Call ``work`` in a thread where no loop runs."""
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)
