"""Who a request comes from, through the whole core, and the application's last word."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.request import Request
from tbtwist.api.verifying import CACHE_ENTRIES, CACHE_S, Keys, NoKeys, TokenVerifier
from tbtwist.apps.registry import App
from tbtwist.apps.request import AppSession, Headers, RequestData, RequestInfo
from tbtwist.apps.result import Result
from tbtwist.apps.runner import LoopRunner
from tbtwist.auth.cookie import SessionCookies, decode
from tbtwist.auth.identity import BadCredentials, Identifier, Identity
from tbtwist.auth.jwks import read_keys
from tbtwist.auth.revocation import MemoryRevoker
from tbtwist.auth.tokens import PublicKey
from tbtwist.config.schema import Auth, Settings, Toolbox
from tbtwist.errors import KeysUnavailable
from tests.api.core import NOW, OPEN, SIGNER, Answer, Core, make_dispatcher
from tests.api.sample import sample_app
from tests.auth.tokens import RULES, issued, key_set, shared

KEY = "a long random key"
AUTH = Auth(api_keys={"ci": hashlib.sha256(KEY.encode()).hexdigest()})


class IssuerKeys:
    """The keys of `key_set`, or a reason why there are none."""

    unavailable = False

    async def key(self, kid: str) -> PublicKey | None:
        """Look one up."""
        if self.unavailable:
            raise KeysUnavailable(reason="away")
        return read_keys(key_set()).get(kid)


class CoreCase(SynchronousTestCase):
    """A core that identifies as an http worker does."""

    def setUp(self) -> None:
        """Make an application and a core around it."""
        self.app = sample_app()
        self.addCleanup(self.app.pool.stop, lambda: None)
        self.now = NOW
        self.keys: Keys = NoKeys()

    @property
    def verifier(self) -> TokenVerifier:
        """The verifier, which remembers; made when it is first asked for."""
        if not hasattr(self, "_verifier"):
            self._verifier = TokenVerifier(
                self.app, LoopRunner(), Toolbox(), RULES, self.keys, lambda: self.now
            )
        return self._verifier

    @property
    def core(self) -> Core:
        """The core; made when it is first asked for."""
        if not hasattr(self, "_core"):
            self._core = Core(self.dispatcher())
        return self._core

    def dispatcher(self) -> Dispatcher:
        """Return a dispatcher with the whole identification."""
        settings = Settings(toolbox=OPEN.toolbox, auth=AUTH)
        cookies = SessionCookies(SIGNER, settings.session, False)
        self.revoker = MemoryRevoker(lambda: self.now)
        identifier = Identifier.of(
            cookies, self.revoker, self.verifier.verify, AUTH, bytes
        )
        basis = make_dispatcher(self.app, settings)
        fields = {
            name: getattr(basis, name)
            for name in ("app", "runner", "rules", "settings", "health")
        }
        return Dispatcher(
            **fields, cookies=cookies, now=lambda: self.now, identifier=identifier
        )

    def who(self, **headers: str) -> str:
        """Return the user that a function sees, or the status of the refusal."""
        answer = self.core.get("/api/Open/caller", **headers)
        return str(answer.data if answer.status == 200 else answer.status)

    def enter(self, **headers: str) -> str:
        """Log in and return the Cookie header that a browser sends then."""
        return self.cookie(self.core.get("/api/Open/come", **headers))

    def cookie(self, answer: Answer) -> str:
        """Return the Cookie header after an answer."""
        value = answer.header("Set-Cookie")
        assert value is not None
        return value.partition(";")[0]


def accounts(app: App) -> None:
    """Give an application functions about sessions."""

    @app.tb(mod_name="Open", name="caller", request_as_kwarg=True)
    def who(request: RequestData) -> str:
        return request.session.user_id or "nobody"

    @app.tb(mod_name="Open", name="come", request_as_kwarg=True)
    def enter(request: RequestData, user_id: str = "ann", level: int = 1) -> str:
        request.session.login(user_id=user_id, user_name="Ann", level=level)
        return request.session_id

    @app.tb(mod_name="Open", name="go", request_as_kwarg=True)
    def leave(request: RequestData) -> None:
        request.session.logout()


class OrderTests(CoreCase):
    """API key, Bearer, cookie, nobody."""

    def setUp(self) -> None:
        """Add functions about sessions."""
        super().setUp()
        accounts(self.app)

    def test_order(self) -> None:
        """Each kind of proof counts, the earlier before the later."""
        cookie = self.enter()
        bearer = f"Bearer {shared(user_id='tok')}"
        self.assertEqual(self.who(), "nobody")
        self.assertEqual(self.who(cookie=cookie), "ann")
        self.assertEqual(self.who(cookie=cookie, authorization=bearer), "tok")
        found = self.who(cookie=cookie, authorization=bearer, x_api_key=KEY)
        self.assertEqual(found, "api_key:ci")

    def test_no_fall_through(self) -> None:
        """A bad API key or Bearer token is 401, also with a good cookie, also for open functions."""
        cookie = self.enter()
        bearer = f"Bearer {shared()}"
        for headers in (
            {"x_api_key": "guess", "authorization": bearer},
            {"x_api_key": ""},
            {"authorization": f"Bearer {shared(exp=NOW - 60)}"},
            {"authorization": f"Bearer {shared(b'x' * 64)}"},
            {"authorization": "Bearer "},
            {"authorization": "bearer x, Bearer y"},
        ):
            self.assertEqual(self.who(cookie=cookie, **headers), "401", headers)

    def test_refusal(self) -> None:
        """The refusal says what is wrong, in our envelope and in HTTP's words."""
        answer = self.core.get("/api/Open/caller", authorization="Bearer x")
        self.assertEqual(answer.json["error"], "Unauthorized")
        self.assertEqual(answer.json["message"], "the token is not recognised")
        self.assertEqual(
            answer.header("WWW-Authenticate"), 'Bearer error="invalid_token"'
        )

    def test_other_schemes(self) -> None:
        """Basic authentication of a proxy in front does not get in the way."""
        self.assertEqual(self.who(authorization="Basic YTpi"), "nobody")

    def test_levels(self) -> None:
        """A token's level opens what it may, and nothing else."""
        for level, status in ((1, 403), (2, 200), (-1, 200)):
            bearer = f"Bearer {shared(level=level)}"
            answer = self.core.get("/api/Closed/trusted", authorization=bearer)
            self.assertEqual(answer.status, status, level)


