"""Fetching key sets: over TLS, from whom we mean, and within bounds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any

import trustme
from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from twisted.internet import reactor  # noqa: TID251 - real sockets
from twisted.internet.defer import Deferred, TimeoutError as DeferredTimeout
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived

from tbtwist.errors import KeysUnavailable
from tbtwist.net import keysets
from tbtwist.net.keysets import KeySetFetcher, https_policy
from tests.auth.tokens import key_set
from tests.net.issuer import Issuer, write_authority

REACTOR: Any = reactor


class FetchTests(TestCase):
    """A local TLS server with an authority of its own."""

    timeout = 30

    def setUp(self) -> None:
        """Start a server whose certificate is for localhost."""
        self.folder = Path(tempfile.mkdtemp(prefix="tb-"))
        self.addCleanup(rmtree, self.folder)
        self.authority = trustme.CA()
        self.issuer = self.start("localhost")
        self.issuer.document.body = key_set()

    def start(self, host: str) -> Issuer:
        """Start a server."""
        issuer = Issuer(REACTOR, self.authority, host)
        self.addCleanup(issuer.stop)
        return issuer

    def fetcher(
        self, url: str, bearer: str = "", authority: trustme.CA | None = None
    ) -> KeySetFetcher:
        """Return what fetches, trusting the test's authority or another."""
        trusted = authority or self.authority
        path = write_authority(trusted, self.folder / "ca.pem")
        return KeySetFetcher(REACTOR, url, bearer, https_policy(path))

    async def fails(self, fetcher: KeySetFetcher) -> Exception:
        """Return why a fetch failed."""
        try:
            await fetcher()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error
        msg = "it did not fail"
        raise AssertionError(msg)

    def test_good(self) -> Deferred[None]:
        """The key set comes, and its issuer sees the secret key that it asks for."""

        async def check() -> None:
            body = await self.fetcher(self.issuer.url(), "hunter2")()
            self.assertEqual(body, key_set())
            [asked] = self.issuer.document.asked
            self.assertEqual(asked[b"Authorization"], [b"Bearer hunter2"])

        return Deferred.fromCoroutine(check())

    def test_without_a_secret(self) -> Deferred[None]:
        """An issuer that needs none gets no Authorization header."""

        async def check() -> None:
            await self.fetcher(self.issuer.url())()
            [asked] = self.issuer.document.asked
            self.assertNotIn(b"Authorization", asked)

        return Deferred.fromCoroutine(check())

    def test_wrong_host(self) -> Deferred[None]:
        """A certificate for another host is refused, and nothing is asked there."""
        other = self.start("issuer.example")

        async def check() -> None:
            error = await self.fails(self.fetcher(other.url(), "hunter2"))
            self.assertIsInstance(error, ResponseNeverReceived)
            [reason] = error.args[0]
            self.assertIsInstance(reason.value, VerificationError)
            self.assertEqual(other.document.asked, [])

        return Deferred.fromCoroutine(check())

    def test_unknown_authority(self) -> Deferred[None]:
        """A certificate of an authority that we do not know is refused."""

        async def check() -> None:
            fetcher = self.fetcher(self.issuer.url(), "hunter2", trustme.CA())
            error = await self.fails(fetcher)
            self.assertIsInstance(error, ResponseNeverReceived)
            [reason] = error.args[0]
            self.assertIsInstance(reason.value, TlsError)
            self.assertEqual(self.issuer.document.asked, [])

        return Deferred.fromCoroutine(check())

    def test_system_authorities(self) -> Deferred[None]:
        """Without a file the system's authorities count, and ours is none of them."""

        async def check() -> None:
            fetcher = KeySetFetcher(REACTOR, self.issuer.url(), "", https_policy(None))
            error = await self.fails(fetcher)
            self.assertIsInstance(error, ResponseNeverReceived)
            self.assertEqual(self.issuer.document.asked, [])

        return Deferred.fromCoroutine(check())

    def test_plain_http(self) -> Deferred[None]:
        """Without TLS nothing is asked at all."""

        async def check() -> None:
            for url in (self.issuer.url(scheme="http"), "ftp://localhost/", ""):
                error = await self.fails(self.fetcher(url))
                self.assertIsInstance(error, KeysUnavailable)
            self.assertEqual(self.issuer.document.asked, [])

        return Deferred.fromCoroutine(check())

    def test_redirect(self) -> Deferred[None]:
        """A redirect is not followed: who may say where keys are, is configured."""
        document = self.issuer.document
        document.status, document.location = 302, b"https://localhost/other"

        async def check() -> None:
            error = await self.fails(self.fetcher(self.issuer.url(), "hunter2"))
            self.assertIsInstance(error, KeysUnavailable)
            self.assertIn("302", str(error))
            self.assertEqual(len(document.asked), 1)

        return Deferred.fromCoroutine(check())

    def test_refusal(self) -> Deferred[None]:
        """Another status than 200 is no key set, whatever its body is."""
        self.issuer.document.status = 401

        async def check() -> None:
            error = await self.fails(self.fetcher(self.issuer.url()))
            self.assertEqual(
                str(error),
                "The token issuer's public keys cannot be fetched: the answer was 401.",
            )

        return Deferred.fromCoroutine(check())

    def test_too_long(self) -> Deferred[None]:
        """An answer that does not end is cut off at a megabyte."""
        document = self.issuer.document
        document.body, document.unending = b"x" * (keysets.MAX_BYTES + 1), True

        async def check() -> None:
            error = await self.fails(self.fetcher(self.issuer.url()))
            self.assertIsInstance(error, KeysUnavailable)
            self.assertIn("too long", str(error))

        return Deferred.fromCoroutine(check())

    def test_slow(self) -> Deferred[None]:
        """An issuer that does not answer, or not to the end, is given up in time."""
        self.patch(keysets, "TIMEOUT_S", 0.2)

        async def check() -> None:
            for silent, unending in ((True, False), (False, True)):
                self.issuer.document.silent = silent
                self.issuer.document.unending = unending
                error = await self.fails(self.fetcher(self.issuer.url()))
                self.assertIsInstance(error, DeferredTimeout | ResponseNeverReceived)

        return Deferred.fromCoroutine(check())


class PolicyTests(SynchronousTestCase):
    """Whom we trust."""

    def test_bad_files(self) -> None:
        """A file that cannot be read, or has no certificate, is an error at the start."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "empty.pem").write_text("nothing")
        (folder / "bad.pem").write_text(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
        for name in ("missing.pem", "empty.pem", "bad.pem"):
            error = self.assertRaises(KeysUnavailable, https_policy, folder / name)
            self.assertIn(name, str(error))

    def test_several(self) -> None:
        """A file may have several authorities."""
        path = Path(self.mktemp())
        both = [trustme.CA().cert_pem.bytes() for _ in range(2)]
        path.write_bytes(b"\n".join(both))
        https_policy(path)

    def test_shows_no_secret(self) -> None:
        """A fetcher in a traceback does not show the secret key."""
        fetcher = KeySetFetcher(Clock(), "https://x/", "hunter2", https_policy(None))
        self.assertNotIn("hunter2", repr(fetcher))
