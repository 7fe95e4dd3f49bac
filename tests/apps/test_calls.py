"""Calling functions: every kind of function, every kind of outcome."""

import asyncio
import enum
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - functions run there
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.apps.calls import INTERNAL
from tbtwist.apps.crossing import NoReactor
from tbtwist.apps.functions import ExportOptions, Function
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.registry import App
from tbtwist.apps.request import RequestData
from tbtwist.apps.result import Result
from tbtwist.apps.runner import LoopRunner, ReactorRunner
from tbtwist.errors import (
    BadArgument,
    DeadlinePassed,
    MissingArgument,
    PoolFull,
    Undeliverable,
)
from tbtwist.tracing import Trace, current_trace, within
from tests.apps.fakes import run, stopped

reactor: Any = _reactor
LONG_S = 60.0


class Oops(Exception):
    """An application's own error."""


def add(
    app: App, func: Callable[..., Any], options: ExportOptions | None = None
) -> Function:
    """Register ``func`` as Mod/func."""
    app.tb(name="func", mod_name="Mod", **(options or {}))(func)
    found = app.find("Mod", "func")
    assert found is not None
    return found


class AppTestCase(SynchronousTestCase):
    """An application, and calls on a loop of their own."""

    def setUp(self) -> None:
        """An application whose threads end with the test."""
        self.app = App(pool=SyncPool(2, 2, name="app"))
        self.addCleanup(stopped, self.app.pool)

    def call(
        self,
        func: Callable[..., Any],
        options: ExportOptions | None = None,
        **kwargs: object,
    ) -> Result:
        """Call ``func`` as the HTTP side would."""
        return run(self.app.call(add(self.app, func, options), kwargs))


class KindTests(AppTestCase):
    """Where a function runs."""

    def test_coroutine(self) -> None:
        """An async function runs on the loop."""

        async def func() -> object:
            return threading.current_thread() is threading.main_thread()

        self.assertIs(self.call(func).get(), True)

    def test_plain(self) -> None:
        """A plain function runs in the pool, so it blocks nobody."""
        name = self.call(lambda: threading.current_thread().name).get()
        self.assertEqual(name, "app-1")

    def test_disguised_coroutine(self) -> None:
        """A plain function that returns a coroutine is waited for."""

        async def func() -> int:
            return 5

        def disguised() -> object:
            return func()

        self.assertEqual(self.call(disguised).get(), 5)

    def test_deferred(self) -> None:
        """A Deferred is waited for."""
        self.assertEqual(self.call(lambda: succeed(5)).get(), 5)

    def test_twisted_without_reactor(self) -> None:
        """What needs the reactor says so where there is none."""
        result = self.call(lambda: 1, {"runtime": "twisted"})
        self.assertTrue(result.is_error())
        self.assertEqual(len(self.flushLoggedErrors(NoReactor)), 1)


class ResultTests(AppTestCase):
    """What becomes of what a function returns."""

    def test_result(self) -> None:
        """A result stays what it is, and learns where it came from."""
        result = self.call(lambda: Result.json([1], info="fine"))
        self.assertEqual((result.get(), result.info.help_text), ([1], "fine"))
        self.assertEqual(result.origin, ["Mod", "func", "tb"])

    def test_value(self) -> None:
        """Any other value is a success with a note."""
        result = self.call(lambda: {"a": 1})
        self.assertEqual(result.get("a"), 1)
        self.assertEqual(
            (result.result.data_info, result.info.help_text),
            ("Auto generated result", "Function executed successfully"),
        )
        self.assertEqual(result.origin, ["Mod", "func", "tb"])
        self.assertFalse(result.raw)

    def test_row(self) -> None:
        """With row=True clients are to get the bare data."""
        result = self.call(lambda: [1], {"row": True})
        self.assertEqual((result.get(), result.raw), ([1], True))

    def test_row_result(self) -> None:
        """A result of the function's own is not bare, whatever the option says."""
        self.assertFalse(self.call(lambda: Result.ok(1), {"row": True}).raw)

    def test_nothing(self) -> None:
        """A function without a value has worked."""
        result = self.call(lambda: None)
        self.assertTrue(result.is_ok())
        self.assertIsNone(result.get())


