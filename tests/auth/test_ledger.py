"""Revocations on disk, between processes."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.ledger import FILE_NAME, FileRevoker, Ledger, RevocationFile
from tbtwist.auth.revocation import Ended, digest
from tbtwist.auth.session import SessionData

START = 1_700_000_000.0
ANN = SessionData(
    user_id="ann", session_id="s-ann", level=1, exp=START + 1000, validated=True,
    anonymous=False,
)  # fmt: skip


def session(number: int) -> SessionData:
    """Return the session of user number ``number``."""
    return attrs.evolve(ANN, user_id=f"u{number}", session_id=f"s{number}")


class LedgerCase(SynchronousTestCase):
    """Ledgers of several processes over one folder."""

    def setUp(self) -> None:
        """Make the folder."""
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / FILE_NAME

    def now(self) -> float:
        """Return the time."""
        return START + self.clock.seconds()

    def ledger(self, compact_from_bytes: int = 1_000_000) -> Ledger:
        """Return the ledger of one more process."""
        file = RevocationFile(
            self.path, os.urandom, compact_from_bytes=compact_from_bytes
        )
        found = Ledger(file, self.now)
        found.load()
        return found

    def end(self, ledger: Ledger, ended: SessionData) -> None:
        """End a session in one process and write it down."""
        record = ledger.end(ended)
        assert record is not None
        ledger.keep(record)

    def knows(self, ledger: Ledger, ended: SessionData) -> bool:
        """Whether a process knows that a session has ended."""
        return ledger.is_revoked(ended.session_id, ended.user_id, START - 5)


class FileTests(LedgerCase):
    """One process writes, all know."""

    def test_at_once_at_home(self) -> None:
        """Who ends a session knows it before it is written down."""
        ledger = self.ledger()
        ledger.end(ANN)
        self.assertTrue(self.knows(ledger, ANN))
        self.assertFalse(self.path.exists())

    def test_survives(self) -> None:
        """A process that starts later, as in an update, knows it too."""
        self.end(self.ledger(), ANN)
        self.assertTrue(self.knows(self.ledger(), ANN))

    def test_within_a_second(self) -> None:
        """A running process finds it in the file, though nobody told it."""
        writer, reader = self.ledger(), self.ledger()
        self.assertFalse(self.knows(reader, ANN))
        self.end(writer, ANN)
        self.clock.advance(0.9)
        self.assertTrue(self.knows(reader, ANN))
        self.assertEqual(reader.version, 1)

    def test_told(self) -> None:
        """A process that was told knows at once."""
        reader = self.ledger()
        reader.take(Ended(digest("s-ann"), "ann", START, START + 9))
        self.assertTrue(self.knows(reader, ANN))

    def test_both_ways(self) -> None:
        """Several processes write into one file."""
        ledgers = [self.ledger() for _ in range(3)]
        for number in range(30):
            self.end(ledgers[number % 3], session(number))
        self.clock.advance(1)
        for ledger in (*ledgers, self.ledger()):
            self.assertTrue(all(self.knows(ledger, session(n)) for n in range(30)))

    def test_nothing_to_end(self) -> None:
        """An API key's session is not written."""
        self.assertIsNone(self.ledger().end(attrs.evolve(ANN, exp=0)))

    def test_private(self) -> None:
        """Nobody else may read the file, and it names no session."""
        self.end(self.ledger(), ANN)
        for path in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assertNotIn(b"s-ann", self.path.read_bytes())

    def test_without_a_bus(self) -> None:
        """A process without a bus writes it down by itself."""
        revoker = FileRevoker(self.ledger())
        self.successResultOf(Deferred.fromCoroutine(revoker.revoke(ANN)))
        self.successResultOf(
            Deferred.fromCoroutine(revoker.revoke(attrs.evolve(ANN, exp=0)))
        )
        self.assertTrue(revoker.is_revoked("s-ann", "ann", START))
        self.assertEqual(revoker.version, 1)
        self.assertTrue(self.knows(self.ledger(), ANN))


