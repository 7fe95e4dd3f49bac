"""Bearer tokens: what is believed, and what is not whoever signed it."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.session import SessionData
from tbtwist.auth.tokens import (
    LEEWAY_S,
    MAX_TOKEN_CHARS,
    Foreign,
    Header,
    PublicKey,
    Rejected,
    TokenRules,
    Verdict,
    read_header,
    token_id,
    unproven_end,
    verify_public,
    verify_shared,
)
from tbtwist.config.schema import Auth
from tests.auth.tokens import (
    NOW,
    OLD_SECRET,
    RULES,
    ec_key,
    issued,
    rsa_key,
    shared,
)

REAL_SECRET = b"jwt-secret-of-the-tests-" * 3
REAL_ACCESS = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJzdWIiOiJ1MSIsInVzZXJfaWQiOiJ1MSIsInVzZXJuYW1lIjoiQW5uIiwiZW1haWwiOiJhbm5AZXhh"
    "bXBsZS5vcmciLCJsZXZlbCI6MSwicHJvdmlkZXIiOiJnb29nbGUiLCJ0eXBlIjoiYWNjZXNzIiwiaWF0"
    "IjoyMDAwMDAwMDAwLjUsImV4cCI6MjAwMDAwMDkwMC41LCJqdGkiOiIwNDE3MmFjOC02N2FmLTRhNzUt"
    "YjVlZC1mNDhhNTA4YmFmMzIifQ.w9ej4_WjiTc1j3E02M11cc4Y67WRtY3E6gBCeK6q_oA"
)
"""Made by ToolBoxV2 0.1.28 (``CloudM.auth.jwt_tokens``) at 2000000000.5."""
REAL_REFRESH = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJzdWIiOiJ1MSIsInR5cGUiOiJyZWZyZXNoIiwiaWF0IjoyMDAwMDAwMDAwLjUsImV4cCI6MjAwMDYw"
    "NDgwMC41LCJqdGkiOiIzNjk4YjViMC1iNTI4LTRmNmYtYTdlYS1mNTYzMzJjMmFmZjgifQ"
    ".u41WmKhzG_gVC7GrXrjXyHev-Tp20ymC9IndxKXDvTI"
)
RSA = PublicKey("k-rsa", "RS256", rsa_key().public_key())
EC = PublicKey("k-ec", "ES256", ec_key().public_key())


def encoded(value: Any) -> str:
    """Return a segment of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class VerdictCase(SynchronousTestCase):
    """Looks at verdicts."""

    def good(self, verdict: Verdict) -> SessionData:
        """Return the session of a token that is believed."""
        self.assertIsInstance(verdict, SessionData)
        assert isinstance(verdict, SessionData)
        return verdict

    def reason(self, verdict: Verdict) -> str:
        """Return why a token is refused."""
        self.assertIsInstance(verdict, Rejected)
        assert isinstance(verdict, Rejected)
        return verdict.reason


