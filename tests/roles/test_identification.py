"""Identification between workers: a ws worker asks an http worker about tokens."""

from __future__ import annotations

import trustme
from twisted.internet.defer import Deferred
from twisted.web.client import ResponseNeverReceived

from tbtwist.apps.registry import App
from tbtwist.apps.runner import ReactorRunner
from tbtwist.auth.identity import BadCredentials, Found, Identifier, Identity
from tbtwist.auth.revocation import Revoker
from tbtwist.config.schema import Auth, Settings
from tbtwist.errors import CallRefused, KeysUnavailable, SecretUnusable, TbtwistError
from tbtwist.roles.identification import HttpIdentification, ws_identifier
from tbtwist.roles.sessions import Sessions
from tests.auth.tokens import SECRET, issued, key_set, shared
from tests.net.issuer import Issuer, write_authority
from tests.roles.processes import START, ProcessCase, reactor

SETTINGS = Settings(auth=Auth(jwt_secret=SECRET.decode()))


class AskingCase(ProcessCase):
    """One http worker and one ws worker on a bus."""

    async def ws_worker(self, settings: Settings = SETTINGS) -> Identifier:
        """Start both and return what the ws worker identifies with."""
        http, ws = self.process("http-1", settings), self.process("ws-1", settings)
        bus = self.bus(http)
        self.runner = ReactorRunner(reactor)
        self.addCleanup(self.runner.stopService)
        self.app = App()
        self.addCleanup(self.app.pool.stop, lambda: None)
        identification = HttpIdentification(
            http, self.loaded(http, bus), self.app, self.runner
        )
        self.addCleanup(identification.close)
        identification.serve(bus)
        await bus.connect()
        bus.announce(ready=True)
        other = self.bus(ws)
        await other.connect()
        self.sessions = self.loaded(ws, other)
        return ws_identifier(ws, self.sessions, other)

    def loaded(self, process: object, bus: object) -> Sessions:
        """Return a worker's sessions."""
        sessions = Sessions(process, bus)  # type: ignore[arg-type]
        sessions.load()
        sessions.start()
        self.addCleanup(sessions.stop)
        return sessions

    async def ask(self, identifier: Identifier, token: str) -> Found:
        """Return whose a Bearer token is."""
        return await identifier.identify({"authorization": f"Bearer {token}"}, START)


class AskingTests(AskingCase):
    """Tokens under our secret."""

    def test_good(self) -> Deferred[None]:
        """The ws worker learns who it is, until when, and with which leeway."""

        async def check() -> None:
            identifier = await self.ws_worker()
            found = await self.ask(identifier, shared(level=2, user_id="ü"))
            assert isinstance(found, Identity)
            session = found.session
            self.assertEqual((session.user_id, session.level), ("ü", 2))
            self.assertEqual((session.exp, found.ends_at), (START + 890, START + 920))
            self.assertEqual(session.issued_at, START - 10)

        return Deferred.fromCoroutine(check())

    def test_bad(self) -> Deferred[None]:
        """A bad token is refused, with the reason."""

        async def check() -> None:
            identifier = await self.ws_worker()
            for token, reason in (
                (shared(b"x" * 64), "the token is not recognised"),
                (shared(exp=START - 60), "the token has expired"),
                ("", "the token is not recognised"),
            ):
                found = await self.ask(identifier, token)
                self.assertEqual(found, BadCredentials(reason))

        return Deferred.fromCoroutine(check())

    def test_revoked(self) -> Deferred[None]:
        """A token that was logged out opens no WebSocket either."""

        async def check() -> None:
            identifier = await self.ws_worker()
            found = await self.ask(identifier, shared())
            assert isinstance(found, Identity)
            revoker: Revoker = self.sessions
            await revoker.revoke(found.session)
            found = await self.ask(identifier, shared())
            self.assertEqual(found, BadCredentials("the session has ended"))

        return Deferred.fromCoroutine(check())

    def test_last_word(self) -> Deferred[None]:
        """The application's validate_session counts on WebSockets, too."""

        async def check() -> None:
            identifier = await self.ws_worker()

            @self.app.tb(mod_name="CloudM.Auth", name="validate_session")
            async def validate_session(token: str) -> dict[str, object]:
                return {"authenticated": token == "opaque", "user_id": "u7"}

            found = await self.ask(identifier, "opaque")
            assert isinstance(found, Identity)
            self.assertEqual(found.session.user_id, "u7")
            self.assertIsInstance(await self.ask(identifier, shared()), BadCredentials)

        return Deferred.fromCoroutine(check())

    def test_nobody_there(self) -> Deferred[None]:
        """Without an http worker nobody can say: that is an error, and not a no."""

        async def check() -> None:
            ws = self.process("ws-1")
            bus = self.bus(ws)
            await bus.connect()
            identifier = ws_identifier(ws, self.loaded(ws, bus), bus)
            try:
                await self.ask(identifier, shared())
            except TbtwistError as error:
                self.assertNotIn(shared(), str(error))
            else:
                self.fail("somebody answered")

        return Deferred.fromCoroutine(check())