class UnconfiguredTests(SynchronousTestCase):
    """Without API keys, their header is the application's."""

    def test_ignored(self) -> None:
        """A key header is not looked at where no key is configured."""
        app = sample_app()
        self.addCleanup(app.pool.stop, lambda: None)
        answer = Core(make_dispatcher(app)).get("/api/Open/plain", x_api_key="mine")
        self.assertEqual(answer.status, 200)


class LogoutTests(CoreCase):
    """Sessions begin and end."""

    def setUp(self) -> None:
        """Add functions about sessions."""
        super().setUp()
        accounts(self.app)

    def test_logout(self) -> None:
        """After a logout the old cookie is nobody's, and closed functions are 401."""
        cookie = self.enter()
        self.assertEqual(self.core.get("/api/Closed/mine", cookie=cookie).status, 200)
        answer = self.core.get("/api/Open/go", cookie=cookie)
        self.assertEqual(answer.header("Set-Cookie"), "tb_session=; Max-Age=0; Path=/")
        self.assertEqual(self.who(cookie=cookie), "nobody")
        self.assertEqual(self.core.get("/api/Closed/mine", cookie=cookie).status, 401)

    def test_logout_with_a_token(self) -> None:
        """A Bearer token can be logged out too, and then is 401; its twin cookie goes along."""
        cookie = self.enter()
        bearer = f"Bearer {shared(user_id='tok')}"
        self.core.get("/api/Open/go", cookie=cookie, authorization=bearer)
        self.assertEqual(self.who(authorization=bearer), "401")
        self.assertEqual(self.who(cookie=cookie), "nobody")
        other = f"Bearer {shared(user_id='tok', jti='j-2')}"
        self.assertEqual(self.who(authorization=other), "tok")

    def test_other_sessions_stay(self) -> None:
        """Logging out on one device leaves the others alone."""
        first, second = self.enter(), self.enter()
        self.core.get("/api/Open/go", cookie=first)
        self.assertEqual(self.who(cookie=second), "ann")

    def test_no_fixation(self) -> None:
        """A login gets a new session id, and ends the session that it replaces."""
        first = self.enter()
        second = self.enter(cookie=first)
        sessions = [
            decode(cookie.partition("=")[2], signer=SIGNER, now=NOW)
            for cookie in (first, second)
        ]
        ids = {session.session_id for session in sessions if session is not None}
        self.assertEqual(len(ids), 2)
        self.assertEqual(self.who(cookie=first), "nobody")
        self.assertEqual(self.who(cookie=second), "ann")

    def test_every_cookie_ends(self) -> None:
        """A login's cookie has an end, and a beginning for those who revoke."""
        session = decode(self.enter().partition("=")[2], signer=SIGNER, now=NOW)
        assert session is not None
        self.assertEqual((session.exp, session.issued_at), (NOW + 604_800, NOW))

    def test_anonymous_logout(self) -> None:
        """Nobody can log out as often as they like without filling our memory."""
        self.core.get("/api/Open/go")
        self.assertEqual(self.revoker.version, 0)

    def test_cookie_of_a_token(self) -> None:
        """A cookie for a token ends with the token, and goes with it when it is revoked."""
        token = shared(user_id="tok")
        made = self.core.ask(
            "POST", "/validateSession", headers={"authorization": f"Bearer {token}"}
        )
        cookie = self.cookie(made)
        session = decode(cookie.partition("=")[2], signer=SIGNER, now=NOW)
        assert session is not None
        self.assertEqual(session.exp, NOW + 890)
        self.core.get("/api/Open/go", cookie=cookie)
        self.assertEqual(self.who(authorization=f"Bearer {token}"), "401")


