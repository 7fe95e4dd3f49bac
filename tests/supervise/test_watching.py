"""Code that changes brings new workers, one update after another."""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - threads end here
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from tbtwist.errors import ManagerBusy, WorkerNotReady
from tbtwist.services import wait_until
from tbtwist.supervise.watching import Reloader, watch

reactor: Any = _reactor
SHOP, BILL = Path("shop.py"), Path("bill.py")


class Script:
    """Changes as the test wants them."""

    def __init__(self) -> None:
        self.coming: queue.Queue[frozenset[Path] | None] = queue.Queue()

    def __call__(
        self, folders: Sequence[Path], stop: threading.Event
    ) -> Iterator[frozenset[Path]]:
        """Yield them."""
        while not stop.is_set() and (found := self.coming.get()) is not None:
            yield found


class ReloaderTests(TestCase):
    """What follows a change."""

    timeout = 30

    def setUp(self) -> None:
        """Watch a script."""
        self.script = Script()
        self.said: list[str] = []
        self.updates: list[Deferred[None]] = []
        self.reloader = Reloader(
            reactor, [Path()], self.update, self.said.append, self.script
        )
        self.reloader.start()
        self.addCleanup(self.end)

    def end(self) -> None:
        """Stop, and with it the script."""
        self.script.coming.put(None)
        self.reloader.stop()

    def update(self) -> Deferred[None]:
        """Begin an update, which the test ends."""
        self.updates.append(Deferred())
        return self.updates[-1]

    async def until(self, updates: int) -> None:
        """Wait for so many updates in all."""
        reached = await wait_until(reactor, lambda: len(self.updates) >= updates, 20)
        self.assertTrue(reached, self.said)

    async def test_change(self) -> None:
        """A change brings an update, and people learn of both."""
        self.script.coming.put(frozenset({SHOP, BILL}))
        await self.until(1)
        self.updates[0].callback(None)
        self.assertEqual(
            self.said,
            [
                "bill.py, shop.py changed; the http workers are replaced …",
                "The new code serves.",
            ],
        )

    async def test_meanwhile(self) -> None:
        """What changes during an update brings one more, not many."""
        self.script.coming.put(frozenset({SHOP}))
        await self.until(1)
        self.script.coming.put(frozenset({SHOP}))
        self.script.coming.put(frozenset({BILL}))
        await wait_until(reactor, lambda: len(self.reloader._waiting) == 2, 20)
        self.updates[0].callback(None)
        await self.until(2)
        self.updates[1].callback(None)
        self.assertEqual(len(self.updates), 2)

    async def test_broken(self) -> None:
        """Code that does not work is named; the next change has its own try."""
        self.script.coming.put(frozenset({SHOP}))
        await self.until(1)
        self.updates[0].errback(WorkerNotReady(worker="http-1", reason="SyntaxError"))
        self.assertIn("SyntaxError. The code from before serves on.", self.said[-1])
        self.script.coming.put(frozenset({SHOP}))
        await self.until(2)
        self.updates[1].callback(None)

    async def test_busy(self) -> None:
        """While somebody else updates, it waits."""
        self.script.coming.put(frozenset({SHOP}))
        await self.until(1)
        self.updates[0].errback(ManagerBusy(doing="an update"))
        await self.until(2)
        self.updates[1].callback(None)
        self.assertEqual(self.said[-1], "The new code serves.")


class WatchTests(TestCase):
    """Files on disk."""

    timeout = 60

    async def test_files(self) -> None:
        """Code counts; what else is written does not."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        pool = ThreadPool(0, 1)
        pool.start()
        self.addCleanup(pool.stop)
        stop = threading.Event()
        self.addCleanup(stop.set)
        found: list[str] = []

        def look() -> None:
            for paths in watch([folder], stop):
                found.extend(path.name for path in paths)

        looking = deferToThreadPool(reactor, pool, look)

        async def changed() -> bool:
            (folder / "note.txt").write_text("x")
            (folder / "shop.py").write_text("x")
            return await wait_until(reactor, lambda: bool(found), 1)

        for _ in range(20):
            if await changed():
                break
        stop.set()
        await looking
        self.assertEqual(set(found), {"shop.py"})
