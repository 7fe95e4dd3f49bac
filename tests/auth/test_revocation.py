"""Sessions that ended before their time."""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.revocation import (
    EVERYBODY,
    Before,
    Ended,
    MemoryRevoker,
    Record,
    Revocations,
    decode,
    digest,
    encode,
    ending,
)
from tbtwist.auth.session import SessionData

NOW = 1_700_000_000.0
ANN = SessionData(
    user_id="ann",
    session_id="s-ann",
    level=1,
    exp=NOW + 100,
    validated=True,
    anonymous=False,
    extra={"created_at": NOW - 50},
)
users = st.sampled_from(["ann", "bob", "cy", "dee"])
times = st.floats(NOW, NOW + 1000)
ended = st.builds(
    Ended, st.integers(0, 40).map(lambda n: digest(str(n))), users, times, times
)
before = st.builds(Before, users | st.just(EVERYBODY), times, times)
records = st.lists(ended | before, max_size=40)


def known(*given: Record, bound: int = 100, now: float = NOW) -> Revocations:
    """Return revocations with these records."""
    found = Revocations(bound)
    found.add_all(given, now)
    return found


def number(
    n: int, user: str = "ann", at: float = NOW, until: float = NOW + 100
) -> Ended:
    """Return the record of session number ``n``."""
    return Ended(digest(f"s{n}"), user, at, until)


class RevokedTests(SynchronousTestCase):
    """One session after the other."""

    def test_one_session(self) -> None:
        """The session is revoked; another of the same user is not."""
        record = ending(ANN, NOW)
        assert record is not None
        found = known(record)
        self.assertTrue(found.is_revoked("s-ann", "ann", NOW - 50))
        self.assertFalse(found.is_revoked("s-other", "ann", NOW - 50))
        self.assertFalse(known().is_revoked("s-ann", "ann", NOW - 50))

    def test_until(self) -> None:
        """A record outlives its session, also a token in its leeway; then it may go."""
        record = ending(ANN, NOW)
        assert record is not None
        self.assertGreaterEqual(record.until, ANN.exp + 30)
        found = known(record)
        found.forget_ended(ANN.exp + 30)
        self.assertEqual(len(found), 1)
        found.forget_ended(record.until)
        self.assertEqual(len(found), 0)

    def test_nothing_to_end(self) -> None:
        """Nobody's session, and an API key's, which has no end, are not ended."""
        self.assertIsNone(ending(SessionData(session_id="anon_1", exp=NOW + 9), NOW))
        self.assertIsNone(ending(attrs.evolve(ANN, exp=0), NOW))

    def test_no_session_ids(self) -> None:
        """What is passed on and kept does not have the session's id."""
        record = ending(ANN, NOW)
        assert record is not None
        self.assertNotIn(b"s-ann", encode(record))
        self.assertNotIn("s-ann", repr(record))
        self.assertNotIn("s-ann", repr(ANN))

    def test_version(self) -> None:
        """The version grows with what is new, and only with that."""
        found = known()
        self.assertTrue(found.add(number(1), NOW))
        self.assertFalse(found.add(number(1), NOW))
        self.assertFalse(found.add(number(2, until=NOW), NOW))
        self.assertEqual(found.version, 1)

    def test_memory(self) -> None:
        """A process without a bus remembers what it revoked itself."""
        revoker = MemoryRevoker(lambda: NOW)
        self.assertEqual(revoker.version, 0)
        self.successResultOf(Deferred.fromCoroutine(revoker.revoke(ANN)))
        self.assertTrue(revoker.is_revoked("s-ann", "ann", 0))
        self.successResultOf(
            Deferred.fromCoroutine(revoker.revoke(attrs.evolve(ANN, user_id="")))
        )
        self.assertEqual(revoker.version, 1)