class FailureTests(AppTestCase):
    """What becomes of what goes wrong."""

    def test_exception(self) -> None:
        """An exception is logged; the client learns nothing of its text."""

        async def func() -> None:
            msg = "password hunter2"
            raise Oops(msg)

        result = self.call(func)
        self.assertTrue(result.is_error())
        self.assertEqual(result.error, "InternalError")
        self.assertEqual(result.info.help_text, INTERNAL)
        self.assertEqual(result.origin, ["Mod", "func", "tb"])
        self.assertNotIn("hunter2", str(result.as_dict()))
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_exception_in_a_thread(self) -> None:
        """So is one in a thread of the pool."""
        result = self.call(lambda: 1 // 0)
        self.assertEqual(result.error, "InternalError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_exit(self) -> None:
        """A function that asks the process to exit takes nobody with it."""

        def func() -> None:
            raise SystemExit(3)

        self.assertTrue(self.call(func).is_error())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failed_deferred(self) -> None:
        """A Deferred that fails is an exception."""
        self.assertTrue(self.call(lambda: fail(Oops())).is_error())
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_our_errors(self) -> None:
        """Errors of ours pass through, for whoever knows their status."""

        async def func() -> None:
            raise Undeliverable(target="x", reason="gone")

        with self.assertRaises(Undeliverable):
            self.call(func)

    def test_arguments(self) -> None:
        """Arguments that do not fit are the caller's business, and not logged."""

        def func(count: int) -> int:
            return count

        self.assertEqual(self.call(func, count="5").get(), 5)
        with self.assertRaises(BadArgument):
            self.call(func, count="x")
        with self.assertRaises(MissingArgument):
            self.call(func)

    def test_pool_full(self) -> None:
        """When the pool is full, the caller is told at once."""
        self.app.pool = SyncPool(1, 0)
        self.addCleanup(stopped, self.app.pool)
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def slow() -> None:
            entered.set()
            release.wait(10)

        function = add(self.app, slow)

        async def use() -> None:
            first = asyncio.ensure_future(self.app.call(function, {}))
            await asyncio.to_thread(entered.wait, 10)
            with self.assertRaises(PoolFull):
                await self.app.call(function, {})
            release.set()
            await first

        run(use())

    def test_cancelled(self) -> None:
        """A cancelled call is no failure of the function."""

        async def func() -> None:
            await asyncio.Event().wait()

        function = add(self.app, func)

        async def use() -> None:
            running = asyncio.ensure_future(self.app.call(function, {}))
            await asyncio.sleep(0)
            running.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await running

        run(use())

    def test_given_up(self) -> None:
        """A plain function that nobody waits for any more is counted."""
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def slow() -> None:
            entered.set()
            release.wait(10)

        function = add(self.app, slow)

        async def use() -> None:
            runner = LoopRunner()
            running = asyncio.ensure_future(
                runner.run(lambda: self.app.call(function, {}), timeout_s=LONG_S)
            )
            await asyncio.to_thread(entered.wait, 10)
            running.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await running
            await asyncio.sleep(0)
            self.assertEqual(self.app.pool.overdue, 1)

        run(use())


class RequestTests(AppTestCase):
    """The request, and what rides in it."""

    def test_given(self) -> None:
        """Who takes the request gets it."""
        request = RequestData()

        async def func(request: RequestData) -> object:
            return request

        self.assertIs(self.call(func, request=request).get(), request)

    def test_asked_for(self) -> None:
        """A function with ** gets it only if it asked for it."""

        async def func(**rest: object) -> list[str]:
            return sorted(rest)

        request = RequestData()
        self.assertEqual(self.call(func, request=request).get(), [])
        asked: ExportOptions = {"request_as_kwarg": True}
        self.assertEqual(self.call(func, asked, request=request).get(), ["request"])

    def test_data(self) -> None:
        """An object called data is in the request of who asked for that."""

        async def func(request: RequestData) -> object:
            return request.data

        asked: ExportOptions = {"request_as_kwarg": True}
        result = self.call(func, asked, request=RequestData(), data={"a": 1})
        self.assertEqual(result.get(), {"a": 1})


class BackgroundTests(AppTestCase):
    """Work that goes on after the answer."""

    def test_runs(self) -> None:
        """The answer does not wait for it."""
        done: list[str] = []
        go = asyncio.Event()

        async def later() -> None:
            await go.wait()
            done.append("later")

        async def func() -> Result:
            return Result.ok(1).task(later())

        function = add(self.app, func)

        async def use() -> None:
            result = await self.app.call(function, {})
            done.append(str(result.get()))
            go.set()
            while len(done) < 2:
                await asyncio.sleep(0)

        run(use())
        self.assertEqual(done, ["1", "later"])

    def test_failure(self) -> None:
        """Its failure is logged."""

        async def later() -> None:
            raise Oops

        async def func() -> Result:
            return Result.ok().task(later())

        function = add(self.app, func)

        async def use() -> None:
            await self.app.call(function, {})
            await asyncio.sleep(0)

        run(use())
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_odd_ends(self) -> None:
        """Whatever it raises is logged, and does not end the loop that it runs on."""
        ends = [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit]

        async def use() -> None:
            for end in ends:

                async def later(end: type[BaseException] = end) -> None:
                    raise end

                self.app._background.spawn("the rest", later())
                await asyncio.sleep(0)

        run(use())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), len(ends))

    def test_close(self) -> None:
        """Closing the application cancels it."""
        cancelled: list[bool] = []

        async def later() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def func() -> Result:
            return Result.ok().task(later())

        function = add(self.app, func)

        async def use() -> None:
            await self.app.call(function, {})
            await asyncio.sleep(0)
            self.app.close()
            while not cancelled:
                await asyncio.sleep(0)

        run(use())
        self.assertEqual(cancelled, [True])

    def test_from_synchronous_code(self) -> None:
        """Where no loop runs, it is done before the answer."""
        done: list[int] = []

        async def later() -> None:
            done.append(1)

        add(self.app, lambda: Result.ok(5).task(later()))
        self.assertEqual(self.app.run_any("Mod.func"), 5)
        self.assertEqual(done, [1])

    def test_from_a_thread_of_the_pool(self) -> None:
        """In a thread of the pool it goes to the loop that the pool works for."""
        threads: list[threading.Thread] = []

        async def later() -> None:
            threads.append(threading.current_thread())

        add(self.app, lambda: Result.ok(5).task(later()))
        self.app.tb("outer", "Mod")(lambda: self.app.run_any("Mod.func"))
        outer = self.app.find("Mod", "outer")
        assert outer is not None

        async def work() -> None:
            await self.app.call(outer, {})
            while not threads:
                await asyncio.sleep(0)

        run(LoopRunner().run(work, timeout_s=LONG_S))
        self.assertEqual(threads, [threading.current_thread()])


