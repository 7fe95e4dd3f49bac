"""Which web pages may open a WebSocket."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.origins import OriginRules
from tests.ws.fakes import settings

PRODUCTION = OriginRules((), local=False)
DEVELOPMENT = OriginRules((), local=True)


def configured(*allowed: str) -> OriginRules:
    """Return the rules of a configuration in production."""
    return OriginRules.from_settings(
        settings(environment="production", allowed_origins=allowed)
    )


class DefaultTests(SynchronousTestCase):
    """Without ``allowed_origins``."""

    def test_no_browser(self) -> None:
        """A client that sends no Origin is no browser and may connect."""
        self.assertTrue(PRODUCTION.allows(None, "example.com"))

    def test_same_host(self) -> None:
        """A page may connect to the host that it came from, whatever the port."""
        for origin in ("https://example.com", "http://EXAMPLE.com:8443"):
            self.assertTrue(PRODUCTION.allows(origin, "Example.com:8010"), origin)
        self.assertTrue(PRODUCTION.allows("http://[::1]:3000", "[::1]:8010"))

    def test_other_hosts(self) -> None:
        """A page of another site is refused, however similar its name."""
        for origin in (
            "https://evil.com",
            "https://example.com.evil.com",
            "https://notexample.com",
            "https://example.com@evil.com",
            "http://localhost",
            "null",
            "file://",
            "",
            "https://example.com/path",
            "https://example.com:port",
            "https://[",
        ):
            self.assertFalse(PRODUCTION.allows(origin, "example.com"), origin)

    def test_no_host(self) -> None:
        """Without a usable Host header nothing is the same host."""
        self.assertFalse(PRODUCTION.allows("https://example.com", ""))
        self.assertFalse(PRODUCTION.allows("https://example.com", "["))

    def test_development(self) -> None:
        """While developing, pages of this machine may connect from any port."""
        for origin in (
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "https://[::1]",
            "tauri://localhost",
            "http://tauri.localhost",
        ):
            self.assertTrue(DEVELOPMENT.allows(origin, "192.168.0.5:8010"), origin)
        self.assertFalse(DEVELOPMENT.allows("https://evil.com", "192.168.0.5"))

    def test_environments(self) -> None:
        """Production is strict; development and the desktop know this machine."""
        local = {
            name: OriginRules.from_settings(settings(environment=name)).local
            for name in ("production", "development", "tauri")
        }
        self.assertEqual(
            local, {"production": False, "development": True, "tauri": True}
        )


class ConfiguredTests(SynchronousTestCase):
    """With ``allowed_origins``."""

    def test_exact(self) -> None:
        """A listed origin is compared whole: scheme, host and port."""
        rules = configured("https://App.example.com/")
        self.assertTrue(rules.allows("https://app.example.com", "x"))
        self.assertTrue(rules.allows("https://app.example.com:443", "x"))
        for other in (
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://example.com",
        ):
            self.assertFalse(rules.allows(other, "x"), other)

    def test_replaces_the_default(self) -> None:
        """Whoever lists origins lists all of them."""
        rules = configured("https://app.example.com")
        self.assertFalse(rules.allows("https://example.com", "example.com"))

    def test_star(self) -> None:
        """One star stands for anything in its place."""
        rules = configured("https://*.example.com", "http://localhost:*")
        self.assertTrue(rules.allows("https://a.b.example.com", "x"))
        self.assertTrue(rules.allows("http://localhost:3000", "x"))
        for other in ("https://example.com", "https://evil.com", "http://localhost"):
            self.assertFalse(rules.allows(other, "x"), other)

    def test_everything(self) -> None:
        """``*`` opens the worker to every page, and says so."""
        self.assertTrue(configured("*").allows("null", "x"))

    def test_null(self) -> None:
        """Pages without an origin of their own can be listed."""
        self.assertTrue(configured("null").allows("null", "x"))

    @given(origin=st.text(max_size=40), host=st.text(max_size=20))
    def test_any_text(self, origin: str, host: str) -> None:
        """Whatever the headers hold, the answer is yes or no."""
        for rules in (PRODUCTION, DEVELOPMENT, configured("https://*.example.com")):
            self.assertIn(rules.allows(origin, host), (True, False))
