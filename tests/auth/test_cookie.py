"""The session cookie: written as configured, read with suspicion."""

from __future__ import annotations

import attrs
import jwt
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.cookie import MAX_VALUE_CHARS, SessionCookies, decode
from tbtwist.auth.session import SessionData
from tbtwist.auth.signing import Signer
from tbtwist.auth.tokens import Foreign, TokenRules, verify_shared
from tbtwist.config.schema import Session

NOW = 1_700_000_000.0
WEEK = 604_800
SIGNER = Signer([b"s" * 64])
USER = SessionData(
    user_id="u1", session_id="s1", user_name="Ann", level=1, validated=True,
    anonymous=False,
)  # fmt: skip


def cookies(*, secure: bool = False, config: Session | None = None) -> SessionCookies:
    """Return cookies under a fixed secret."""
    return SessionCookies(SIGNER, config or Session(), secure)


def value_of(header: str) -> str:
    """Return the bare value in a Set-Cookie header."""
    return header.split(";", maxsplit=1)[0].partition("=")[2]


class SetCookieTests(SynchronousTestCase):
    """What a browser is told."""

    def test_attributes_in_order(self) -> None:
        """Name, Max-Age, Path, Domain, Secure, HttpOnly, SameSite, in R2.1's order."""
        config = Session(cookie_domain="example.org")
        header = cookies(secure=True, config=config).set_cookie(USER, NOW)
        parts = header.split("; ")
        self.assertTrue(parts[0].startswith("tb_session="))
        self.assertEqual(
            parts[1:],
            ["Max-Age=604800", "Path=/", "Domain=example.org", "Secure", "HttpOnly",
             "SameSite=Lax"],
        )  # fmt: skip

    def test_development_is_not_secure(self) -> None:
        """Without TLS the cookie still comes back: no Secure, no Domain."""
        header = cookies().set_cookie(USER, NOW)
        self.assertTrue(
            header.endswith("; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax")
        )

    def test_switches(self) -> None:
        """HttpOnly and SameSite follow the configuration."""
        config = Session(cookie_httponly=False, cookie_samesite="Strict")
        header = cookies(config=config).set_cookie(USER, NOW)
        self.assertTrue(header.endswith("; Path=/; SameSite=Strict"))

    def test_clear(self) -> None:
        """Logging out makes the browser forget the cookie, under the same scope."""
        self.assertEqual(cookies().clear_cookie(), "tb_session=; Max-Age=0; Path=/")
        config = Session(cookie_domain="example.org", cookie_name="sid")
        self.assertEqual(
            cookies(config=config).clear_cookie(),
            "sid=; Max-Age=0; Path=/; Domain=example.org",
        )

    @given(st.floats(0, 2e10))
    def test_end_is_always_set(self, exp: float) -> None:
        """A cookie ends at the session's end or the maximum age, whichever is first."""
        header = cookies().set_cookie(attrs.evolve(USER, exp=exp), NOW)
        expected = min(exp, NOW + WEEK) if exp > 0 else NOW + WEEK
        read = decode(value_of(header), signer=SIGNER, now=0)
        assert read is not None
        self.assertEqual(read.exp, expected)
        self.assertIsNone(decode(value_of(header), signer=SIGNER, now=expected))
        self.assertIn(f"Max-Age={max(0, int(expected - NOW))};", header)


