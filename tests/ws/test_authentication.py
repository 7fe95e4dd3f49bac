"""Who opens a connection."""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.identity import BadCredentials, Found, Identity
from tbtwist.auth.session import authenticated_session
from tbtwist.config.schema import Auth
from tbtwist.ws.authentication import identify, subprotocol
from tests.ws.fakes import START, FakeVerifier, cookies, head, identifier, signed

KEY_HASH = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
JWT = "ey.J.z"
TOKEN_USER = Identity(
    authenticated_session("u9", "Jo", level=1, exp=START + 60, random=bytes)
)


class IdentifyCase(SynchronousTestCase):
    """Asks who is behind a handshake."""

    def setUp(self) -> None:
        """Know one token and one API key."""
        self.verifier = FakeVerifier()
        self.verifier.known[JWT] = TOKEN_USER

    def found(
        self, target: str = "/ws/Chat/room", now: float = START, **headers: str
    ) -> Found:
        """Return who is found, and pass on what went wrong."""
        auth = Auth(api_keys={"ci": KEY_HASH})
        asked = head(target, **headers)
        return self.successResultOf(
            Deferred.fromCoroutine(
                identify(asked, identifier(self.verifier, auth), now)
            )
        )

    def who(
        self, target: str = "/ws/Chat/room", now: float = START, **headers: str
    ) -> str:
        """Return the user, the empty string for nobody, or ``refused``."""
        found = self.found(target, now, **headers)
        if isinstance(found, BadCredentials):
            return "refused"
        return found.session.user_id if found.authenticated(now) else ""


class CookieTests(IdentifyCase):
    """The cookie of the website counts on its WebSockets too."""

    def test_cookie(self) -> None:
        """Among other cookies, ours names the user."""
        self.assertEqual(self.who(cookie=f"theme=dark; tb_session={signed()}"), "u1")

    def test_nobody(self) -> None:
        """Without a proof it is nobody, under an id of their own."""
        found = self.found()
        assert isinstance(found, Identity)
        self.assertTrue(found.session.session_id.startswith("anon_"))
        self.assertFalse(found.authenticated(START))

    def test_expired(self) -> None:
        """An expired session proves nothing."""
        self.assertEqual(
            self.who(cookie=f"tb_session={signed()}", now=START + 3601), ""
        )

    def test_nobody_is_asked(self) -> None:
        """A cookie is checked here: it works while everybody else is away."""
        self.verifier.error = RuntimeError("nobody there")
        self.assertEqual(self.who(cookie=f"tb_session={signed()}"), "u1")
        self.assertEqual(self.verifier.asked, [])


class HeaderTests(IdentifyCase):
    """Programs can send headers."""

    def test_bearer(self) -> None:
        """A Bearer token names the user, before the cookie."""
        cookie = f"tb_session={signed('u1')}"
        self.assertEqual(self.who(authorization=f"Bearer {JWT}", cookie=cookie), "u9")

    def test_bad_bearer(self) -> None:
        """A bad one is refused; it does not fall through to cookie or query."""
        cookie = f"tb_session={signed('u1')}"
        target = f"/ws/a?token={signed('u1')}"
        for bad in ("Bearer ey.J.x", "Bearer", "bearer  "):
            found = self.who(target, authorization=bad, cookie=cookie)
            self.assertEqual(found, "refused", bad)

    def test_another_scheme(self) -> None:
        """Basic authentication is for a proxy in front, and none of our business."""
        cookie = f"tb_session={signed('u1')}"
        self.assertEqual(self.who(authorization="Basic YTpi", cookie=cookie), "u1")

    def test_api_key(self) -> None:
        """An API key comes first, and a bad one is refused."""
        self.assertEqual(
            self.who(x_api_key="secret-key-1", authorization="Bearer ey.J.x"),
            "refused",
        )
        self.assertEqual(
            self.who(x_api_key="key", authorization=f"Bearer {JWT}"), "api_key:ci"
        )