class CompactionTests(LedgerCase):
    """The file does not grow for ever."""

    def test_ended_ones_go(self) -> None:
        """What has ended by itself is left out when the file is made anew."""
        writer = self.ledger(compact_from_bytes=2000)
        for number in range(200):
            self.end(writer, attrs.evolve(session(number), exp=self.now() + 1))
            self.clock.advance(10)
        self.assertLess(self.path.stat().st_size, 3000)

    def test_nothing_is_lost(self) -> None:
        """Processes that read before and after know everything that still counts."""
        writer, other = self.ledger(2000), self.ledger(2000)
        reader = self.ledger()
        for number in range(200):
            self.end((writer, other)[number % 2], session(number))
            if number % 37 == 0:
                self.clock.advance(1)
                self.assertTrue(self.knows(reader, session(number)))
        self.clock.advance(1)
        for ledger in (reader, self.ledger()):
            self.assertTrue(all(self.knows(ledger, session(n)) for n in range(200)))

    def test_made_anew_twice_unseen(self) -> None:
        """A reader notices a new file though it may have an old one's inode and size."""
        reader = self.ledger()
        self.end(self.ledger(), session(1))
        self.clock.advance(1)
        self.assertTrue(self.knows(reader, session(1)))
        raw = self.path.read_bytes()
        header, rest = raw[:39], raw[39:]
        self.path.write_bytes(
            header[:-17]
            + b"0" * 16
            + b"\n"
            + rest.replace(digest("s1").encode(), digest("s2").encode())
        )
        self.clock.advance(1)
        self.assertTrue(reader.is_revoked("s2", "u1", START - 5))

    def test_at_the_same_time(self) -> None:
        """Threads that write at once, and make the file anew, lose nothing."""
        ledgers = [self.ledger(1500) for _ in range(4)]

        def write(worker: int) -> None:
            for number in range(25):
                self.end(ledgers[worker], session(worker * 25 + number))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = self.ledger()
        self.assertTrue(all(self.knows(after, session(n)) for n in range(100)))


class DamageTests(LedgerCase):
    """Crashes and accidents."""

    def test_torn_line(self) -> None:
        """A process that died while writing spoils nobody else's line."""
        self.end(self.ledger(), session(1))
        with self.path.open("ab") as file:
            file.write(b'["s","torn')
        self.end(self.ledger(), session(2))
        after = self.ledger()
        self.assertTrue(self.knows(after, session(1)))
        self.assertTrue(self.knows(after, session(2)))

    def test_line_in_two_reads(self) -> None:
        """A line that is not complete yet is read when it is."""
        reader = self.ledger()
        self.end(self.ledger(), session(1))
        raw = self.path.read_bytes()
        self.path.write_bytes(raw[:-20])
        self.clock.advance(1)
        self.assertFalse(self.knows(reader, session(1)))
        self.path.write_bytes(raw)
        self.clock.advance(1)
        self.assertTrue(self.knows(reader, session(1)))

    def test_file_taken_away(self) -> None:
        """What is known stays known, and writing goes on."""
        ledger = self.ledger()
        self.end(ledger, session(1))
        self.path.unlink()
        self.clock.advance(1)
        self.assertTrue(self.knows(ledger, session(1)))
        self.end(ledger, session(2))
        self.assertTrue(self.knows(self.ledger(), session(2)))

    def test_unreadable(self) -> None:
        """A file that cannot be read is logged once, and ends nobody's day."""
        ledger = self.ledger()
        self.path.mkdir()
        for _ in range(3):
            self.clock.advance(1)
            self.assertFalse(self.knows(ledger, ANN))
        self.assertRaises(OSError, self.ledger)

    def test_clock_set_back(self) -> None:
        """A wall clock that is set back does not stop anybody from looking."""
        reader = self.ledger()
        self.assertFalse(self.knows(reader, ANN))
        self.end(self.ledger(), ANN)
        self.clock.rightNow -= 500
        self.assertTrue(self.knows(reader, ANN))

    def test_no_way_through_links(self) -> None:
        """A link in the place of the lock or the draft is not followed."""
        target = self.folder / "precious"
        target.write_text("precious")
        (self.folder / f"{FILE_NAME}.new").symlink_to(target)
        record = self.ledger().end(ANN)
        assert record is not None
        self.assertRaises(OSError, self.ledger().keep, record)
        self.assertEqual(target.read_text(), "precious")
