"""Functions that run at the start and at the end of an application (R8.3)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - code runs beside it
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tbtwist.apps import hooks
from tbtwist.apps.hooks import has_initial, run_exit, run_initial
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.registry import App
from tbtwist.apps.result import Result
from tbtwist.apps.runner import ReactorRunner
from tbtwist.errors import DeadlinePassed, StartFailed

reactor: Any = _reactor


class HooksTests(TestCase):
    """An application with a few of them."""

    timeout = 60

    def setUp(self) -> None:
        """Make the application, and what runs it."""
        self.app = App(pool=SyncPool(1, 4))
        self.addCleanup(self.app.pool.stop, lambda: None)
        self.runner = ReactorRunner(reactor)
        self.addCleanup(self.runner.stopService)
        self.ran: list[Any] = []

    def begin(self, timeout_s: float = 60) -> Deferred[None]:
        """Run what is to run at the start."""
        work = run_initial(self.app, self.runner, timeout_s=timeout_s, cwd=Path.cwd())
        return Deferred.fromCoroutine(work)

    async def fails(self, timeout_s: float = 60) -> str:
        """Return why the start failed."""
        with self.assertRaises(StartFailed) as caught:
            await self.begin(timeout_s)
        return str(caught.exception)

    async def test_each_kind_in_order(self) -> None:
        """Functions of every kind run where such functions run, in their order."""
        self.assertFalse(has_initial(self.app))

        @self.app.tb("one", "Shop", initial=True)
        def one(app: App) -> None:
            self.ran.append(threading.current_thread().name)

        @self.app.tb("two", "Shop", initial=True)
        async def two() -> None:
            await asyncio.sleep(0)
            self.ran.append("two")

        @self.app.tb("three", "Other", initial=True, runtime="twisted")
        async def three() -> None:
            await Deferred.fromCoroutine(asyncio_free())
            self.ran.append("three")

        @self.app.tb("never", "Shop")
        async def never() -> None:
            self.ran.append("never")

        await self.begin()
        self.assertEqual(self.ran, ["app-1", "two", "three"])
        self.assertTrue(has_initial(self.app))

    async def test_a_failure_is_named(self) -> None:
        """The error says which function, where, and why; the next one does not run."""

        @self.app.tb("bad", "Shop", initial=True)
        def bad() -> None:
            msg = "no licence"
            raise ValueError(msg)

        @self.app.tb("next", "Shop", initial=True)
        def next_one() -> None:
            self.ran.append("next")

        said = await self.fails()
        self.assertIn("Shop/bad, which runs at the start, failed: ", said)
        self.assertRegex(said, r"test_hooks\.py:\d+: ValueError: no licence\.")
        self.assertEqual(self.ran, [])

    async def test_an_error_result(self) -> None:
        """A Result that is an error is one."""
        self.app.tb("bad", "Shop", initial=True)(lambda: Result.error(info="not now"))
        self.assertIn("Shop/bad, which runs at the start", await self.fails())

    async def test_missing_argument(self) -> None:
        """One that wants what nobody gives it is named as well."""
        self.app.tb("bad", "Shop", initial=True)(lambda item: item)
        said = await self.fails()
        self.assertIn("The parameter item is missing", said)
        self.assertNotIn("tbtwist/", said)

    async def test_too_long(self) -> None:
        """One that does not end in time has failed."""

        @self.app.tb("slow", "Shop", initial=True)
        async def slow() -> None:
            await asyncio.Event().wait()

        self.assertIn("Shop/slow", await self.fails(0.01))

    async def test_exit(self) -> None:
        """At the end each one runs, whatever became of the one before."""
        self.patch(hooks, "EXIT_TIMEOUT_S", 0.1)

        @self.app.tb("bad", "Shop", exit_f=True)
        def bad() -> None:
            raise ValueError

        @self.app.tb("slow", "Shop", exit_f=True)
        async def slow() -> None:
            await asyncio.Event().wait()

        @self.app.tb("good", "Shop", exit_f=True)
        async def good() -> None:
            self.ran.append("good")

        await run_exit(self.app, self.runner)
        self.assertEqual(self.ran, ["good"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(DeadlinePassed)), 1)


async def asyncio_free() -> None:
    """Be a coroutine that needs no loop."""
