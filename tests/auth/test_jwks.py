"""Key sets: which keys are usable, and when they are fetched."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, strategies as st
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.jwks import (
    CLERK_URL,
    COOL_DOWN_S,
    FRESH_S,
    STALE_S,
    KeyCache,
    Source,
    read_keys,
)
from tbtwist.auth.tokens import PublicKey
from tbtwist.config.schema import Auth
from tbtwist.errors import KeysUnavailable
from tests.auth.tokens import ec_key, jwk, key_set, rsa_key


class ReadTests(SynchronousTestCase):
    """What an issuer publishes."""

    def kept(self, *keys: dict[str, Any]) -> dict[str, str]:
        """Return the algorithms of the usable ones, by their ids."""
        found = read_keys(json.dumps({"keys": keys}).encode())
        return {kid: key.algorithm for kid, key in found.items()}

    def test_usable(self) -> None:
        """RSA and P-256 keys are usable, each for one algorithm."""
        self.assertEqual(
            self.kept(
                jwk("a", rsa_key()),
                jwk("b", ec_key(), use="sig", alg="ES256"),
            ),
            {"a": "RS256", "b": "ES256"},
        )

    def test_left_out(self) -> None:
        """Weak, private, symmetric, nameless and encryption keys are not."""
        okp = ed25519.Ed25519PrivateKey.generate().public_key()
        private = json.loads(RSAAlgorithm.to_jwk(rsa_key())) | {"kid": "a"}
        self.assertEqual(
            self.kept(
                jwk("a", rsa_key(1024)),
                jwk("a", ec_key("secp384r1")),
                jwk("a", rsa_key(), use="enc"),
                jwk("a", rsa_key(), alg="RS512"),
                jwk("a", ec_key(), alg="RS256"),
                jwk(None, rsa_key()),
                jwk("", rsa_key()),
                private,
                {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
                {**json.loads(OKPAlgorithm.to_jwk(okp)), "kid": "a"},
                {"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"},
                {"kty": "EC", "kid": "a"},
                {},
            ),
            {},
        )

    @given(
        st.binary(max_size=60)
        | st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["keys", "kid", "kty", "n", "e", "x"]), inner
                )
            ),
        ).map(lambda value: json.dumps({"keys": value}).encode())
    )
    def test_garbage(self, document: bytes) -> None:
        """Garbage has no keys, or is no key set; nothing else happens."""
        try:
            self.assertEqual(read_keys(document), {})
        except KeysUnavailable as error:
            self.assertIn("no key set", str(error))

    def test_many(self) -> None:
        """An endless key set costs a bounded amount."""
        many = [jwk(str(number), ec_key()) for number in range(100)]
        self.assertEqual(len(read_keys(json.dumps({"keys": many}).encode())), 64)


class SourceTests(SynchronousTestCase):
    """Where keys come from."""

    def test_configured(self) -> None:
        """The configured address, else Clerk's with its key, else none."""
        url = "https://issuer.example/jwks"
        self.assertIsNone(Source.from_settings(Auth()))
        self.assertEqual(Source.from_settings(Auth(jwks_url=url)), Source(url))
        clerk = Auth(clerk_secret_key="hunter2")
        self.assertEqual(Source.from_settings(clerk), Source(CLERK_URL, "hunter2"))
        self.assertNotIn("hunter2", repr(Source.from_settings(clerk)))

    def test_clerks_key_is_shown_to_clerk_only(self) -> None:
        """Another issuer does not get to see Clerk's secret key."""
        url = "https://issuer.example/jwks"
        auth = Auth(jwks_url=url, clerk_secret_key="hunter2")
        self.assertEqual(Source.from_settings(auth), Source(url))


