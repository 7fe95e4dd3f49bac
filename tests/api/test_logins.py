"""Logins elsewhere that end here: OAuth, and links in mails (R2.3, contract §10)."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tbtwist.apps.result import Result
from tbtwist.config.schema import HttpWorker, Settings, Toolbox
from tests.api.core import SIGNER, Answer, CoreTestCase

PERSON: Final[dict[str, Any]] = {
    "authenticated": True,
    "user_id": "usr_1",
    "username": "Ann & Bob</script>",
    "email": "ann@example.org",
    "level": 2,
    "access_token": "aaa.bbb.ccc",
    "refresh_token": "ddd",
}
FRONTEND: Final = "https://app.example"
SETTINGS: Final = Settings(
    http_worker=HttpWorker(cors_origins=(FRONTEND,)),
    toolbox=Toolbox(open_modules=("Open",)),
)
HOME: Final = "/web/assets/login.html"


def handed_over(answer: Answer) -> dict[str, Any]:
    """Return what the page's script reads."""
    found = re.search(
        rb'<script type="application/json" id="login">(.*?)</script>', answer.body
    )
    assert found is not None
    value: dict[str, Any] = json.loads(found[1])
    return value


class LoginsTestCase(CoreTestCase):
    """Has an application with the functions that ToolBoxV2's clients use."""

    def setUp(self) -> None:
        """Register them; ``self.outcome`` is what a login ends with."""
        super().setUp()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.outcome: Any = Result.ok(PERSON)
        for provider in ("discord", "google"):
            self._register(provider)

        @self.app.tb(mod_name="CloudM.Auth", name="verify_magic_link")
        async def verify_magic_link(token: str) -> Any:
            self.asked.append(("magic", {"token": token}))
            return self.outcome

        self.core = self.core_with(SETTINGS)

    def _register(self, provider: str) -> None:
        @self.app.tb(mod_name="CloudM.Auth", name=f"get_{provider}_auth_url")
        async def address(redirect_after: str | None = None) -> Any:
            self.asked.append((provider, {"redirect_after": redirect_after}))
            return Result.ok({"auth_url": f"https://{provider}.example/", "state": "s"})

        @self.app.tb(mod_name="CloudM.Auth", name=f"login_{provider}")
        async def login(code: str, state: str) -> Any:
            self.asked.append((provider, {"code": code, "state": state}))
            return self.outcome


class AddressTests(LoginsTestCase):
    """GET /auth/{provider}/url."""

    def test_the_applications_word(self) -> None:
        """The frontend gets the address and the state, without an envelope."""
        for provider in ("discord", "google"):
            answer = self.core.get(f"/auth/{provider}/url?redirect_after={FRONTEND}/")
            expected = {"auth_url": f"https://{provider}.example/", "state": "s"}
            self.assertEqual((answer.status, answer.json), (200, expected))
            said = (provider, {"redirect_after": f"{FRONTEND}/"})
            self.assertEqual(self.asked.pop(), said)
        self.assertEqual(self.core.get("/auth/google/url").status, 200)
        self.assertEqual(self.asked, [("google", {"redirect_after": None})])

    def test_only_to_known_origins(self) -> None:
        """A login that would end at a stranger's page does not even begin."""
        for after in (
            "https://evil.example",
            f"{FRONTEND}.evil.example",
            f"{FRONTEND}@evil.example",
            f"{FRONTEND}/path",
            "//evil.example",
            "javascript:alert(1)",
            "null",
        ):
            answer = self.core.get(f"/auth/discord/url?redirect_after={after}")
            self.assertEqual((answer.status, answer.json["error"]), (403, "Forbidden"))
        self.assertEqual(self.asked, [])

    def test_a_provider_that_is_not_configured(self) -> None:
        """What the application says of it is passed on, as a failure."""

        @self.app.tb(mod_name="CloudM.Auth", name="get_google_auth_url")
        async def address() -> Result:
            return Result.default_internal_error("Google OAuth not configured")

        answer = self.core_with(SETTINGS).get("/auth/google/url")
        expected = {"error": "InternalError", "message": "Google OAuth not configured"}
        self.assertEqual((answer.status, answer.json), (500, expected))


