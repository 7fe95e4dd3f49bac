"""Where application coroutines run, on every kind of reactor."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - its loop, or none
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.apps.crossing import HOME, on_reactor, reactor_caller
from tbtwist.apps.runner import LoopRunner, ReactorRunner, deferred_to_future
from tbtwist.apps.tasks import guarded
from tbtwist.errors import DeadlinePassed
from tests.apps.fakes import run

reactor: Any = _reactor
LONG_S = 60.0
SHORT_S = 0.02
ODD_ENDS = (
    asyncio.CancelledError,
    CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
)
"""What means something else than an error, wherever it comes out of."""


class Oops(Exception):
    """An application's own error."""


async def forever() -> None:
    """Never end by itself."""
    await asyncio.Event().wait()


class Stubborn:
    """Work that does not end at once when it is cancelled."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.started: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.over = False
        self._end = end

    async def __call__(self) -> object:
        """Take a moment for cleaning up."""
        reactor.callFromThread(self.started.callback, None)
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return self._end()
        finally:
            self.over = True
            reactor.callFromThread(self.ended.callback, None)
        return None


class ReactorRunnerTests(TestCase):
    """Work for code on the reactor's thread."""

    timeout = 30

    def setUp(self) -> None:
        """A runner that is stopped in the end."""
        self.runner = ReactorRunner(reactor)
        self.runner.startService()
        self.addCleanup(self.runner.stopService)

    def run_(
        self, work: Callable[[], Coroutine[Any, Any, Any]], timeout_s: float = LONG_S
    ) -> Deferred[Any]:
        """Run work."""
        return self.runner.run(work, timeout_s=timeout_s)

    async def test_task(self) -> None:
        """Work is an asyncio Task, so asyncio's own tools work in it."""

        async def work() -> object:
            async with asyncio.timeout(LONG_S):
                await asyncio.sleep(0)
            return asyncio.current_task() is not None

        self.assertTrue(await self.run_(work))

    async def test_thread(self) -> None:
        """It runs on the reactor's own loop where that has one, else in one thread."""

        async def work() -> object:
            return threading.current_thread(), asyncio.get_running_loop()

        thread, loop = await self.run_(work)
        if hasattr(reactor, "_asyncioEventloop"):
            self.assertIs(thread, threading.current_thread())
            self.assertIs(loop, reactor._asyncioEventloop)
        else:
            self.assertEqual(thread.name, "app-loop")
            self.assertEqual(await self.run_(work), (thread, loop))

    async def test_callback_on_the_reactor(self) -> None:
        """Whoever waits goes on in the reactor's thread."""

        async def work() -> None:
            """Do nothing."""

        await self.run_(work)
        self.assertIs(threading.current_thread(), threading.main_thread())

    async def test_exception(self) -> None:
        """An exception comes through as it is."""

        async def work() -> None:
            raise Oops

        with self.assertRaises(Oops):
            await self.run_(work)

    async def test_odd_ends(self) -> None:
        """Whatever work raises is its own error, and ends nothing else."""
        for end in ODD_ENDS:

            async def work(end: type[BaseException] = end) -> None:
                raise end

            with self.assertRaisesRegex(RuntimeError, end.__name__):
                await self.run_(work)

    async def test_awaiting_what_was_cancelled(self) -> None:
        """So is that something else, which it waited for, was cancelled."""

        async def work() -> None:
            other = asyncio.ensure_future(forever())
            other.cancel()
            await other

        with self.assertRaisesRegex(RuntimeError, "CancelledError"):
            await self.run_(work)

    def test_thrown_away(self) -> None:
        """Work whose loop has ended can be thrown away in silence."""
        ended: list[str] = []

        async def work() -> None:
            try:
                await forever()
            finally:
                ended.append("work")

        loop = asyncio.new_event_loop()
        task = loop.create_task(guarded(work))
        loop.call_soon(loop.stop)
        loop.run_forever()
        coroutine: Any = task.get_coro()
        coroutine.close()
        self.assertEqual(ended, ["work"])
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    async def test_broken_from_the_start(self) -> None:
        """Work that cannot even begin has failed, like any other."""

        def work() -> Any:
            raise Oops

        with self.assertRaises(Oops):
            await self.run_(work)

    async def test_context(self) -> None:
        """Context variables of the caller are seen, and changes stay inside."""
        var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

        async def work() -> int:
            seen = var.get()
            var.set(9)
            return seen

        var.set(7)
        self.assertEqual(await self.run_(work), 7)
        self.assertEqual(var.get(), 7)

    async def test_deadline(self) -> None:
        """Past its deadline, work is cancelled and its caller told how long it had."""
        work = Stubborn(lambda: "too late")
        with self.assertRaises(DeadlinePassed) as caught:
            await self.run_(work, SHORT_S)
        self.assertEqual(caught.exception.timeout_s, SHORT_S)
        await work.ended

    async def test_deadline_does_not_wait(self) -> None:
        """The caller goes on at the deadline, even if the work ignores it."""
        release = threading.Event()
        self.addCleanup(release.set)

        async def deaf() -> None:
            while not release.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

        with self.assertRaises(DeadlinePassed):
            await self.run_(deaf, SHORT_S)
        release.set()

    async def test_own_timeout(self) -> None:
        """The application's own TimeoutError is not mistaken for the deadline."""

        async def work() -> None:
            raise TimeoutError

        with self.assertRaises(TimeoutError):
            await self.run_(work)

    async def test_late_failure(self) -> None:
        """What goes wrong after the deadline is logged; nobody else would know."""

        def fail_late() -> None:
            raise Oops

        work = Stubborn(fail_late)
        with self.assertRaises(DeadlinePassed):
            await self.run_(work, SHORT_S)
        await self.runner.stopService()
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    async def test_cancel(self) -> None:
        """Cancelling the Deferred cancels the Task."""
        work = Stubborn(lambda: None)
        running = self.run_(work)
        await work.started
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await work.ended

    async def test_cancel_before_it_began(self) -> None:
        """Work that is cancelled at once leaves nothing behind."""
        running = self.run_(forever)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await self.runner.stopService()

    async def test_cancelled_from_within(self) -> None:
        """A Task that cancels itself is a cancelled Deferred."""

        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await forever()

        with self.assertRaises(CancelledError):
            await self.run_(work)

    async def test_stop(self) -> None:
        """Stopping cancels what runs, waits for its cleanup, and refuses the rest."""
        work = Stubborn(lambda: None)
        running = self.run_(work)
        await work.started
        await self.runner.stopService()
        self.assertTrue(work.over)
        for waiting in (running, self.run_(forever)):
            with self.assertRaises(CancelledError):
                await waiting

    async def test_stop_is_bounded(self) -> None:
        """Work that will not end cannot hold up the shutdown."""
        release = threading.Event()
        runner = ReactorRunner(reactor, stop_timeout_s=SHORT_S)
        ended: Deferred[None] = Deferred()

        async def deaf() -> None:
            while not release.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue
            reactor.callFromThread(ended.callback, None)

        running = runner.run(deaf, timeout_s=LONG_S)
        await deferLater(reactor, SHORT_S)
        await runner.stopService()
        with self.assertRaises(CancelledError):
            await running
        release.set()
        await ended

    async def test_start_again(self) -> None:
        """A runner can be started again after it was stopped (the desktop does)."""

        async def work() -> int:
            return 5

        await self.runner.stopService()
        self.runner.startService()
        self.assertEqual(await self.run_(work), 5)

    async def test_many(self) -> None:
        """Many pieces of work run side by side."""

        async def work(number: int) -> int:
            await asyncio.sleep(0)
            return number

        running = [self.run_(lambda n=n: work(n)) for n in range(100)]  # type: ignore[misc]
        self.assertEqual([await one for one in running], list(range(100)))


