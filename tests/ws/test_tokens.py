"""Resume tokens: only ours, only for whom they were made, only for a while."""

from __future__ import annotations

import attrs
import msgspec
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.signing import Signer
from tbtwist.ws import tokens
from tbtwist.ws.tokens import Refusal, ResumeTokens, Standing, fitting, owner_of

SECRET = b"s" * 64
ABOUT = {
    "conn_id": "c",
    "user_id": "u1",
    "level": 1,
    "path": "/ws/a",
    "authenticated": True,
}
OWNER = owner_of(ABOUT)


def standing(issued_at: float = 100.0) -> Standing:
    """Return what a token says."""
    return Standing(
        owner=OWNER,
        line="l",
        conn_id="c",
        issued_at=issued_at,
        channels={"a": True},
        positions={"p": 3},
    )


@attrs.define
class Now:
    """A clock that the test sets."""

    at: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


class TokenTests(SynchronousTestCase):
    """`ResumeTokens`."""

    def setUp(self) -> None:
        """Make a maker."""
        self.now = Now()
        self.tokens = ResumeTokens([SECRET], 60.0, self.now)

    def reason(self, token: str, owner: bytes = OWNER) -> str:
        """Return why a token does not count."""
        read = self.tokens.read(token, owner)
        assert isinstance(read, Refusal)
        return read.reason

    def test_there_and_back(self) -> None:
        """A token says what it was made of, and fits into a URL as it is."""
        token = self.tokens.issue(standing())
        self.assertEqual(self.tokens.read(token, OWNER), standing())
        self.assertRegex(token, r"\A[A-Za-z0-9_.-]+\Z")
        self.assertLess(len(token), 200)

    def test_expires(self) -> None:
        """A token is good for its time and no longer."""
        token = self.tokens.issue(standing())
        self.now.at = 159.9
        self.assertIsInstance(self.tokens.read(token, OWNER), Standing)
        self.now.at = 160.0
        self.assertEqual(self.reason(token), "expired")

    def test_owner(self) -> None:
        """Nobody else can use it, nor anyone elsewhere, nor with another level."""
        token = self.tokens.issue(standing())
        others = ({"user_id": "u2"}, {"level": 2}, {"path": "/ws/b"})
        for other in (*others, {"authenticated": False}):
            owner = owner_of({**ABOUT, **other})
            self.assertEqual(self.reason(token, owner), "not yours")

    def test_nobody(self) -> None:
        """Who is nobody has a new session each time, and is still the same nobody."""
        nobody = {**ABOUT, "authenticated": False, "level": 0}
        one, two = (owner_of({**nobody, "user_id": who}) for who in ("", "x"))
        self.assertEqual(one, two)

    def test_rotation(self) -> None:
        """A secret that was rotated still counts; a foreign one does not."""
        token = self.tokens.issue(standing())
        rotated = ResumeTokens([b"n" * 64, SECRET], 60.0, self.now)
        self.assertIsInstance(rotated.read(token, OWNER), Standing)
        foreign = ResumeTokens([b"f" * 64], 60.0, self.now)
        self.assertEqual(foreign.read(token, OWNER), Refusal("unknown token"))

    def test_no_session(self) -> None:
        """What the same secret signed for another purpose is no token."""
        signed = Signer([SECRET]).sign(msgspec.msgpack.encode(standing()))
        self.assertEqual(self.reason(signed), "unknown token")

    def test_malformed(self) -> None:
        """A signed text that says something else is no token."""
        for value in ([], {"a": 1}, [1, 2, 3], "text"):
            token = self.tokens._signer.sign(msgspec.msgpack.encode(value))
            self.assertEqual(self.reason(token), "unknown token")

    @given(st.text(max_size=80))
    def test_anything(self, text: str) -> None:
        """No text of a client's is ever an error."""
        self.assertEqual(self.reason(text), "unknown token")

    def test_fitting(self) -> None:
        """A token has a bound, and says when it leaves out a channel."""
        few = {"a": True, "b": False}
        self.assertEqual(fitting(few), (few, True))
        many = {f"channel {n}": False for n in range(tokens.MAX_CHANNELS + 1)}
        told, complete = fitting(many)
        self.assertEqual((len(told), complete), (tokens.MAX_CHANNELS, False))
        told, complete = fitting({"\N{SNOWMAN}" * 3000: False})
        self.assertEqual((told, complete), ({}, False))