class Shop(enum.Enum):
    """A module's functions as ToolBoxV2 generates them."""

    NAME = "Mod"
    FUNC = "func"


class ByNameTests(AppTestCase):
    """a_run_any and run_any."""

    def setUp(self) -> None:
        """A function to call, as coroutine and not."""
        super().setUp()

        async def slow(item: str, count: int = 1) -> object:
            await asyncio.sleep(0)
            return [item, count]

        def quick(item: str, count: int = 1) -> object:
            return [item, count]

        add(self.app, slow)
        self.app.tb("quick", "My.Mod")(quick)

    def test_addresses(self) -> None:
        """A function can be named in each of ToolBoxV2's ways."""
        for address in ("Mod.func", ("Mod", "func"), Shop.FUNC):
            value = run(self.app.a_run_any(address, item="tea"))
            self.assertEqual(value, ["tea", 1])
            self.assertEqual(self.app.run_any(address, item="tea"), ["tea", 1])

    def test_dotted_module(self) -> None:
        """A module's name may contain dots."""
        self.assertEqual(self.app.run_any("My.Mod.quick", item="a"), ["a", 1])

    def test_values(self) -> None:
        """Values may come by position, by name, and in ToolBoxV2's own arguments."""
        for value in (
            run(self.app.a_run_any("Mod.func", "tea", 2)),
            run(self.app.a_run_any("Mod.func", args_=("tea",), kwargs_={"count": 2})),
            run(
                self.app.a_run_any(
                    "Mod.func",
                    tb_run_with_specification="app",
                    tb_run_function_with_state=True,
                    item="tea",
                    count="2",
                )
            ),
            self.app.run_any("My.Mod.quick", "tea", count=2),
        ):
            self.assertEqual(value, ["tea", 2])

    def test_result(self) -> None:
        """The whole result can be asked for."""
        result = run(self.app.a_run_any("Mod.func", get_results=True, item="tea"))
        self.assertIsInstance(result, Result)
        self.assertEqual(result.origin, ["Mod", "func", "tb"])

    def test_never_raises(self) -> None:
        """What goes wrong is in the result, with the status that it would have."""
        self.app.tb("broken", "My.Mod")(lambda: 1 // 0)
        for address, kwargs, code in (
            ("Mod.nope", {}, 404),
            ("nope", {}, 404),
            ("Mod.func", {}, 400),
            ("Mod.func", {"item": "a", "count": "x"}, 422),
            ("My.Mod.broken", {}, -2),
        ):
            for result in (
                run(self.app.a_run_any(address, get_results=True, **kwargs)),
                self.app.run_any(address, get_results=True, **kwargs),
            ):
                self.assertTrue(result.is_error())
                self.assertEqual(result.info.exec_code, code, address)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertIsNone(run(self.app.a_run_any("Mod.nope")))

    def test_our_errors(self) -> None:
        """So are errors of ours, with their status where they have one."""
        for error, code in (
            (PoolFull(), 503),
            (DeadlinePassed(1.0), 504),
            (Undeliverable(target="x", reason="gone"), -2),
        ):

            def func(error: Exception = error) -> None:
                raise error

            add(self.app, func)
            result = self.app.run_any("Mod.func", get_results=True)
            self.assertEqual((result.info.exec_code, result.is_error()), (code, True))

    def test_too_many_values(self) -> None:
        """So are too many values."""
        result = run(self.app.a_run_any("Mod.func", 1, 2, 3, get_results=True))
        self.assertEqual(result.info.exec_code, 422)

    def test_from_a_thread_of_the_pool(self) -> None:
        """A plain function may call others and wait, even when the pool is full."""
        self.app.pool = SyncPool(1, 0)
        self.addCleanup(stopped, self.app.pool)

        def outer() -> object:
            return [
                self.app.run_any("Mod.func", item="a"),
                self.app.run_any("My.Mod.quick", item="b"),
            ]

        self.app.tb("outer", "My.Mod")(outer)
        found = self.app.find("My.Mod", "outer")
        assert found is not None
        work = LoopRunner().run(lambda: self.app.call(found, {}), timeout_s=LONG_S)
        self.assertEqual(run(work).get(), [["a", 1], ["b", 1]])

    def test_would_block_the_loop(self) -> None:
        """In a coroutine, waiting for another would stop the loop: an error says so."""

        async def use() -> None:
            with self.assertRaises(RuntimeError) as caught:
                self.app.run_any("Mod.func", item="a")
            self.assertIn("a_run_any", str(caught.exception))
            self.assertEqual(self.app.run_any("My.Mod.quick", item="b"), ["b", 1])

        run(use())

    def test_deadline(self) -> None:
        """Waiting has an end."""

        async def forever() -> None:
            await asyncio.Event().wait()

        add(self.app, forever)
        self.app.timeout_s = 0.02
        result = self.app.run_any("Mod.func", get_results=True)
        self.assertEqual(result.info.exec_code, 504)


class ReactorTests(TestCase):
    """Functions in a real worker's surroundings."""

    timeout = 30

    def setUp(self) -> None:
        """An application with a runner."""
        self.app = App(pool=SyncPool(2, 2))
        self.runner = ReactorRunner(reactor)
        self.addCleanup(self.runner.stopService)
        self.addCleanup(stopped, self.app.pool)

    def call(
        self, func: Callable[..., Any], options: ExportOptions | None = None
    ) -> Deferred[Result]:
        """Call ``func`` through the runner."""
        function = add(self.app, func, options)
        return self.runner.run(lambda: self.app.call(function, {}), timeout_s=LONG_S)

    async def test_every_kind(self) -> None:
        """Coroutines, plain functions and Deferreds all answer."""

        async def coroutine() -> int:
            await asyncio.sleep(0)
            return 1

        self.assertEqual((await self.call(coroutine)).get(), 1)
        self.assertEqual((await self.call(lambda: 2)).get(), 2)
        self.assertEqual((await self.call(lambda: succeed(3))).get(), 3)

    async def test_twisted_coroutine(self) -> None:
        """A function of Twisted's runs on the reactor's thread and awaits Deferreds."""

        async def func() -> object:
            await deferLater(reactor, 0)
            return threading.current_thread() is threading.main_thread()

        result = await self.call(func, {"runtime": "twisted"})
        self.assertIs(result.get(), True)

    async def test_twisted_deferred(self) -> None:
        """One without async is called there as well, and its Deferred waited for."""

        def func() -> Deferred[object]:
            name = threading.current_thread() is threading.main_thread()
            return deferLater(reactor, 0, lambda: name)

        result = await self.call(func, {"runtime": "twisted"})
        self.assertIs(result.get(), True)

    async def test_under_a_trace(self) -> None:
        """Functions of every kind work under the trace that they were called under."""

        async def coroutine() -> object:
            return current_trace()

        def plain() -> object:
            return current_trace()

        async def on_reactor() -> object:
            await deferLater(reactor, 0)
            return current_trace()

        trace = Trace("ab" * 16, "cd" * 8)
        kinds: list[tuple[Callable[..., Any], ExportOptions]] = [
            (coroutine, {}),
            (plain, {}),
            (on_reactor, {"runtime": "twisted"}),
        ]
        for func, options in kinds:
            result = await within(trace, self.call, func, options)
            self.assertIs(result.get(), trace)
            self.assertIsNone((await self.call(func, options)).get())

    async def test_twisted_failure(self) -> None:
        """Its failure is logged like any other."""

        async def func() -> None:
            raise Oops

        result = await self.call(func, {"runtime": "twisted"})
        self.assertTrue(result.is_error())
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    async def test_run_any_in_a_thread(self) -> None:
        """A plain function can wait for a coroutine, which runs with all others."""

        async def coroutine() -> str:
            await asyncio.sleep(0)
            return threading.current_thread().name

        self.app.tb("coroutine", "Mod")(coroutine)
        outer = await self.call(lambda: self.app.run_any("Mod.coroutine"))
        inner = await self.call(coroutine)
        self.assertEqual(outer.get(), inner.get())