class CallbackTests(LoginsTestCase):
    """GET /auth/{provider}/callback and /auth/magic/verify."""

    def test_our_own_frontend(self) -> None:
        """It finds the session where it looks for it, and the browser a cookie."""
        for path in (
            "/auth/discord/callback?code=c&state=s",
            "/auth/google/callback?code=c&state=s",
            "/auth/magic/verify?token=t",
        ):
            answer = self.core.get(path)
            self.assertEqual(answer.status, 200)
            told = handed_over(answer)
            place = urlsplit(told["target"])
            self.assertEqual((place.netloc, place.path, place.query), ("", HOME, ""))
            self.assertEqual(told["session"]["token"], "aaa.bbb.ccc")
            self.assertEqual(told["session"]["username"], PERSON["username"])
            self.assertEqual(told["session"]["userLevel"], 2)
            cookie = (answer.header("Set-Cookie") or "").partition(";")[0]
            self.assertEqual(
                self.core.get("/IsValidSession", cookie=cookie).status, 200
            )
            signed = SIGNER.verify(cookie.removeprefix("tb_session="))
            assert signed is not None
            session = json.loads(signed)
            self.assertEqual(
                (session["user_id"], session["provider_user_id"], session["level"]),
                ("usr_1", "usr_1", 2),
            )
        self.assertEqual(
            self.asked,
            [
                ("discord", {"code": "c", "state": "s"}),
                ("google", {"code": "c", "state": "s"}),
                ("magic", {"token": "t"}),
            ],
        )

    def test_another_frontend(self) -> None:
        """Tokens are in the fragment, which no server sees, and nothing is kept here."""
        self.outcome = Result.ok({**PERSON, "redirect_after": FRONTEND})
        told = handed_over(self.core.get("/auth/google/callback?code=c&state=s"))
        self.assertIsNone(told["session"])
        place = urlsplit(told["target"])
        self.assertEqual(f"{place.scheme}://{place.netloc}", FRONTEND)
        self.assertEqual((place.path, place.query), (HOME, ""))
        said = {k: v[0] for k, v in parse_qs(place.fragment).items()}
        expected = {
            "token": "aaa.bbb.ccc",
            "refresh_token": "ddd",
            "user_id": "usr_1",
            "username": PERSON["username"],
        }
        self.assertEqual(said, expected)

    def test_our_own_origin_by_its_name(self) -> None:
        """Ours is allowed without being configured."""
        self.outcome = Result.ok({**PERSON, "redirect_after": "http://here.example"})
        path = "/auth/google/callback?code=c&state=s"
        told = handed_over(self.core.get(path, host="here.example"))
        self.assertTrue(told["target"].startswith(f"{HOME}#"))
        self.assertEqual(self.core.get(path, host="there.example").status, 403)

    def test_a_strangers_page(self) -> None:
        """Whatever the state says: no tokens and no session for a stranger."""
        self.outcome = Result.ok({**PERSON, "redirect_after": "https://evil.example"})
        answer = self.core.get("/auth/discord/callback?code=c&state=s")
        self.assertEqual(answer.status, 403)
        self.assertIsNone(answer.header("Set-Cookie"))
        self.assertNotIn(b"aaa.bbb.ccc", answer.body)

    def test_only_our_script_runs(self) -> None:
        """The page's policy allows its script by its hash, and nothing else."""
        answer = self.core.get("/auth/magic/verify?token=t")
        scripts = re.findall(rb"<script>(.*?)</script>", answer.body, re.DOTALL)
        self.assertEqual(len(scripts), 1)
        hashed = base64.b64encode(hashlib.sha256(scripts[0]).digest()).decode()
        policy = answer.header("Content-Security-Policy") or ""
        self.assertIn("default-src 'none'", policy)
        self.assertIn(f"script-src 'sha256-{hashed}'", policy)
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertEqual(answer.header("Referrer-Policy"), "no-referrer")

    def test_what_is_missing(self) -> None:
        """Without code, state or token the application is not asked."""
        for path, message in (
            ("/auth/discord/callback", "Authorization code required"),
            ("/auth/google/callback?state=s", "Authorization code required"),
            ("/auth/google/callback?code=c", "State required"),
            ("/auth/google/callback?code=c&state=", "State required"),
            ("/auth/magic/verify?token=", "Token required"),
        ):
            answer = self.core.get(path)
            expected = {"error": "BadRequest", "message": message}
            self.assertEqual((answer.status, answer.json), (400, expected))
        self.assertEqual(self.asked, [])

    def test_a_refusal_is_shown(self) -> None:
        """A person reads why, and is taken back; nobody is logged in."""
        levels: tuple[Any, ...] = (0, 7, True, [], "2")
        unusable: list[Any] = [{}, None, {**PERSON, "authenticated": False}]
        unusable += [{**PERSON, "user_id": ""}]
        unusable += [{**PERSON, "level": level} for level in levels]
        outcomes = [(Result.ok(data), "Authentication failed") for data in unusable]
        refused = Result.default_user_error("Link <b> expired")
        for outcome, reason in (*outcomes, (refused, "Link <b> expired")):
            self.outcome = outcome
            answer = self.core.get("/auth/magic/verify?token=t")
            self.assertEqual(answer.status, 200)
            self.assertIn(html.escape(reason).encode(), answer.body)
            self.assertNotIn(b"<b>", answer.body)
            self.assertNotIn(b"<script", answer.body)
            self.assertIn(f"url={HOME}?error=".encode(), answer.body)
            self.assertIsNone(answer.header("Set-Cookie"))

    def test_an_exception_is_not_shown(self) -> None:
        """What an exception says is for the log."""

        @self.app.tb(mod_name="CloudM.Auth", name="verify_magic_link")
        async def verify_magic_link(token: str) -> None:
            raise RuntimeError(token)

        answer = self.core_with(SETTINGS).get("/auth/magic/verify?token=secret")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertNotIn(b"secret", answer.body)
        self.assertIn(b"Internal error", answer.body)

    def test_looking_uses_nothing_up(self) -> None:
        """A program that checks links with HEAD does not log anybody in."""
        answer = self.core.ask("HEAD", "/auth/magic/verify?token=t")
        self.assertEqual((answer.status, answer.header("Allow")), (405, "GET"))
        self.assertEqual(self.asked, [])


class AbsentTests(CoreTestCase):
    """An application without such functions."""

    def test_the_paths_are_free(self) -> None:
        """A mounted site may have its own logins there."""
        for path in (
            "/auth/google/callback",
            "/auth/discord/url",
            "/auth/magic/verify",
        ):
            self.assertFalse(self.core.dispatcher.owns(path))