class BoundTests(SynchronousTestCase):
    """More revocations than there is room for."""

    def test_folded(self) -> None:
        """The oldest become "before T" for their user; a later session is free."""
        found = known(*(number(n, at=NOW + n) for n in range(12)), bound=10)
        self.assertTrue(found.is_revoked("s0", "ann", NOW - 50))
        self.assertTrue(found.is_revoked("s11", "ann", NOW + 60))
        self.assertFalse(found.is_revoked("new", "ann", NOW + 50))
        self.assertFalse(found.is_revoked("other", "bob", NOW - 50))

    def test_unknown_beginning(self) -> None:
        """A session that does not say when it began counts as an old one."""
        found = known(*(number(n, at=NOW + n) for n in range(12)), bound=10)
        self.assertTrue(found.is_revoked("other", "ann", 0.0))

    def test_many_users(self) -> None:
        """In the end what anybody got before T is revoked, and memory stays bounded."""
        users = [number(n, user=f"u{n}", at=NOW + n) for n in range(100)]
        found = known(*users, bound=5)
        self.assertLessEqual(len(found), 11)
        for n in range(100):
            self.assertTrue(found.is_revoked(f"s{n}", f"u{n}", NOW - 1), n)
        self.assertFalse(found.is_revoked("new", "u1", NOW + 200))

    def test_expired_make_room_first(self) -> None:
        """Nobody is logged out too early while there are records that have ended."""
        found = known(*(number(n, until=NOW + 1) for n in range(10)), bound=10)
        found.add(number(99, user="bob"), NOW + 2)
        self.assertFalse(found.is_revoked("other", "ann", NOW - 50))
        self.assertTrue(found.is_revoked("s99", "bob", NOW - 50))

    @given(records, st.integers(1, 12))
    def test_never_forgotten(self, given_records: list[Record], bound: int) -> None:
        """No order and no bound brings a revoked session back before its time."""
        found = known(*given_records, bound=bound)
        self.assertLessEqual(len(found), 2 * bound + 2)
        for record in given_records:
            if record.until > NOW and isinstance(record, Ended):
                name = next(n for n in range(41) if digest(str(n)) == record.session)
                self.assertTrue(found.is_revoked(str(name), record.user, NOW - 1))

    @given(records, records)
    def test_more_records_never_free_anybody(
        self, first: list[Record], second: list[Record]
    ) -> None:
        """Learning more never ends fewer sessions, whatever comes twice."""
        less, more = known(*first, bound=3), known(*first, *second, *first, bound=3)
        for n in range(41):
            for user in ("ann", "bob", "cy", "dee"):
                if less.is_revoked(str(n), user, NOW - 1):
                    self.assertTrue(more.is_revoked(str(n), user, NOW - 1))


class SnapshotTests(SynchronousTestCase):
    """From one process to another."""

    @given(records)
    def test_roundtrip(self, given_records: list[Record]) -> None:
        """Who reads a snapshot revokes the same sessions."""
        found = known(*given_records)
        again = Revocations(100)
        again.restore(found.snapshot(), NOW)
        self.assertEqual(set(again.records()), set(found.records()))

    @given(ended | before)
    def test_record(self, record: Record) -> None:
        """A record is one line, and can be read again."""
        self.assertNotIn(b"\n", encode(record))
        self.assertEqual(decode(encode(record)), record)

    @given(st.binary(max_size=50))
    def test_damage(self, noise: bytes) -> None:
        """A damaged line costs that line, not those around it."""
        first, last = number(1), number(2)
        damaged = b"\n".join((encode(first), noise, encode(last)))
        found = Revocations()
        found.restore(damaged, NOW)
        self.assertTrue(found.is_revoked("s1", "ann", NOW))
        self.assertTrue(found.is_revoked("s2", "ann", NOW))

    def test_strange_records(self) -> None:
        """What is no record is none."""
        for line in (b"", b"[]", b'["s"]', b'["x","a","b",1,2]', b'["u",1,2,3]', b"{}"):
            self.assertIsNone(decode(line))
        nobody = Ended(digest("s"), "", NOW, NOW + 5)
        self.assertFalse(known().add(nobody, NOW))