class ReadTests(SynchronousTestCase):
    """What comes back from a browser, or from somebody else."""

    def test_reads_its_own(self) -> None:
        """A cookie that we set identifies the user among other cookies."""
        value = value_of(cookies().set_cookie(USER, NOW))
        read = cookies().read(f"a=1; tb_session={value}; b=2", NOW)
        assert read is not None
        self.assertEqual((read.user_id, read.exp), ("u1", NOW + WEEK))
        self.assertTrue(read.authenticated(NOW))

    def test_reads_one_made_by_toolboxv2(self) -> None:
        """A cookie from the system that we replace is accepted as it is."""
        payload = (
            b'{"user_id":"u9","session_id":"s","user_name":"Bo","level":-1,"spec":"",'
            b'"exp":1700000009.5,"provider_user_id":"p","validated":true,'
            b'"anonymous":false,"extra":{},"live_data":{}}'
        )
        read = cookies().read(f"tb_session={SIGNER.sign(payload)}", NOW)
        assert read is not None
        self.assertEqual((read.user_id, read.level), ("u9", -1))
        self.assertEqual(read.to_json_bytes(), payload)

    def test_without_an_end_is_refused(self) -> None:
        """A correctly signed cookie that never ends is not accepted."""
        value = SIGNER.sign(USER.to_json_bytes())
        self.assertIsNone(decode(value, signer=SIGNER, now=NOW))

    def test_expired(self) -> None:
        """A cookie whose time is over is worth nothing, though it is ours."""
        value = value_of(cookies().set_cookie(USER, NOW))
        self.assertIsNone(decode(value, signer=SIGNER, now=NOW + WEEK))

    def test_no_cookie(self) -> None:
        """No header, an empty one and one without our name are nobody."""
        for header in (None, "", "a=1", "tb_session=", "tb_sessionx=1", ";;=;"):
            self.assertIsNone(cookies().read(header, NOW))

    @given(st.text(max_size=200))
    def test_garbage(self, text: str) -> None:
        """Garbage in the header is nobody, never an error."""
        self.assertIsNone(cookies().read(text, NOW))
        self.assertIsNone(cookies().read(f"tb_session={text}", NOW))

    def test_oversized(self) -> None:
        """A value longer than a browser keeps is refused even if it is signed."""
        big = attrs.evolve(USER, exp=NOW + 9, extra={"x": "y" * MAX_VALUE_CHARS})
        value = SIGNER.sign(big.to_json_bytes())
        self.assertIsNone(decode(value, signer=SIGNER, now=NOW))

    def test_a_planted_cookie_does_not_hide_ours(self) -> None:
        """A second cookie of the same name, set by somebody else, changes nothing."""
        value = value_of(cookies().set_cookie(USER, NOW))
        read = cookies().read(f"tb_session=planted; tb_session={value}", NOW)
        assert read is not None
        self.assertEqual(read.user_id, "u1")

    def test_a_flood_of_cookies_is_bounded(self) -> None:
        """We look at a few cookies of our name and no more."""
        value = value_of(cookies().set_cookie(USER, NOW))
        header = "tb_session=x; " * 50 + f"tb_session={value}"
        self.assertIsNone(cookies().read(header, NOW))

    def test_other_name(self) -> None:
        """A configured name is the only one that counts."""
        value = value_of(cookies().set_cookie(USER, NOW))
        renamed = cookies(config=Session(cookie_name="sid"))
        self.assertIsNone(renamed.read(f"tb_session={value}", NOW))
        self.assertIsNotNone(renamed.read(f"sid={value}", NOW))
        self.assertIsNotNone(renamed.read_value(value, NOW))


class RotationTests(SynchronousTestCase):
    """Secrets are replaced while people are logged in (CVE-2025-47278 was this order)."""

    def read(self, value: str, *secrets: bytes) -> SessionData | None:
        """Read a cookie with these secrets."""
        return decode(value, signer=Signer(secrets), now=NOW)

    def test_newest_signs(self) -> None:
        """With a list, the first secret signs: who has the old one cannot forge for long."""
        new, old, older = b"n" * 64, b"o" * 64, b"p" * 64
        rotating = SessionCookies(Signer([new, old, older]), Session(), False)
        value = value_of(rotating.set_cookie(USER, NOW))
        self.assertIsNotNone(self.read(value, new))
        self.assertIsNone(self.read(value, old, older))

    def test_all_verify(self) -> None:
        """Cookies under any secret of the list count, and under none that is gone."""
        new, old, older = b"n" * 64, b"o" * 64, b"p" * 64
        for secret in (new, old, older):
            cookies = SessionCookies(Signer([secret]), Session(), False)
            value = value_of(cookies.set_cookie(USER, NOW))
            self.assertIsNotNone(self.read(value, new, old, older))
            others = [each for each in (new, old, older) if each != secret]
            self.assertIsNone(self.read(value, *others))

    def test_a_token_is_no_cookie(self) -> None:
        """One secret may verify cookies and tokens; neither passes for the other."""
        token = jwt.encode({"user_id": "u1", "exp": NOW + 9}, b"s" * 64, "HS256")
        self.assertIsNone(self.read(token, b"s" * 64))
        value = value_of(cookies().set_cookie(USER, NOW))
        rules = TokenRules((b"s" * 64,))
        for text in (value, f"e30.{value}", f"{value}.AAAA"):
            self.assertEqual(verify_shared(text, rules, NOW), Foreign())

    def test_shows_no_secret(self) -> None:
        """A reader of cookies in a traceback shows no secret, a session no id."""
        self.assertNotIn("ssss", repr(cookies()))
        self.assertNotIn("s1", repr(USER))
