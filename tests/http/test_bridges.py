"""No thread that waits for an answer waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tbtwist.api.response import Response
from tbtwist.errors import DeadlinePassed, Refused
from tbtwist.http.bridges import (
    ClientGone,
    LoopBridge,
    ReactorBridge,
    ThreadDoor,
    loop_bridge,
    reactor_bridge,
)
from tests.http.memory import InlineReactor

OK = Response(200, (), b"ok")
reactor: Any = global_reactor


async def answer() -> Response:
    """Answer."""
    return OK


class LazyReactor(InlineReactor):
    """A reactor that does not look at its queue."""

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        """Do nothing, as a reactor that has just stopped."""


class DoorTests(SynchronousTestCase):
    """Calls from threads are made, before and after the reactor's end."""

    def setUp(self) -> None:
        """Make a door in front of a reactor that never gets to it."""
        self.reactor = LazyReactor()
        self.door = ThreadDoor(self.reactor)
        self.calls: list[Any] = []

    def test_running(self) -> None:
        """A running reactor makes the calls, with their arguments."""
        door = ThreadDoor(InlineReactor())
        door.callFromThread(lambda *a, **k: self.calls.append((a, k)), 1, b=2)
        self.assertEqual(self.calls, [((1,), {"b": 2})])

    def test_stopping(self) -> None:
        """What the reactor did not get to is done when it has stopped, in order."""
        self.door.callFromThread(self.calls.append, 1)
        self.door.callFromThread(self.calls.append, 2)
        self.assertEqual((self.calls, self.door.closed), ([], False))
        self.reactor.shut_down()
        self.assertEqual((self.calls, self.door.closed), ([1, 2], True))

    def test_stopped(self) -> None:
        """After that, calls are made at once."""
        self.reactor.shut_down()
        self.door.callFromThread(self.calls.append, 3)
        self.assertEqual(self.calls, [3])

    def test_a_call_that_fails(self) -> None:
        """One failing call does not strand the others."""
        self.door.callFromThread(lambda: 1 / 0)
        self.door.callFromThread(self.calls.append, 1)
        self.reactor.shut_down()
        self.assertEqual(self.calls, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_blocked_thread_is_freed(self) -> None:
        """A thread that waits for the reactor comes back when that stops."""
        results: list[Any] = []
        entered = threading.Event()

        class Signals(LazyReactor):
            def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
                entered.set()

        stopping = Signals()
        door: Any = ThreadDoor(stopping)
        thread = threading.Thread(
            target=lambda: results.append(blockingCallFromThread(door, lambda: 7))
        )
        thread.start()
        entered.wait(10)
        stopping.shut_down()
        thread.join(10)
        self.assertEqual(results, [7])


class ReactorBridgeTests(SynchronousTestCase):
    """The bridge without threads: what the core does is what its caller gets."""

    def setUp(self) -> None:
        """Make a bridge."""
        self.reactor = InlineReactor()
        self.bridge = ReactorBridge(self.reactor, timeout_s=0.01)
        self.ends: list[str] = []

    async def wait(self) -> Response:
        """Wait for ever, and notice the end."""
        try:
            await Deferred()
        except CancelledError:
            self.ends.append("cancelled")
            raise
        return OK

    def test_answer(self) -> None:
        """The answer comes back."""
        self.assertEqual(self.bridge(answer()), OK)

    def test_failure(self) -> None:
        """A failure comes back as itself, also one that looks like ours."""
        for kind in (ZeroDivisionError, TimeoutError):

            async def fail(kind: type[Exception] = kind) -> Response:
                raise kind

            self.assertRaises(kind, self.bridge, fail())

    def test_stuck(self) -> None:
        """A thread gives up after the timeout, and the work is cancelled."""
        self.assertRaises(DeadlinePassed, self.bridge, self.wait())
        self.assertEqual(self.ends, ["cancelled"])

    def test_client_left_before(self) -> None:
        """Work for a client that has left already is cancelled at once."""
        finished: Deferred[None] = Deferred()
        gone = ClientGone(finished)
        finished.errback(Failure(ConnectionError()))
        self.assertRaises(CancelledError, self.bridge, self.wait(), gone)
        self.assertEqual(self.ends, ["cancelled"])

    def test_client_stays(self) -> None:
        """A request that ends well is not cancelled."""
        finished: Deferred[None] = Deferred()
        gone = ClientGone(finished)
        self.assertEqual(self.bridge(answer(), gone), OK)
        finished.callback(None)

    def test_after_the_end(self) -> None:
        """When the reactor has stopped, new work is refused with 503."""
        self.reactor.shut_down()
        error = self.assertRaises(Refused, self.bridge, answer())
        self.assertEqual(error.status, 503)


class ThreadedBridgeTests(TestCase):
    """The bridge with a real reactor and real threads."""

    def setUp(self) -> None:
        """Start a pool."""
        self.pool = ThreadPool(1, 2)
        self.pool.start()
        self.addCleanup(self.pool.stop)
        self.started: Deferred[None] = Deferred()
        self.ends: list[str] = []

    async def wait(self) -> Response:
        """Wait for ever, and notice the end."""
        reactor.callLater(0, self.started.callback, None)
        try:
            await Deferred()
        except CancelledError:
            self.ends.append("cancelled")
            raise
        return OK

    async def test_answer(self) -> None:
        """A thread gets its answer from the reactor."""
        bridge = reactor_bridge(reactor, 30)
        got = await deferToThreadPool(reactor, self.pool, lambda: bridge(answer()))
        self.assertEqual(got, OK)

    async def test_client_leaves(self) -> None:
        """A client that leaves cancels its work and frees its thread."""
        bridge = reactor_bridge(reactor, 30)
        finished: Deferred[None] = Deferred()
        gone = ClientGone(finished)
        waiting = deferToThreadPool(
            reactor, self.pool, lambda: bridge(self.wait(), gone)
        )
        await self.started
        finished.errback(Failure(ConnectionError()))
        with self.assertRaises(CancelledError):
            await waiting
        self.assertEqual(self.ends, ["cancelled"])

    async def test_reactor_stops(self) -> None:
        """A thread that waits when the reactor stops is freed."""

        class Stopping(InlineReactor):
            def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
                reactor.callFromThread(call, *args)

        stopping = Stopping()
        bridge = reactor_bridge(stopping, 30)
        waiting = deferToThreadPool(reactor, self.pool, lambda: bridge(self.wait()))
        await self.started
        stopping.shut_down()
        with self.assertRaises(CancelledError):
            await waiting
        self.assertEqual(self.ends, ["cancelled"])


class LoopBridgeTests(SynchronousTestCase):
    """The bridge to an asyncio loop of our own."""

    def bridge(self, timeout_s: float = 30.0) -> LoopBridge:
        """Return a bridge that is closed with the test."""
        bridge = loop_bridge(timeout_s)
        self.addCleanup(bridge.close)
        return bridge

    def test_answer(self) -> None:
        """Coroutines may use asyncio, and keep one loop."""
        loops: set[asyncio.AbstractEventLoop] = set()

        async def work() -> Response:
            await asyncio.sleep(0)
            loops.add(asyncio.get_running_loop())
            return OK

        bridge = self.bridge()
        self.assertEqual([bridge(work()), bridge(work())], [OK, OK])
        self.assertEqual(len(loops), 1)

    def test_stuck(self) -> None:
        """A thread gives up after the timeout."""
        self.assertRaises(
            DeadlinePassed, self.bridge(0.01), asyncio.sleep(60, result=OK)
        )

    def test_own_timeout(self) -> None:
        """A TimeoutError of the work is the work's."""

        async def work() -> Response:
            raise TimeoutError

        self.assertRaises(TimeoutError, self.bridge(), work())

    def test_close(self) -> None:
        """Closing ends the thread, and closing again is fine."""
        bridge = loop_bridge()
        bridge(answer())
        names = {thread.name for thread in threading.enumerate()}
        self.assertIn("tbtwist-core", names)
        bridge.close()
        bridge.close()
        names = {thread.name for thread in threading.enumerate()}
        self.assertNotIn("tbtwist-core", names)

    def test_lazy(self) -> None:
        """Before the first request there is no thread, so a server may fork."""
        loop_bridge()
        names = {thread.name for thread in threading.enumerate()}
        self.assertNotIn("tbtwist-core", names)
