"""The session's own paths (R2.3)."""

from __future__ import annotations

from typing import Any

import attrs

from tbtwist.apps.result import Result
from tbtwist.auth.identity import BadCredentials, Found, Identifier, Identity
from tbtwist.auth.revocation import MemoryRevoker
from tbtwist.auth.session import SessionData
from tests.api.core import NOW, OPEN, Core, CoreTestCase, cookie_of, make_dispatcher

PERSON = SessionData(
    user_id="u7",
    session_id="jti-1",
    user_name="Ann",
    level=1,
    exp=NOW + 600,
    validated=True,
    anonymous=False,
)


async def verify(token: str) -> Found:
    """Know one token."""
    return Identity(PERSON) if token == "good" else BadCredentials("it is not")


class AccountsTestCase(CoreTestCase):
    """Has a core that knows one token."""

    def setUp(self) -> None:
        """Make the core."""
        super().setUp()
        dispatcher = make_dispatcher(self.app)
        self.revoker = MemoryRevoker(lambda: NOW)
        dispatcher = attrs.evolve(
            dispatcher,
            identifier=Identifier.of(
                dispatcher.cookies,
                self.revoker,
                verify,
                OPEN.auth,
                dispatcher.random,
            ),
        )
        self.core = Core(dispatcher)

    def envelope(self, **changed: Any) -> dict[str, Any]:
        """Return the envelope of these paths."""
        return {
            "error": "none",
            "origin": None,
            "result": None,
            "info": None,
            **changed,
        }


class ValidateTests(AccountsTestCase):
    """POST /validateSession."""

    def test_a_token_becomes_a_cookie(self) -> None:
        """From the body or as Bearer, a good token is answered with a session."""
        answers = [
            self.core.post_json("/validateSession", {key: "good"})
            for key in ("session_token", "token", "Jwt_claim")
        ]
        bearer = {"authorization": "Bearer good"}
        answers.append(self.core.ask("POST", "/validateSession", headers=bearer))
        for answer in answers:
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.json["info"]["help_text"], "Valid Session")
            self.assertEqual(answer.data["user_id"], "u7")
            self.assertEqual(answer.data["user_name"], "Ann")
            self.assertEqual(
                (answer.data["authenticated"], answer.data["level"]), (True, 1)
            )
            cookie = (answer.header("Set-Cookie") or "").partition(";")[0]
            valid = self.core.get("/IsValidSession", cookie=cookie)
            self.assertEqual(valid.status, 200)

    def test_the_cookie_ends_with_the_token(self) -> None:
        """No session lives longer than what proved it."""
        answer = self.core.post_json("/validateSession", {"token": "good"})
        self.assertIn("Max-Age=600;", answer.header("Set-Cookie") or "")

    def test_no_token(self) -> None:
        """Without a token, or with a bad one, it is 401 and no cookie."""
        rows: list[tuple[Any, str]] = [
            ({}, "No authentication token provided"),
            ([], "No authentication token provided"),
            ({"token": ""}, "No authentication token provided"),
            ({"token": "bad"}, "Invalid or expired session"),
            ({"token": 5}, "Invalid or expired session"),
        ]
        for body, error in rows:
            answer = self.core.post_json("/validateSession", body)
            self.assertEqual(
                (answer.status, answer.json), (401, self.envelope(error=error))
            )
            self.assertIsNone(answer.header("Set-Cookie"))

    def test_method(self) -> None:
        """Looking is not validating: GET is 405."""
        answer = self.core.get("/validateSession")
        self.assertEqual((answer.status, answer.header("Allow")), (405, "POST"))


class IsValidTests(AccountsTestCase):
    """GET /IsValidSession."""

    def test_somebody(self) -> None:
        """Somebody is 200."""
        answer = self.core.get("/IsValidSession", cookie=cookie_of())
        result = {
            "data_to": "API",
            "data_info": "Valid Session",
            "data": None,
            "data_type": None,
        }
        info = {"exec_code": 0, "help_text": "Valid Session"}
        self.assertEqual(
            (answer.status, answer.json), (200, self.envelope(result=result, info=info))
        )

    def test_nobody(self) -> None:
        """Nobody, and whoever has a bad token, is 401."""
        expected = self.envelope(error="Invalid Auth data.")
        for headers in (
            {},
            {"authorization": "Bearer bad"},
            {"cookie": "tb_session=x"},
        ):
            answer = self.core.get("/IsValidSession", **headers)
            self.assertEqual((answer.status, answer.json), (401, expected))


class LogoutTests(AccountsTestCase):
    """POST /web/logoutS."""

    def test_logout(self) -> None:
        """The cookie is cleared, and worth nothing any more wherever it is."""
        mine = cookie_of()
        answer = self.core.ask("POST", "/web/logoutS", headers={"cookie": mine})
        self.assertEqual(
            (answer.status, answer.header("Location")), (302, "/web/logout")
        )
        self.assertIn("Max-Age=0", answer.header("Set-Cookie") or "")
        self.assertEqual(self.core.get("/IsValidSession", cookie=mine).status, 401)

    def test_the_application_is_told(self) -> None:
        """The application's own logout gets the token, and may fail."""
        told: list[str] = []

        @self.app.tb(mod_name="CloudM.Auth", name="logout")
        async def logout(token: str) -> None:
            told.append(token)
            raise RuntimeError

        headers = {"authorization": "Bearer good"}
        answer = self.core.ask("POST", "/web/logoutS", headers=headers)
        self.assertEqual((answer.status, told), (302, ["good"]))
        self.assertEqual(self.core.get("/IsValidSession", **headers).status, 401)
        self.flushLoggedErrors(RuntimeError)

    def test_nobody(self) -> None:
        """Nobody cannot log out: 403, as clients know it."""
        answer = self.core.ask("POST", "/web/logoutS")
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.json, self.envelope(error="Invalid Auth data."))


class UserDataTests(AccountsTestCase):
    """GET /api_user_data."""

    def test_what_the_application_knows(self) -> None:
        """Somebody gets what the application knows of them, and of nobody else."""

        @self.app.tb(mod_name="CloudM.Auth", name="get_user_data", api=False)
        async def get_user_data(user_id: str) -> Result:
            return Result.ok({"id": user_id}) if user_id == "u1" else Result.error()

        mine = self.core.get("/api_user_data?user_id=u2", cookie=cookie_of())
        self.assertEqual((mine.status, mine.data), (200, {"id": "u1"}))
        self.assertEqual(mine.json["result"]["data_type"], "json")
        other = self.core.get("/api_user_data", cookie=cookie_of(user_id="u3"))
        self.assertEqual(other.json, self.envelope(error="User data not found."))
        self.assertEqual(other.status, 404)

    def test_nobody(self) -> None:
        """Nobody is 401; an application without users has no data."""
        self.assertEqual(self.core.get("/api_user_data").status, 401)
        known = self.core.get("/api_user_data", cookie=cookie_of())
        self.assertEqual(known.status, 404)
