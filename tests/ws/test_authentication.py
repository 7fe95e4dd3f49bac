"""Who opens a connection."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.authentication import identify
from tests.ws.fakes import START, cookies, head, signed


def who(target: str = "/ws/Chat/room", cookie: str = "", now: float = START) -> str:
    """Return the user behind a handshake, or the empty string for nobody."""
    given = head(target, cookie=cookie) if cookie else head(target)
    session = identify(given, cookies(), now)
    return "" if session is None else session.user_id


class IdentifyTests(SynchronousTestCase):
    """Cookies and query tokens."""

    def test_cookie(self) -> None:
        """The cookie of the website counts on its WebSockets too."""
        self.assertEqual(who(cookie=f"theme=dark; tb_session={signed()}"), "u1")

    def test_query(self) -> None:
        """A client without cookies puts the token into the query."""
        self.assertEqual(who(f"/ws/a?session_token={signed()}"), "u1")
        self.assertEqual(who(f"/ws/a?x=1&token={signed()}"), "u1")

    def test_query_with_the_cookies_name(self) -> None:
        """ToolBoxV2's clients may send the whole cookie as the token."""
        self.assertEqual(who(f"/ws/a?session_token=tb_session%3D{signed()}"), "u1")

    def test_cookie_first(self) -> None:
        """Where both are there, the cookie decides."""
        token = signed("u2")
        self.assertEqual(
            who(f"/ws/a?token={token}", cookie=f"tb_session={signed('u1')}"), "u1"
        )

    def test_nobody(self) -> None:
        """Without a proof, or with a forged or foreign one, it is nobody."""
        forged = signed()[:-2] + "AA"
        for target in (
            "/ws/a",
            f"/ws/a?token={forged}",
            "/ws/a?token=ey.J.x",
            "/ws/a?token=",
        ):
            self.assertEqual(who(target), "", target)

    def test_foreign_token_before_a_good_one(self) -> None:
        """A token that is not ours does not hide one that is."""
        self.assertEqual(who(f"/ws/a?token=ey.J.x&session_token={signed()}"), "u1")

    def test_expired(self) -> None:
        """An expired session proves nothing."""
        self.assertEqual(who(cookie=f"tb_session={signed()}", now=START + 3601), "")

    def test_many_tokens(self) -> None:
        """Only the first few tokens are tried, each costs us a signature."""
        many = "&".join(["token=x"] * 4 + [f"token={signed()}"])
        self.assertEqual(who(f"/ws/a?{many}"), "")
