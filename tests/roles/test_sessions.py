"""Sessions of workers: ended by one, ended everywhere, and for good."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred

from tbtwist.auth.ledger import FILE_NAME
from tbtwist.auth.session import SessionData
from tbtwist.bus.memory import MemoryBus
from tbtwist.errors import DataDirUnusable
from tbtwist.events import Event, Item
from tbtwist.roles.sessions import TOPIC, Sessions
from tbtwist.services import wait_until
from tests.roles.processes import START, ProcessCase, reactor

ANN = SessionData(
    user_id="ann",
    session_id="s-ann",
    level=1,
    exp=START + 1000,
    validated=True,
    anonymous=False,
)
PATIENCE_S = 10.0


class SessionsTests(ProcessCase):
    """Two workers, a bus, and a file."""

    def sessions(self, slot: str) -> tuple[Sessions, MemoryBus]:
        """Return the sessions of one worker, and its bus."""
        process = self.process(slot)
        bus = self.bus(process)
        found = Sessions(process, bus)
        found.load()
        found.start()
        self.addCleanup(found.stop)
        return found, bus

    def knows(self, sessions: Sessions, session: SessionData = ANN) -> bool:
        """Whether a worker knows that a session has ended."""
        return sessions.is_revoked(session.session_id, session.user_id, START)

    def test_over_the_bus(self) -> Deferred[None]:
        """A worker hears of a logout at once: here no time passes at all."""

        async def check() -> None:
            (first, one), (second, two) = self.sessions("http-1"), self.sessions("ws-1")
            await one.connect()
            await two.connect()
            heard: list[bool] = []
            second.on_revoked = lambda: heard.append(self.knows(second))
            self.assertFalse(self.knows(second))
            await first.revoke(ANN)
            self.assertTrue(self.knows(first))
            self.assertTrue(await wait_until(reactor, lambda: bool(heard), PATIENCE_S))
            self.assertEqual(heard, [True])
            self.assertEqual((first.version, second.version), (1, 1))

        return Deferred.fromCoroutine(check())

    def test_without_the_bus(self) -> Deferred[None]:
        """A worker that hears nothing finds it in the file within a second."""

        async def check() -> None:
            (first, _), (second, _) = self.sessions("http-1"), self.sessions("http-2")
            self.assertFalse(self.knows(second))
            await first.revoke(ANN)
            self.now += 0.9
            self.assertTrue(self.knows(second))

        return Deferred.fromCoroutine(check())

    def test_update(self) -> Deferred[None]:
        """A worker that takes another's place knows it before it serves."""

        async def check() -> None:
            first, _ = self.sessions("http-1")
            await first.revoke(ANN)
            next_generation, _ = self.sessions("http-1")
            self.assertTrue(self.knows(next_generation))

        return Deferred.fromCoroutine(check())

    def test_nothing_to_end(self) -> Deferred[None]:
        """Nobody's logout tells nobody and writes nothing."""

        async def check() -> None:
            first, _ = self.sessions("http-1")
            await first.revoke(attrs.evolve(ANN, user_id=""))
            self.assertFalse((self.data_dir / FILE_NAME).exists())

        return Deferred.fromCoroutine(check())

    def test_disk_full(self) -> Deferred[None]:
        """If it cannot be written down, it counts all the same, where it was heard."""

        async def check() -> None:
            first, _ = self.sessions("http-1")
            (self.data_dir / f"{FILE_NAME}.new").mkdir()
            await first.revoke(ANN)
            self.assertTrue(self.knows(first))

        return Deferred.fromCoroutine(check())

    def test_noise(self) -> Deferred[None]:
        """Events that are no revocations are left alone."""

        async def check() -> None:
            (first, one), (second, two) = self.sessions("http-1"), self.sessions("ws-1")
            await one.connect()
            await two.connect()
            heard: list[None] = []
            second.on_revoked = lambda: heard.append(None)
            for payload in ({}, {"record": b"[]"}, {"record": "text"}):
                one.publish(
                    TOPIC, Item(Event(type="session.invalidate", payload=payload))
                )
            await wait_until(reactor, lambda: len(heard) == 3, PATIENCE_S)
            self.assertEqual((len(heard), second.version), (3, 0))
            self.assertEqual(first.version, 0)

        return Deferred.fromCoroutine(check())

    def test_unreadable(self) -> None:
        """A worker that cannot know who has logged out does not start."""
        (self.data_dir / FILE_NAME).mkdir()
        process = self.process("http-1")
        sessions = Sessions(process, self.bus(process))
        error = self.assertRaises(DataDirUnusable, sessions.load)
        self.assertIn("revocations cannot be read", str(error))
        sessions.stop()