class NoThreadTests(TestCase):
    """Threads end with the runner."""

    async def test_thread_ends(self) -> None:
        """After a stop there is no thread of ours."""
        runner = ReactorRunner(reactor)
        await runner.run(lambda: asyncio.sleep(0), timeout_s=LONG_S)
        await runner.stopService()
        await runner.stopService()
        ours = [t for t in threading.enumerate() if t.name == "app-loop"]
        for thread in ours:
            thread.join(10)
        self.assertFalse([t for t in ours if t.is_alive()])


class CrossingTests(TestCase):
    """Deferreds in application coroutines."""

    timeout = 30

    def setUp(self) -> None:
        """A runner that is stopped in the end."""
        self.runner = ReactorRunner(reactor)
        self.addCleanup(self.runner.stopService)

    def run_(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Deferred[Any]:
        """Run work."""
        return self.runner.run(work, timeout_s=LONG_S)

    async def test_value(self) -> None:
        """A Deferred can be awaited, whenever it fires."""
        early: Deferred[int] = Deferred()
        early.callback(1)
        late: Deferred[int] = deferLater(reactor, 0, lambda: 2)

        async def work() -> list[int]:
            return [await deferred_to_future(early), await deferred_to_future(late)]

        self.assertEqual(await self.run_(work), [1, 2])

    async def test_failure(self) -> None:
        """Its failure is raised."""
        broken: Deferred[int] = Deferred()
        broken.errback(Oops())

        async def work() -> None:
            await deferred_to_future(broken)

        with self.assertRaises(Oops):
            await self.run_(work)

    async def test_cancel(self) -> None:
        """Who stops waiting cancels the Deferred, in the reactor's thread."""
        cancelled: Deferred[str] = Deferred()
        waiting: Deferred[None] = Deferred(
            lambda _: cancelled.callback(threading.current_thread().name)
        )

        async def work() -> None:
            async with asyncio.timeout(SHORT_S):
                await deferred_to_future(waiting)

        with self.assertRaises(TimeoutError):
            await self.run_(work)
        self.assertEqual(await cancelled, threading.main_thread().name)

    async def test_on_reactor(self) -> None:
        """Code can be sent to the reactor's thread, coroutines of Deferreds too."""

        async def twisted_code(number: int) -> tuple[int, str]:
            await deferLater(reactor, 0)
            return number, threading.current_thread().name

        async def work() -> Any:
            home = HOME.get()
            assert home is not None
            assert home.call_on_reactor is not None
            return await on_reactor(home.call_on_reactor, twisted_code, 5)

        self.assertEqual(await self.run_(work), (5, threading.main_thread().name))

    async def test_stop_iteration(self) -> None:
        """A StopIteration, which a future cannot carry, arrives as another error."""

        def broken() -> None:
            raise StopIteration

        async def work() -> None:
            home = HOME.get()
            assert home is not None
            assert home.call_on_reactor is not None
            await on_reactor(home.call_on_reactor, broken)

        with self.assertRaises(RuntimeError):
            await self.run_(work)

    async def test_order(self) -> None:
        """Calls from one thread arrive in their order; on the reactor's, at once."""
        call = reactor_caller(reactor)
        seen: list[int] = []
        call(seen.append, 0)
        self.assertEqual(seen, [0])
        done: Deferred[None] = Deferred()

        def elsewhere() -> None:
            for number in range(1, 50):
                call(seen.append, number)
            call(done.callback, None)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await done
        thread.join()
        self.assertEqual(seen, list(range(50)))


class LoopRunnerTests(SynchronousTestCase):
    """Work for coroutines that run on a loop already."""

    def test_value_and_exception(self) -> None:
        """The value comes back, and so does an exception."""

        async def work() -> int:
            return 5

        async def broken() -> None:
            raise Oops

        self.assertEqual(run(LoopRunner().run(work, timeout_s=LONG_S)), 5)
        with self.assertRaises(Oops):
            run(LoopRunner().run(broken, timeout_s=LONG_S))

    def test_task_of_its_own(self) -> None:
        """Work is a Task of its own on the caller's loop, without a reactor."""

        async def work() -> tuple[object, object]:
            home = HOME.get()
            assert home is not None
            assert home.call_on_reactor is None
            return asyncio.current_task(), home.loop

        async def use() -> None:
            task, loop = await LoopRunner().run(work, timeout_s=LONG_S)
            self.assertIsNot(task, asyncio.current_task())
            self.assertIs(loop, asyncio.get_running_loop())
            self.assertIsNone(HOME.get())

        run(use())

    def test_deadline(self) -> None:
        """Past its deadline, work is cancelled."""
        ended: list[bool] = []

        async def work() -> None:
            try:
                await forever()
            finally:
                ended.append(True)

        async def use() -> None:
            with self.assertRaises(DeadlinePassed):
                await LoopRunner().run(work, timeout_s=SHORT_S)
            await asyncio.sleep(0)

        run(use())
        self.assertEqual(ended, [True])

    def test_late_failure(self) -> None:
        """What goes wrong after the deadline is logged."""

        async def work() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                raise Oops from None

        async def use() -> None:
            with self.assertRaises(DeadlinePassed):
                await LoopRunner().run(work, timeout_s=SHORT_S)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        run(use())
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_cancel(self) -> None:
        """Cancelling the caller cancels the work."""
        ended: list[bool] = []

        async def work() -> None:
            try:
                await forever()
            finally:
                ended.append(True)

        async def use() -> None:
            caller = asyncio.ensure_future(LoopRunner().run(work, timeout_s=LONG_S))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            caller.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await caller
            await asyncio.sleep(0)

        run(use())
        self.assertEqual(ended, [True])

    def test_cancelled_from_within(self) -> None:
        """A cancellation that nobody asked for is an error like any other."""

        async def work() -> None:
            raise asyncio.CancelledError

        async def use() -> None:
            with self.assertRaises(RuntimeError):
                await LoopRunner().run(work, timeout_s=LONG_S)

        run(use())

    def test_deferred(self) -> None:
        """A Deferred can be awaited here as well, where there is no reactor."""
        ready: Deferred[int] = Deferred()
        ready.callback(3)

        async def work() -> int:
            return await deferred_to_future(ready)

        self.assertEqual(run(LoopRunner().run(work, timeout_s=LONG_S)), 3)