class QueryTests(IdentifyCase):
    """A client without cookies and headers puts the token into the query."""

    def test_cookie_value(self) -> None:
        """The value of a signed cookie counts, by either name."""
        self.assertEqual(self.who(f"/ws/a?session_token={signed()}"), "u1")
        self.assertEqual(self.who(f"/ws/a?x=1&token={signed()}"), "u1")

    def test_with_the_cookies_name(self) -> None:
        """ToolBoxV2's clients may send the whole cookie as the token."""
        self.assertEqual(self.who(f"/ws/a?session_token=tb_session%3D{signed()}"), "u1")

    def test_jwt(self) -> None:
        """ToolBoxV2's clients send their JWT."""
        self.assertEqual(self.who(f"/ws/a?session_token={JWT}"), "u9")

    def test_cookie_first(self) -> None:
        """Where both are there, the cookie decides."""
        cookie = f"tb_session={signed('u1')}"
        self.assertEqual(self.who(f"/ws/a?token={signed('u2')}", cookie=cookie), "u1")

    def test_a_bad_one_is_nobody(self) -> None:
        """A client that appends an expired token always is nobody, not refused."""
        forged = signed()[:-2] + "AA"
        for target in (
            f"/ws/a?token={forged}",
            "/ws/a?token=ey.J.x",
            "/ws/a?token=tb_session%3Dx",
            "/ws/a?token=",
        ):
            self.assertEqual(self.who(target), "", target)

    def test_a_bad_one_before_a_good_one(self) -> None:
        """A token that is not ours does not hide one that is."""
        self.assertEqual(self.who(f"/ws/a?token=ey.J.x&session_token={signed()}"), "u1")

    def test_many(self) -> None:
        """Only the first few tokens are tried, each costs us a check."""
        many = "&".join(["token=x"] * 4 + [f"token={signed()}"])
        self.assertEqual(self.who(f"/ws/a?{many}"), "")
        self.assertEqual(len(self.verifier.asked), 4)


class SubprotocolTests(IdentifyCase):
    """Browsers cannot send headers, but they can name subprotocols."""

    def test_identity(self) -> None:
        """``bearer.TOKEN`` carries a JWT or a cookie's value, and goes before cookies."""
        for token, user in ((JWT, "u9"), (signed("u2"), "u2")):
            self.assertEqual(
                self.who(
                    sec_websocket_protocol=f"chat.v1, bearer.{token}",
                    cookie=f"tb_session={signed('u1')}",
                ),
                user,
            )

    def test_bad(self) -> None:
        """A bad one is refused, as a Bearer token is."""
        for offered in ("bearer.ey.J.x", "bearer.", "bearer.x=1"):
            self.assertEqual(self.who(sec_websocket_protocol=offered), "refused")

    def test_the_header_goes_before(self) -> None:
        """Where there is an Authorization header, that counts."""
        self.assertEqual(
            self.who(sec_websocket_protocol="bearer.x", authorization=f"Bearer {JWT}"),
            "u9",
        )

    def test_agreed(self) -> None:
        """The first plain one is agreed to; a token comes back only if it must."""
        for offered, agreed in (
            ([], None),
            (["chat.v2", "chat.v1"], "chat.v2"),
            (["bearer.x", "chat.v1"], "chat.v1"),
            (["Bearer.x"], "Bearer.x"),
        ):
            self.assertEqual(subprotocol(offered), agreed)


class PropertyTests(IdentifyCase):
    """Whatever comes."""

    @given(
        st.dictionaries(
            st.sampled_from(
                ["authorization", "cookie", "x-api-key", "sec-websocket-protocol"]
            ),
            st.text(max_size=60),
        ),
        st.text(max_size=60),
    )
    def test_garbage_is_never_somebody(
        self, headers: dict[str, str], query: str
    ) -> None:
        """Bytes of strangers neither log anybody in nor raise."""
        self.verifier.known.clear()
        asked = attrs.evolve(head(), query=query, headers=headers)
        auth = Auth(api_keys={"ci": KEY_HASH})
        working = Deferred.fromCoroutine(
            identify(asked, identifier(self.verifier, auth), START)
        )
        found = self.successResultOf(working)
        self.assertFalse(isinstance(found, Identity) and found.authenticated(START))

    def test_heads_show_no_credentials(self) -> None:
        """A head in a traceback shows neither cookies nor tokens."""
        shown = repr(head(f"/ws/a?token={JWT}", cookie="tb_session=hunter2"))
        self.assertNotIn("hunter2", shown)
        self.assertNotIn(JWT, shown)
        self.assertNotIn("sssss", repr(cookies()))
