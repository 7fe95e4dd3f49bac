"""Signed values cannot be forged, and survive a change of secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.signing import Signer, b64url_decode, b64url_encode

SECRET = b"s" * 64
secrets = st.binary(min_size=32, max_size=80)


class SignerTests(SynchronousTestCase):
    """What is signed comes back; what was tampered with does not."""

    @given(secrets, st.binary(max_size=300))
    def test_roundtrip(self, secret: bytes, payload: bytes) -> None:
        """Whatever we sign, we recognise."""
        signer = Signer([secret])
        self.assertEqual(signer.verify(signer.sign(payload)), payload)

    def test_format(self) -> None:
        """The text is base64url(payload).base64url(HMAC-SHA256 of the raw payload)."""
        mac = hmac.new(SECRET, b'{"a":1}', hashlib.sha256).digest()
        expected = b".".join(
            base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"a":1}', mac)
        )
        self.assertEqual(Signer([SECRET]).sign(b'{"a":1}'), expected.decode())

    @given(st.binary(min_size=1, max_size=100), st.data())
    def test_any_changed_character_is_noticed(
        self, payload: bytes, data: st.DataObject
    ) -> None:
        """No single character of a signed text can be replaced by another."""
        text = Signer([SECRET]).sign(payload)
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters().filter(lambda c: c != text[at]))
        changed = text[:at] + other + text[at + 1 :]
        self.assertIsNone(Signer([SECRET]).verify(changed))

    def test_known_texts_are_bounded(self) -> None:
        """However many texts come, all are told apart, and memory stays small."""
        signer = Signer([SECRET])
        texts = [signer.sign(b"%d" % number) for number in range(5000)]
        for _ in range(2):
            found = [signer.verify(text) for text in texts]
            self.assertEqual(found, [b"%d" % number for number in range(5000)])
        self.assertLess(len(signer._verified), len(texts))

    def test_a_known_text_opens_no_door(self) -> None:
        """One that is good does not make another good, seen before or after it."""
        signer = Signer([SECRET])
        good = signer.sign(b"ann")
        forged = f"{good[:-1]}{'A' if good[-1] != 'A' else 'B'}"
        answers = [signer.verify(text) for text in (forged, good, good, forged)]
        self.assertEqual(answers, [None, b"ann", b"ann", None])

    @given(st.text())
    def test_garbage_is_none(self, text: str) -> None:
        """Text that we never signed is refused without an error."""
        self.assertIsNone(Signer([SECRET]).verify(text))

    @given(st.lists(secrets, min_size=2, max_size=4, unique=True))
    def test_rotation(self, rotation: list[bytes]) -> None:
        """The newest secret signs, and the older ones are still accepted."""
        for old in rotation:
            self.assertEqual(Signer(rotation).verify(Signer([old]).sign(b"x")), b"x")
        newest = Signer(rotation).sign(b"x")
        self.assertEqual(Signer(rotation[:1]).verify(newest), b"x")
        self.assertIsNone(Signer(rotation[1:]).verify(newest))

    def test_a_dropped_secret_no_longer_counts(self) -> None:
        """Removing a secret from the list ends what it signed."""
        self.assertIsNone(Signer([b"n" * 64]).verify(Signer([SECRET]).sign(b"x")))

    def test_needs_a_secret(self) -> None:
        """Nobody gets a signer that signs with nothing."""
        self.assertRaises(ValueError, Signer, [])


class Base64UrlTests(SynchronousTestCase):
    """Exactly one text stands for a value."""

    @given(st.binary())
    def test_roundtrip(self, raw: bytes) -> None:
        """Any bytes survive."""
        self.assertEqual(b64url_decode(b64url_encode(raw)), raw)

    def test_strict(self) -> None:
        """Padding, foreign characters and stray bits are refused."""
        for text in ("YQ==", "YQ=", "Y Q", "YR", "a", "YQ\n", "+/+/", "é", "YQ."):
            self.assertIsNone(b64url_decode(text), text)
