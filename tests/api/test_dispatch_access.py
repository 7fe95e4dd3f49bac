"""The core: who may call, what logins do, and what every answer carries."""

from __future__ import annotations

import attrs

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.request import Request
from tbtwist.auth.cookie import decode
from tbtwist.config.schema import Compat, Settings, Toolbox
from tests.api.core import (
    NOW,
    OPEN,
    SIGNER,
    Core,
    CoreTestCase,
    cookie_of,
)


class AccessTests(CoreTestCase):
    """Who may call."""

    def test_nobody(self) -> None:
        """Without a session, a closed function is 401."""
        answer = self.core.get("/api/Closed/mine")
        self.assertEqual((answer.status, answer.json["error"]), (401, "Unauthorized"))

    def test_somebody(self) -> None:
        """With a session it answers, and a higher level is 403."""
        cookie = cookie_of()
        self.assertEqual(self.core.get("/api/Closed/mine", cookie=cookie).data, "yours")
        answer = self.core.get("/api/Closed/trusted", cookie=cookie)
        self.assertEqual((answer.status, answer.json["error"]), (403, "Forbidden"))
        admin = cookie_of(level=-1)
        self.assertEqual(self.core.get("/api/Closed/trusted", cookie=admin).status, 200)

    def test_forged_cookie(self) -> None:
        """A cookie that we did not sign is nobody's."""
        forged = cookie_of()[:-2] + "xx"
        self.assertEqual(self.core.get("/api/Closed/mine", cookie=forged).status, 401)

    def test_hidden(self) -> None:
        """A function with api=False looks like one that does not exist."""
        hidden = self.core.get("/api/Open/hidden", cookie=cookie_of(-1))
        self.assertEqual(hidden.status, 404)
        self.assertEqual(
            hidden.body.replace(b"hidden", b"nope"),
            self.core.get("/api/Open/nope").body,
        )

    def test_methods(self) -> None:
        """A function answers only to its methods."""
        self.assertEqual(self.core.ask("PUT", "/api/Open/only/put").data, "put")
        answer = self.core.get("/api/Open/only/put")
        self.assertEqual((answer.status, answer.header("Allow")), (405, "PUT"))

    def test_legacy(self) -> None:
        """compat.legacy_access lets anybody known call everything."""
        settings = Settings(toolbox=Toolbox(), compat=Compat(legacy_access=True))
        core = self.core_with(settings)
        self.assertEqual(core.get("/api/Closed/trusted").status, 401)
        cookie = cookie_of()
        self.assertEqual(core.get("/api/Closed/trusted", cookie=cookie).data, "yours")


class SessionTests(CoreTestCase):
    """Logging in and out."""

    def test_login_sets_the_cookie(self) -> None:
        """A function that logs somebody in sends the cookie that proves it."""
        answer = self.core.post_json("/api/Open/login", {"user": "u5"})
        header = answer.header("Set-Cookie") or ""
        value = header.split(";", maxsplit=1)[0].removeprefix("tb_session=")
        session = decode(value, signer=SIGNER, now=NOW)
        assert session is not None
        self.assertEqual((session.user_id, session.level), ("u5", 2))
        self.assertEqual(session.exp, NOW + OPEN.session.cookie_max_age)
        self.assertEqual(session.extra["client_ip"], "192.0.2.7")
        cookie = f"tb_session={value}"
        self.assertEqual(
            self.core.get("/api/Closed/trusted", cookie=cookie).status, 200
        )
        self.assertEqual(
            self.core.get("/api/Open/who", cookie=cookie).data["user"], "u5"
        )

    def test_logout_clears_it(self) -> None:
        """A function that logs somebody out makes the browser forget."""
        answer = self.core.get("/api/Open/logout", cookie=cookie_of())
        self.assertEqual(answer.header("Set-Cookie"), "tb_session=; Max-Age=0; Path=/")

    def test_other_calls_set_nothing(self) -> None:
        """A call that changes nothing sends no cookie, to nobody and to somebody."""
        self.assertIsNone(self.core.get("/api/Open/who").header("Set-Cookie"))
        known = self.core.get("/api/Open/who", cookie=cookie_of())
        self.assertIsNone(known.header("Set-Cookie"))
        self.assertTrue(known.data["known"])


class HeaderTests(CoreTestCase):
    """What every answer carries."""

    def test_request_id(self) -> None:
        """A valid request id is repeated; otherwise one is made."""
        given = self.core.get("/api/ping", x_request_id="abc-1")
        self.assertEqual(given.header("X-Request-ID"), "abc-1")
        for bad in ("a b", "x" * 65, "a\r\nb", "é"):
            made = self.core.get("/api/nope", x_request_id=bad)
            self.assertEqual(made.header("X-Request-ID"), "ab" * 8)

    def test_preflight_needs_nobody(self) -> None:
        """OPTIONS is 204 without looking at sessions."""
        origin = {"origin": "http://localhost:3000"}
        answer = self.core.ask("OPTIONS", "/api/Closed/mine", headers=origin)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(
            answer.header("Access-Control-Allow-Origin"), "http://localhost:3000"
        )

    def test_methods_of_a_resource(self) -> None:
        """OPTIONS says which methods there are, as 405 does, and no more than that."""

        @self.app.tb(mod_name="Open", name="secret", api=False, api_methods=["PUT"])
        async def secret() -> None: ...

        every = "DELETE, GET, PATCH, POST, PUT, OPTIONS"
        for path, allow in {
            "/api/Open/only/put": "PUT, OPTIONS",
            "/api/Open/add": every,
            "/api/Open/secret": every,
            "/api/Open/nope": every,
            "/api/Open": every,
            "/elsewhere": every,
            "/health": "GET, HEAD, OPTIONS",
            "/api/client-logs": "POST, OPTIONS",
        }.items():
            answer = self.core.ask("OPTIONS", path)
            self.assertEqual((answer.status, answer.header("Allow")), (204, allow))

    def test_failures_can_be_read_across_origins(self) -> None:
        """A page that may read answers may read failures, too."""
        answer = self.core.get("/api/Open/nope", origin="http://localhost")
        self.assertEqual(
            answer.header("Access-Control-Allow-Origin"), "http://localhost"
        )
        self.assertEqual(answer.header("Vary"), "Origin")

    def test_refusals_before_the_body(self) -> None:
        """A request that could not be read is answered with the same headers."""
        request = Request("POST", "/api/Open/add", headers={"x-request-id": "r1"})
        dispatcher = self.core.dispatcher
        response = dispatcher.refuse(request, ValueError("inside"))
        self.assertEqual(response.status, 500)
        self.assertIn(("X-Request-ID", "r1"), response.headers)


class OwnershipTests(CoreTestCase):
    """What a server in front needs to know."""

    def test_owns(self) -> None:
        """The configured prefix decides, and rules can be replaced in tests."""
        toolbox = Toolbox(api_prefix="/rpc", open_modules=("Open",))
        core = self.core_with(Settings(toolbox=toolbox))
        self.assertTrue(core.dispatcher.owns("/rpc/Open/add"))
        self.assertEqual(core.get("/rpc/Open/add?a=1").data, 2)
        self.assertFalse(core.dispatcher.owns("/api/Open/add"))

    def test_default_randomness(self) -> None:
        """Without a source of randomness in tests, ids differ."""
        dispatcher = Dispatcher(
            **{
                field.name: getattr(self.core.dispatcher, field.name)
                for field in attrs.fields(Dispatcher)
                if field.init and field.name != "random"
            }
        )
        core = Core(dispatcher)
        first, second = (core.get("/health").header("X-Request-ID") for _ in "ab")
        self.assertNotEqual(first, second)