class SharedTests(VerdictCase):
    """Tokens that ToolBoxV2 or the application made, under our secret."""

    def test_session(self) -> None:
        """The token's user is somebody, with the token's level and end."""
        session = self.good(verify_shared(shared(level=2), RULES, NOW))
        self.assertEqual((session.user_id, session.user_name), ("u1", "Ann"))
        self.assertEqual((session.level, session.exp), (2, NOW + 890))
        self.assertEqual((session.session_id, session.issued_at), ("j-1", NOW - 10))
        self.assertTrue(session.authenticated(NOW))

    def test_made_by_toolboxv2(self) -> None:
        """An access token of ToolBoxV2 itself is believed, its refresh token is not."""
        rules = TokenRules((REAL_SECRET,))
        session = self.good(verify_shared(REAL_ACCESS, rules, 2_000_000_001))
        self.assertEqual((session.user_id, session.exp), ("u1", 2_000_000_900.5))
        refused = verify_shared(REAL_REFRESH, rules, 2_000_000_001)
        self.assertEqual(self.reason(refused), "the token is no access token")

    def test_rotation(self) -> None:
        """While secrets rotate, tokens under the old one still count."""
        self.good(verify_shared(shared(OLD_SECRET), RULES, NOW))

    def test_other_secrets(self) -> None:
        """A token under a secret that is not ours says nothing."""
        self.assertEqual(verify_shared(shared(b"x" * 64), RULES, NOW), Foreign())

    def test_end(self) -> None:
        """A token ends at its exp; 30 s more make up for clocks that differ."""
        for late, believed in ((0, True), (29.9, True), (30, False), (1e6, False)):
            verdict = verify_shared(shared(exp=NOW), RULES, NOW + late)
            self.assertEqual(isinstance(verdict, SessionData), believed, late)
        self.assertEqual(LEEWAY_S, 30)

    def test_no_end(self) -> None:
        """A token without a usable end is refused: nothing lives for ever."""
        for exp in (None, "soon", True, 0, -1, 1e300, [NOW + 9]):
            self.reason(verify_shared(shared_raw(exp=exp), RULES, NOW))

    def test_not_yet(self) -> None:
        """A token from the future is refused, beyond the leeway."""
        for name in ("iat", "nbf"):
            soon: dict[str, Any] = {name: NOW + 29}
            later: dict[str, Any] = {name: NOW + 31}
            self.good(verify_shared(shared(**soon), RULES, NOW))
            refused = verify_shared(shared(**later), RULES, NOW)
            self.assertEqual(self.reason(refused), "the token is not valid yet")

    def test_type(self) -> None:
        """Only access tokens count."""
        for kind in ("refresh", "Access", "", None):
            self.reason(verify_shared(shared(type=kind), RULES, NOW))

    def test_level(self) -> None:
        """A level that there is not is refused; without one it is a user."""
        self.assertEqual(
            self.good(verify_shared(shared(level=None), RULES, NOW)).level, 1
        )
        self.assertEqual(
            self.good(verify_shared(shared(level=-1), RULES, NOW)).level, -1
        )
        for level in (0, 3, -2, "1", True, 1.5):
            self.reason(verify_shared(shared(level=level), RULES, NOW))

    def test_nobody(self) -> None:
        """A token without a user is refused."""
        self.reason(verify_shared(shared(sub=None, user_id=None), RULES, NOW))

    def test_audience(self) -> None:
        """A token that names an audience counts only where that is us."""
        ours = attrs.evolve(RULES, audiences=frozenset({"shop"}))
        for aud in ("shop", ["x", "shop"]):
            self.good(verify_shared(shared(aud=aud), ours, NOW))
            self.reason(verify_shared(shared(aud=aud), RULES, NOW))
        self.reason(verify_shared(shared(aud="other"), ours, NOW))
        self.reason(verify_shared(shared(), ours, NOW))

    @given(st.integers(0, 10_000), st.characters(min_codepoint=33, max_codepoint=126))
    def test_any_changed_character(self, place: int, character: str) -> None:
        """A token with one character changed is no session of another kind."""
        token = shared()
        place %= len(token)
        changed = token[:place] + character + token[place + 1 :]
        verdict = verify_shared(changed, RULES, NOW)
        if isinstance(verdict, SessionData):  # the last bits of a signature are free
            self.assertEqual(verdict, verify_shared(token, RULES, NOW))

    @given(
        st.text(max_size=100)
        | st.binary(max_size=99).map(lambda b: b.decode("latin-1"))
    )
    def test_garbage(self, text: str) -> None:
        """Garbage is nobody's token, and nothing raises."""
        self.assertNotIsInstance(read_header(text), Header)
        self.assertEqual(verify_shared(text, RULES, NOW), Foreign())


def shared_raw(**changes: Any) -> str:
    """Return a token whose claims no library would write."""
    payload = {"sub": "u1", "type": "access", **changes}
    signed = {k: v for k, v in payload.items() if v is not None}
    return jwt.PyJWS().encode(json.dumps(signed).encode(), RULES.secrets[0], "HS256")


class PublicTests(VerdictCase):
    """Tokens of another issuer, under its public keys."""

    def test_session(self) -> None:
        """Its user is a user, whatever it says of levels; its session has its id."""
        for token, key in (
            (issued(level=-1), RSA),
            (issued("k-ec", "ES256", level=-1), EC),
        ):
            session = self.good(verify_public(token, key, RULES, NOW))
            self.assertEqual((session.user_id, session.level), ("u1", 1))
            self.assertEqual(session.session_id, "sess_1")
            self.assertEqual(session.provider_user_id, "u1")

    def test_type(self) -> None:
        """A type is not needed; one that is there must be ``access``."""
        self.good(verify_public(issued(type="access"), RSA, RULES, NOW))
        self.reason(verify_public(issued(type="refresh"), RSA, RULES, NOW))

    def test_issuer_and_party(self) -> None:
        """Where they are configured, issuer and party must be the right ones."""
        rules = attrs.evolve(
            RULES, issuer="https://i.example", parties=frozenset({"https://shop"})
        )
        right: dict[str, Any] = {"iss": "https://i.example", "azp": "https://shop"}
        self.good(verify_public(issued(**right), RSA, rules, NOW))
        for wrong in (
            {"iss": "https://j.example"},
            {"iss": None},
            {"azp": "x"},
            {"azp": None},
        ):
            token = issued(**{**right, **wrong})
            self.reason(verify_public(token, RSA, rules, NOW))

    def test_times(self) -> None:
        """The end counts here as well."""
        self.reason(verify_public(issued(exp=NOW - 31), RSA, RULES, NOW))
        self.reason(verify_public(issued(exp=None), RSA, RULES, NOW))

    def test_wrong_key(self) -> None:
        """A token under another key of the right kind is refused."""
        other = PublicKey("k-rsa", "RS256", rsa_key(3072).public_key())
        self.reason(verify_public(issued(), other, RULES, NOW))