class IssuerTests(CoreCase):
    """Tokens of an issuer with public keys."""

    def setUp(self) -> None:
        """Know the issuer's keys."""
        super().setUp()
        accounts(self.app)
        self.keys = self.issuer = IssuerKeys()

    def test_known(self) -> None:
        """Its users are users."""
        for token in (issued(), issued("k-ec", "ES256")):
            self.assertEqual(self.who(authorization=f"Bearer {token}"), "u1")

    def test_unknown_key(self) -> None:
        """A token under a key that the issuer does not have is refused."""
        for kid in ("k-other", None, ""):
            self.assertEqual(self.who(authorization=f"Bearer {issued(kid)}"), "401")

    def test_away(self) -> None:
        """If nobody can say, it is 503 with Retry-After and not 401."""
        self.issuer.unavailable = True
        answer = self.core.get("/api/Open/caller", authorization=f"Bearer {issued()}")
        self.assertEqual((answer.status, answer.header("Retry-After")), (503, "1"))
        self.assertEqual(self.who(authorization=f"Bearer {shared()}"), "u1")


class LastWordTests(CoreCase):
    """CloudM.Auth.validate_session decides where the application has it (R2.4)."""

    def setUp(self) -> None:
        """Let the application answer as the test says, and count."""
        super().setUp()
        accounts(self.app)
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

        @self.app.tb(mod_name="CloudM.Auth", name="validate_session", api=True)
        async def validate_session(token: str = "", session_token: str = "") -> Any:
            self.asked.append(token)
            self.assertEqual(token, session_token)
            answer = self.answers.get(token, {"authenticated": False})
            if isinstance(answer, Exception):
                raise answer
            return answer

    def verified(self, token: str) -> Identity | BadCredentials:
        """Return what the verifier says."""
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(self.verifier.verify(token))

    def yes(self, **facts: Any) -> Mapping[str, Any]:
        """Return the reply of CloudM.Auth to a good token."""
        basis = {"authenticated": True, "user_id": "u1", "user_name": "Ann", "level": 1}
        return {**basis, "email": "", "provider": "", "settings": {}, **facts}

    def test_no(self) -> None:
        """A token that we believe is refused where the application refuses it."""
        self.assertEqual(self.who(authorization=f"Bearer {shared()}"), "401")

    def test_yes(self) -> None:
        """The application says who it is, and of which level."""
        token = shared(level=1)
        self.answers[token] = self.yes(user_id="u5", user_name="Jo", level=-1)
        found = self.verified(token)
        assert isinstance(found, Identity)
        session = found.session
        self.assertEqual((session.user_id, session.user_name), ("u5", "Jo"))
        self.assertEqual((session.level, session.exp), (-1, NOW + 890))
        self.assertEqual(session.session_id, "j-1")

    def test_older_shape(self) -> None:
        """``valid`` and ``username`` count as well, also in a Result."""
        token = shared()
        self.answers[token] = Result.ok({"valid": True, "username": "Jo"})
        found = self.verified(token)
        assert isinstance(found, Identity)
        self.assertEqual(found.session.user_id, "u1")
        self.assertEqual(found.session.user_name, "Jo")

    def test_foreign_tokens(self) -> None:
        """Tokens that nobody here recognises are the application's to judge, and end."""
        opaque, jwt = "opaque-token", shared(b"x" * 64)
        for token, end in ((opaque, NOW + 900), (jwt, NOW + 890)):
            self.answers[token] = self.yes()
            found = self.verified(token)
            assert isinstance(found, Identity)
            self.assertEqual(found.session.exp, end)
            self.assertTrue(found.authenticated(NOW))

    def test_nothing_helps_a_bad_token(self) -> None:
        """An expired token of ours, a refresh token, an unsigned one: nobody is asked."""
        for token in (
            shared(exp=NOW - 60),
            shared(type="refresh"),
            "eyJhbGciOiJub25lIn0.e30.AAAA",
            "x" * 9000,
            "",
        ):
            self.answers[token] = self.yes()
            self.assertIsInstance(self.verified(token), BadCredentials)
        self.assertEqual(self.asked, [])

    def test_strange_replies(self) -> None:
        """What is not a clear yes is a no."""
        for number, reply in enumerate(
            (
                None,
                "yes",
                [True],
                {},
                {"authenticated": "true"},
                {"authenticated": 1},
                self.yes(level=7),
                self.yes(level=True),
                self.yes(level=0),
                self.yes(level="admin"),
                Result.default_user_error("Invalid"),
                Result.default_internal_error("x"),
            )
        ):
            token = shared(jti=str(number))
            self.answers[token] = reply
            self.assertIsInstance(self.verified(token), BadCredentials, reply)
        nobody = "opaque"
        self.answers[nobody] = self.yes(user_id="")
        self.assertIsInstance(self.verified(nobody), BadCredentials)

    def test_it_raises(self) -> None:
        """An exception in the application is logged and is a no."""
        token = shared()
        self.answers[token] = ZeroDivisionError("secret detail")
        answer = self.core.get("/api/Open/caller", authorization=f"Bearer {token}")
        self.assertEqual(answer.status, 401)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_remembered(self) -> None:
        """A yes is believed for a few seconds, a no never."""
        token = shared()
        self.answers[token] = self.yes()
        for _ in range(3):
            self.assertIsInstance(self.verified(token), Identity)
        self.assertEqual(len(self.asked), 1)
        self.now += CACHE_S
        self.answers[token] = {"authenticated": False}
        for _ in range(2):
            self.assertIsInstance(self.verified(token), BadCredentials)
        self.assertEqual(len(self.asked), 3)

    def test_what_is_remembered_is_the_whole_token(self) -> None:
        """A yes to one token is no yes to one that differs in its signature alone."""
        token = shared(b"x" * 64)
        self.answers[token] = self.yes()
        self.assertIsInstance(self.verified(token), Identity)
        forged = token.rpartition(".")[0] + "." + "A" * 43
        self.assertIsInstance(self.verified(forged), BadCredentials)

    def test_memory_is_bounded(self) -> None:
        """Many good tokens do not fill the memory."""
        for number in range(CACHE_ENTRIES + 20):
            token = f"opaque-{number}"
            self.answers[token] = self.yes()
            self.verified(token)
        self.assertEqual(len(self.verifier._cache), CACHE_ENTRIES)

    def test_revoked(self) -> None:
        """A logout counts although the application still says yes."""
        token = shared()
        self.answers[token] = self.yes()
        bearer = f"Bearer {token}"
        self.assertEqual(self.who(authorization=bearer), "u1")
        self.core.get("/api/Open/go", authorization=bearer)
        self.assertEqual(self.who(authorization=bearer), "401")

    def test_cookies_are_not_asked_about(self) -> None:
        """A cookie is proven by its signature alone."""
        self.who(cookie=self.enter())
        self.assertEqual(self.asked, [])


class ReprTests(SynchronousTestCase):
    """What a traceback or a debug line may show."""

    def test_no_credentials(self) -> None:
        """Identities show neither session ids nor what an application stored."""
        token = shared()
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            verifier = TokenVerifier(
                App(), LoopRunner(), Toolbox(), RULES, NoKeys(), lambda: NOW
            )
            found = runner.run(verifier.verify(token))
        for shown in (repr(found), repr(attrs.evolve(RULES)), repr(verifier)):
            self.assertNotIn("j-1", shown)
            self.assertNotIn("tttt", shown)
            self.assertNotIn(token, shown)

    def test_no_requests(self) -> None:
        """Nor do requests, in the core and as functions see them."""
        headers = {"authorization": "Bearer hunter2", "cookie": "tb_session=hunter2"}
        request = Request("GET", "/api/Open/caller", "token=hunter2", headers)
        info = RequestInfo(headers=Headers(headers), query_params={"token": "hunter2"})
        session = AppSession(session_id="hunter2", extra={"x": "hunter2"})
        data = RequestData(info, session, "hunter2")
        for shown in (repr(request), repr(data), repr(session)):
            self.assertNotIn("hunter2", shown)