class CacheTests(SynchronousTestCase):
    """When keys are fetched."""

    def setUp(self) -> None:
        """Make a cache whose fetches the test answers."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.fetches: list[Deferred[bytes]] = []
        self.cache = KeyCache(self.fetch, self.clock.seconds)

    def fetch(self) -> Deferred[bytes]:
        """Begin a fetch."""
        self.fetches.append(Deferred())
        return self.fetches[-1]

    def ask(self, kid: str) -> Deferred[PublicKey | None]:
        """Ask for a key."""
        return Deferred.fromCoroutine(self.cache.key(kid))

    def loaded(self) -> None:
        """Fetch the keys for the first time."""
        first = self.ask("k-rsa")
        self.fetches[0].callback(key_set())
        self.assertIsNotNone(self.successResultOf(first))

    def test_once(self) -> None:
        """The first token fetches the keys; those after it find them."""
        self.loaded()
        for kid in ("k-rsa", "k-ec"):
            self.assertEqual(
                getattr(self.successResultOf(self.ask(kid)), "kid", 0), kid
            )
        self.assertEqual(len(self.fetches), 1)

    def test_together(self) -> None:
        """Many who wait cause one fetch."""
        waiting = [self.ask("k-rsa") for _ in range(50)]
        self.assertEqual(len(self.fetches), 1)
        self.assertNoResult(waiting[0])
        self.fetches[0].callback(key_set())
        for each in waiting:
            self.assertIsNotNone(self.successResultOf(each))

    def test_one_gives_up(self) -> None:
        """A client that leaves takes nothing away from the others."""
        first, second = self.ask("k-rsa"), self.ask("k-rsa")
        first.addErrback(lambda _: None)
        first.cancel()
        self.fetches[0].callback(key_set())
        self.assertIsNotNone(self.successResultOf(second))

    def test_new_key(self) -> None:
        """An unknown key is fetched once, since the issuer may have a new one."""
        self.loaded()
        self.clock.advance(COOL_DOWN_S)
        asked = self.ask("k-new")
        self.fetches[1].callback(key_set(jwk("k-new", ec_key())))
        self.assertIsNotNone(self.successResultOf(asked))

    @given(st.lists(st.floats(0, 5), max_size=40))
    def test_random_kids_do_not_hammer(self, pauses: list[float]) -> None:
        """Whatever tokens name, the issuer is asked at most once per cool-down."""
        clock, asked = Clock(), list[float]()
        clock.advance(1000)

        def fetch() -> Deferred[bytes]:
            asked.append(clock.seconds())
            return succeed(key_set())

        cache = KeyCache(fetch, clock.seconds)
        for number, pause in enumerate(pauses):
            clock.advance(pause)
            key = Deferred.fromCoroutine(cache.key(f"random-{number}"))
            self.assertIsNone(self.successResultOf(key))
        for earlier, later in pairwise(asked):
            self.assertGreaterEqual(later - earlier, COOL_DOWN_S)

    def test_old_keys_are_refreshed_meanwhile(self) -> None:
        """Nobody waits for a refresh; a key that was withdrawn counts no more after it."""
        self.loaded()
        self.clock.advance(FRESH_S + 1)
        self.assertIsNotNone(self.successResultOf(self.ask("k-rsa")))
        self.fetches[1].callback(key_set(jwk("k-new", ec_key())))
        self.assertIsNone(self.successResultOf(self.ask("k-rsa")))
        self.assertEqual(len(self.fetches), 2)

    def test_issuer_away(self) -> None:
        """While the issuer is away, its keys count for a day, and then nobody can say."""
        self.loaded()
        self.clock.advance(FRESH_S + 1)
        self.assertIsNotNone(self.successResultOf(self.ask("k-rsa")))
        self.fetches[1].errback(ConnectionError("away"))
        self.assertIsNotNone(self.successResultOf(self.ask("k-rsa")))
        self.clock.advance(STALE_S)
        late = self.ask("k-rsa")
        self.fetches[2].errback(ConnectionError("away"))
        self.failureResultOf(late, KeysUnavailable)
        self.assertEqual(len(self.flushLoggedErrors(ConnectionError)), 2)

    def test_never_there(self) -> None:
        """Without any keys nobody can say, and the issuer is not asked each time."""
        first = self.ask("k-rsa")
        self.fetches[0].callback(b"<html>")
        self.failureResultOf(first, KeysUnavailable)
        self.failureResultOf(self.ask("k-rsa"), KeysUnavailable)
        self.assertEqual(len(self.fetches), 1)
        self.assertEqual(len(self.flushLoggedErrors(KeysUnavailable)), 1)

    def test_close(self) -> None:
        """A worker that stops does not wait for the issuer."""
        waiting = self.ask("k-rsa")
        self.cache.close()
        self.failureResultOf(waiting, KeysUnavailable)
        self.cache.close()
