"""Sessions keep the bytes of ToolBoxV2 and know when they are over."""

from __future__ import annotations

import uuid

import attrs
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.session import (
    SessionData,
    anonymous_session,
    authenticated_session,
    from_json_bytes,
)

NOW = 1_700_000_000.0
USER = SessionData(
    user_id="u1",
    session_id="s1",
    user_name="Zoë",
    level=1,
    exp=NOW + 60,
    validated=True,
    anonymous=False,
    extra={"client_ip": "1.2.3.4"},
    live_data={"level": "1"},
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
sessions = st.builds(
    SessionData,
    user_id=st.text(),
    session_id=st.text(),
    user_name=st.text(min_size=1),
    level=st.integers(-1, 2),
    spec=st.text(),
    exp=st.floats(0, 1e11) | st.integers(0, 10**11),
    provider_user_id=st.text(),
    validated=st.booleans(),
    anonymous=st.booleans(),
    extra=st.dictionaries(st.text(), json_values, max_size=3),
    live_data=st.dictionaries(st.text(), json_values, max_size=3),
)


def fixed_random(size: int) -> bytes:
    """Return the same bytes each time."""
    return bytes(range(size))


class PayloadTests(SynchronousTestCase):
    """The payload is the one that ToolBoxV2 writes."""

    def test_bytes(self) -> None:
        """All keys are there, in R2.1's order, as compact ASCII JSON."""
        self.assertEqual(
            USER.to_json_bytes(),
            b'{"user_id":"u1","session_id":"s1","user_name":"Zo\\u00eb","level":1,'
            b'"spec":"","exp":1700000060.0,"provider_user_id":"","validated":true,'
            b'"anonymous":false,"extra":{"client_ip":"1.2.3.4"},'
            b'"live_data":{"level":"1"}}',
        )

    @given(sessions)
    def test_roundtrip(self, session: SessionData) -> None:
        """What was written is read back, to the byte."""
        read = from_json_bytes(session.to_json_bytes())
        assert read is not None
        self.assertEqual(read.to_json_bytes(), session.to_json_bytes())

    def test_older_name_of_the_provider_id(self) -> None:
        """A cookie with cloudm_user_id keeps its provider id."""
        read = from_json_bytes(b'{"user_id":"u","cloudm_user_id":"c7","future":1}')
        assert read is not None
        self.assertEqual((read.user_id, read.provider_user_id), ("u", "c7"))

    @given(
        st.binary() | st.text().map(str.encode) | json_values.map(repr).map(str.encode)
    )
    def test_other_bytes_never_raise(self, raw: bytes) -> None:
        """Bytes that are no session give None or a session, never an error."""
        read = from_json_bytes(raw)
        self.assertTrue(read is None or isinstance(read, SessionData))

    def test_wrong_types(self) -> None:
        """A level that is no number, or a payload that is no object, is no session."""
        for raw in (
            b'{"level":"1"}',
            b'{"validated":1}',
            b"[]",
            b"1",
            b"",
            b'{"exp":NaN}',
            b'{"extra":' + b"[" * 5000,
        ):
            self.assertIsNone(from_json_bytes(raw), raw[:20])


class AuthenticatedTests(SynchronousTestCase):
    """Only somebody who proved it, and whose time is not over, is somebody."""

    def test_user(self) -> None:
        """A validated user with a level and time left is authenticated."""
        self.assertTrue(USER.authenticated(NOW))
        self.assertTrue(attrs.evolve(USER, level=-1).authenticated(NOW))
        self.assertTrue(attrs.evolve(USER, exp=0).authenticated(NOW))

    def test_every_condition_counts(self) -> None:
        """Each missing part alone makes a session nobody's."""
        for change in (
            {"validated": False},
            {"anonymous": True},
            {"level": 0},
            {"level": -2},
            {"user_id": ""},
            {"exp": NOW},
        ):
            self.assertFalse(attrs.evolve(USER, **change).authenticated(NOW), change)

    def test_ends_to_the_second(self) -> None:
        """A session is over at its end, not one moment later."""
        self.assertFalse(USER.is_expired(USER.exp - 0.001))
        self.assertTrue(USER.is_expired(USER.exp))
        self.assertFalse(SessionData().is_expired(NOW))


class FreshTests(SynchronousTestCase):
    """New sessions have ids of their own."""

    def test_anonymous(self) -> None:
        """Nobody's session is anon_ and 16 hex digits, with no rights."""
        session = anonymous_session(fixed_random)
        self.assertEqual(session.session_id, "anon_0001020304050607")
        self.assertFalse(session.authenticated(NOW))

    def test_authenticated(self) -> None:
        """A login makes a validated session with a random UUID."""
        session = authenticated_session(
            "u", "Ann", level=2, exp=NOW + 1, random=fixed_random, extra={"k": 1}
        )
        self.assertTrue(session.authenticated(NOW))
        self.assertEqual(uuid.UUID(session.session_id).version, 4)
        self.assertEqual(session.extra, {"k": 1})
        self.assertEqual(session.live_data["level"], "2")