class IssuerTests(AskingCase):
    """An issuer whose keys are fetched over TLS."""

    def settings_for(self, issuer: Issuer, authority: trustme.CA) -> Settings:
        """Return the settings that name an issuer."""
        ca_file = write_authority(authority, self.data_dir / "ca.pem")
        url = issuer.url()
        return Settings(auth=Auth(jwks_url=url, jwks_ca_file=str(ca_file)))

    def issuer(self, authority: trustme.CA) -> Issuer:
        """Start an issuer."""
        issuer = Issuer(reactor, authority, "localhost")
        issuer.document.body = key_set()
        self.addCleanup(issuer.stop)
        return issuer

    def test_token_of_an_issuer(self) -> Deferred[None]:
        """Its tokens count, and its keys are fetched once for many of them."""
        authority = trustme.CA()
        issuer = self.issuer(authority)

        async def check() -> None:
            settings = self.settings_for(issuer, authority)
            identifier = await self.ws_worker(settings)
            for token in (issued(), issued("k-ec", "ES256"), issued()):
                found = await self.ask(identifier, token)
                assert isinstance(found, Identity)
                self.assertEqual(found.session.user_id, "u1")
            self.assertEqual(len(issuer.document.asked), 1)

        return Deferred.fromCoroutine(check())

    def test_issuer_not_trusted(self) -> Deferred[None]:
        """If the issuer's certificate is not good, nobody can say."""
        issuer = self.issuer(trustme.CA())

        async def check() -> None:
            identifier = await self.ws_worker(self.settings_for(issuer, trustme.CA()))
            try:
                await self.ask(identifier, issued())
            except CallRefused as error:
                self.assertNotIn(issued(), str(error))
            else:
                self.fail("somebody answered")
            self.assertEqual(issuer.document.asked, [])
            self.assertEqual(len(self.flushLoggedErrors(ResponseNeverReceived)), 1)

        return Deferred.fromCoroutine(check())


class ConfigurationTests(ProcessCase):
    """What does not start."""

    def identification(self, auth: Auth) -> HttpIdentification:
        """Make an identification of these settings."""
        process = self.process("http-1", Settings(auth=auth))
        sessions = Sessions(process, self.bus(process))
        sessions.load()
        runner = ReactorRunner(reactor)
        return HttpIdentification(process, sessions, App(), runner)

    def test_bad(self) -> None:
        """A short token secret, or a file that is no certificate, is an error at the start."""
        url = "https://issuer.example/"
        missing = str(self.data_dir / "missing.pem")
        for auth, error in (
            (Auth(jwt_secret="short"), SecretUnusable),
            (Auth(jwks_url=url, jwks_ca_file=missing), KeysUnavailable),
        ):
            self.assertRaises(error, self.identification, auth)

    def test_clerk(self) -> None:
        """Clerk's secret key alone is enough to know where its keys are."""
        self.identification(Auth(clerk_secret_key="sk_test_1")).close()
