"""API keys."""

from __future__ import annotations

import hashlib

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.keys import MAX_KEY_CHARS, ApiKeys


def hashed(key: str) -> str:
    """Return what stands in the configuration for a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


KEYS = ApiKeys.from_hex({"ci": hashed("key-1").upper(), "shop": hashed("key-2")})


class FindTests(SynchronousTestCase):
    """Who a key belongs to."""

    def test_found(self) -> None:
        """A key's program is a user of its own, in either case of the hash."""
        for key, name in (("key-1", "ci"), ("key-2", "shop")):
            session = KEYS.find(key)
            assert session is not None
            self.assertEqual(session.user_id, f"api_key:{name}")
            self.assertEqual((session.user_name, session.level), (name, 1))
            self.assertTrue(session.authenticated(1e12))

    @given(st.text() | st.just(hashed("key-1")))
    def test_nothing_else(self, key: str) -> None:
        """No other text is a key, not even the hash that stands in the file."""
        if key not in {"key-1", "key-2"}:
            self.assertIsNone(KEYS.find(key))

    def test_long(self) -> None:
        """Very long texts are not even hashed."""
        key = "k" * (MAX_KEY_CHARS + 1)
        self.assertIsNone(ApiKeys.from_hex({"x": hashed(key)}).find(key))

    def test_shows_nothing(self) -> None:
        """Hashes do not appear in a repr."""
        self.assertNotIn(hashed("key-2"), repr(KEYS))
        self.assertNotIn("shop", repr(KEYS))
