"""Who is who: workers and the connections that they own."""

from __future__ import annotations

import secrets
import uuid

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import BadFrame
from tbtwist.identity import (
    MAX_GENERATION,
    Owner,
    WorkerId,
    conn_owner,
    new_conn_id,
    slot_index,
    slot_role,
)

ROLES = st.sampled_from(["http", "ws", "broker"])
SLOTS = st.builds("{}-{}".format, ROLES, st.integers(1, 65535))
GENERATIONS = st.integers(0, 999_999_999)


class SlotTests(SynchronousTestCase):
    """Worker ids as an operator types them."""

    def test_parts(self) -> None:
        """``http-12`` is the twelfth http worker."""
        self.assertEqual((slot_role("http-12"), slot_index("http-12")), ("http", 12))

    def test_nonsense(self) -> None:
        """Anything else is refused with a hint at the right form."""
        for text in ("http", "http-0", "http-01", "http-x", "-1", "http-1\n", "", "1"):
            for read in (slot_role, slot_index):
                error = self.assertRaises(ValueError, read, text)
                self.assertIn("like http-1", str(error))


class WorkerIdTests(SynchronousTestCase):
    """One process, once."""

    def test_never_twice(self) -> None:
        """Two processes of one slot and generation differ all the same."""
        first, second = (WorkerId.new("ws-1", 3, secrets.token_bytes) for _ in "ab")
        self.assertNotEqual(first, second)
        self.assertEqual(first.role, "ws")

    def test_wrong_slot(self) -> None:
        """An identity for a place that cannot be is a mistake of ours."""
        self.assertRaises(ValueError, WorkerId.new, "ws", 3, bytes)

    @given(slot=SLOTS, generation=GENERATIONS, nonce=st.binary(min_size=1, max_size=8))
    def test_round_trip(self, slot: str, generation: int, nonce: bytes) -> None:
        """What travels is read as what was written."""
        identity = WorkerId(slot, generation, nonce.hex())
        self.assertEqual(WorkerId.parse(str(identity)), identity)

    def test_form(self) -> None:
        """Slot, generation and nonce are told apart by dots."""
        self.assertEqual(
            str(WorkerId.new("http-1", 7, lambda n: b"\xc3" * n)), "http-1.7.c3c3c3c3"
        )

    @given(text=st.text(max_size=30))
    def test_noise(self, text: str) -> None:
        """What is not an identity is refused as a bad message."""
        try:
            found = WorkerId.parse(text)
        except BadFrame as error:
            self.assertIn("is not an identity", str(error))
        else:
            self.assertEqual(str(found), text)

    def test_not_identities(self) -> None:
        """Nearly right is wrong."""
        for text in ("http-1.7", "http-1.7.C3", "http.7.c3", "http-1.-7.c3", "a-1.1."):
            self.assertRaises(BadFrame, WorkerId.parse, text)


class ConnectionIdTests(SynchronousTestCase):
    """Ids of connections, which name their owner."""

    @given(
        index=st.integers(1, 65535),
        generation=st.integers(0, MAX_GENERATION),
        tail=st.binary(min_size=10, max_size=10),
    )
    def test_owner(self, index: int, generation: int, tail: bytes) -> None:
        """Anyone can tell from an id which worker to send to."""
        owner = WorkerId(f"ws-{index}", generation, "ff")
        conn_id = new_conn_id(owner, lambda _length: tail)
        self.assertEqual(conn_owner(conn_id), Owner(f"ws-{index}", generation))

    @given(tail=st.binary(min_size=10, max_size=10))
    def test_uuid(self, tail: bytes) -> None:
        """It is a proper UUID, so clients and databases can keep it as one."""
        parsed = uuid.UUID(new_conn_id(WorkerId("ws-1", 7, "ff"), lambda _n: tail))
        self.assertEqual((parsed.version, parsed.variant), (8, uuid.RFC_4122))

    def test_cannot_be_guessed(self) -> None:
        """74 bits are random: different randomness, different id."""
        owner = WorkerId("ws-1", 7, "ff")
        low = int(uuid.UUID(new_conn_id(owner, lambda n: b"\x00" * n)))
        high = int(uuid.UUID(new_conn_id(owner, lambda n: b"\xff" * n)))
        self.assertEqual((low ^ high).bit_count(), 74)

    def test_not_ours(self) -> None:
        """An id that is not ours has no owner."""
        random = "c6f1f0bd-32b3-4c7b-9d6c-0d2f30f3a1f0"
        nobody = str(uuid.UUID(int=8 << 76 | 2 << 62))
        for text in (random, nobody, "", "nonsense", "ws-1"):
            self.assertIsNone(conn_owner(text), text)

    @given(text=st.text(max_size=40))
    def test_noise(self, text: str) -> None:
        """Whatever a client claims, the question has an answer."""
        self.assertIsInstance(conn_owner(text), Owner | None)