class AlgorithmTests(VerdictCase):
    """A token cannot choose how it is checked."""

    def test_public_key_as_a_secret(self) -> None:
        """HS256 over the public key's bytes is the classic; it is not believed."""
        pem = (
            rsa_key()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        signing = (
            f"{encoded({'alg': 'HS256', 'kid': 'k-rsa'})}.{encoded({'sub': 'u1'})}"
        )
        mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        token = f"{signing}.{encoded(mac.sign(signing.encode(), pem))}"
        self.reason(verify_public(token, RSA, RULES, NOW))
        self.assertEqual(verify_shared(token, RULES, NOW), Foreign())

    def test_none(self) -> None:
        """Unsigned tokens and other algorithms are refused by their header."""
        for algorithm in ("none", "None", "HS512", "RS512", "PS256", "", None, 5):
            token = f"{encoded({'alg': algorithm})}.{encoded({'sub': 'u1'})}.AAAA"
            self.assertIsInstance(read_header(token), Rejected, algorithm)
            self.assertEqual(verify_shared(token, RULES, NOW), Foreign())
            self.reason(verify_public(token, RSA, RULES, NOW))

    def test_the_key_decides(self) -> None:
        """A key is good for its one algorithm."""
        self.reason(verify_public(issued(), EC, RULES, NOW))
        self.reason(verify_public(issued("k-ec", "ES256"), RSA, RULES, NOW))

    def test_critical_extensions(self) -> None:
        """A header with extensions that we do not know is no good (RFC 7515, 4.1.11)."""
        for extra in ({"crit": ["x"], "x": 1}, {"b64": True}):
            head = encoded({"alg": "HS256", **extra})
            self.assertNotIsInstance(read_header(f"{head}.e30.AAAA"), Header)

    def test_header(self) -> None:
        """A good header names algorithm and key."""
        self.assertEqual(read_header(issued()), Header("RS256", "k-rsa"))
        self.assertEqual(read_header(shared()), Header("HS256", ""))

    def test_too_long(self) -> None:
        """A token that is too long is not looked at."""
        long = f"{encoded({'alg': 'HS256'})}.{'A' * MAX_TOKEN_CHARS}.AAAA"
        self.assertEqual(read_header(long), Rejected("the token is too long"))


class IdTests(SynchronousTestCase):
    """Tokens without an id of their own."""

    def test_signature_does_not_count(self) -> None:
        """Another text of the signature is no way around a revocation."""
        token = shared(jti=None)
        self.assertEqual(token_id(token), token_id(token[:-1] + "A"))
        self.assertNotEqual(token_id(token), token_id(shared(jti=None, sub="u2")))

    def test_opaque(self) -> None:
        """Tokens that are no JWT differ in every character."""
        ids = {
            token_id(text) for text in ("", "a", "b", "a.b", "a.c", "a.b.c!", "a.b.d!")
        }
        self.assertEqual(len(ids), 7)

    def test_unproven_end(self) -> None:
        """The end of a token that another has verified; 0 where it has none."""
        self.assertEqual(unproven_end(shared(b"x" * 64)), NOW + 890)
        for text in ("", "opaque", "a.b.c", shared(exp=None), shared_raw(exp=1e300)):
            self.assertEqual(unproven_end(text), 0)

    def test_rules(self) -> None:
        """The rules come from the file; they show no secret."""
        auth = Auth(jwt_issuer="i", jwt_azp=("p",), jwt_audience=("a",))
        rules = TokenRules.from_settings(auth, (b"hunter2",))
        self.assertEqual(
            rules, TokenRules((b"hunter2",), "i", frozenset({"p"}), frozenset({"a"}))
        )
        self.assertNotIn("hunter2", repr(rules))
