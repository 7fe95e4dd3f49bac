"""Which web pages of others may use the API."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.api.cors import CorsPolicy
from tbtwist.api.request import Request
from tbtwist.config.schema import Environment, HttpWorker, Settings


def policy(environment: Environment, *origins: str) -> CorsPolicy:
    """Return the policy of an environment."""
    http_worker = HttpWorker(cors_origins=origins)
    return CorsPolicy.from_settings(
        Settings(environment=environment, http_worker=http_worker)
    )


def asks(origin: str) -> Request:
    """Return a preflight of a page."""
    return Request("OPTIONS", "/api/M/f", headers={"origin": origin})


class OriginTests(SynchronousTestCase):
    """Who is let in."""

    def test_development(self) -> None:
        """While developing, pages of this machine and the desktop shell are let in."""
        for environment in ("development", "tauri"):
            allows = policy(environment).allows
            for origin in (
                "http://localhost",
                "http://localhost:5173",
                "https://127.0.0.1:8443",
                "tauri://localhost",
                "http://tauri.localhost",
                "https://tauri.localhost",
            ):
                self.assertTrue(allows(origin), origin)

    def test_lookalikes(self) -> None:
        """Names that begin or end like this machine are strangers."""
        for origin in (
            "http://localhost.evil.org",
            "http://evil.org/localhost",
            "http://notlocalhost",
            "http://localhost:80x",
            "http://localhost\n",
            "null",
            "*",
            "",
        ):
            self.assertFalse(policy("development").allows(origin), origin)

    def test_production(self) -> None:
        """In production only configured origins are let in, exactly."""
        allows = policy("production", "https://shop.example").allows
        self.assertTrue(allows("https://shop.example"))
        self.assertFalse(allows("http://shop.example"))
        self.assertFalse(allows("https://shop.example.evil"))
        self.assertFalse(allows("http://localhost"))

    @given(st.text())
    def test_never_a_star(self, origin: str) -> None:
        """No answer ever allows everybody, and caches learn what it depends on."""
        for environment in ("development", "production"):
            headers = policy(environment).headers(asks(origin))
            self.assertNotIn(("Access-Control-Allow-Origin", "*"), headers)
            self.assertIn(("Vary", "Origin"), headers)


class PreflightTests(SynchronousTestCase):
    """OPTIONS."""

    def test_known_origin(self) -> None:
        """A page that is let in learns methods and headers."""
        headers = dict(
            policy("development").preflight(asks("http://localhost"), ("GET",)).headers
        )
        self.assertIn("PATCH", headers["Access-Control-Allow-Methods"])
        self.assertEqual(headers["Allow"], "GET, OPTIONS")
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        self.assertEqual(headers["Access-Control-Max-Age"], "86400")

    def test_stranger(self) -> None:
        """A page that is not let in learns the methods of the resource, no more."""
        response = policy("production").preflight(asks("http://localhost"), ("GET",))
        self.assertEqual(response.status, 204)
        self.assertEqual([name for name, _ in response.headers], ["Allow"])

    def test_echo(self) -> None:
        """The origin itself is echoed, with credentials."""
        headers = dict(policy("development").headers(asks("http://localhost:1")))
        self.assertEqual(headers["Access-Control-Allow-Origin"], "http://localhost:1")
        self.assertEqual(headers["Access-Control-Allow-Credentials"], "true")
