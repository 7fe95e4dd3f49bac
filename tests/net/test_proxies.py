"""Only proxies that we were told of may say who the client is."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import ConfigError
from tbtwist.net.proxies import TrustedProxies

PROXIES = TrustedProxies.parse(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])
addresses = st.ip_addresses().map(str)


class ClientTests(SynchronousTestCase):
    """Whose address counts."""

    @given(addresses, st.text())
    def test_nobody_trusted(self, peer: str, header: str) -> None:
        """Without trusted proxies the header is only what a client says."""
        self.assertEqual(TrustedProxies().client_of(peer, header), peer)

    @given(st.lists(st.sampled_from(["6.6.6.6", "x", "", "10.9.9.9"])))
    def test_what_a_client_writes_does_not_count(self, forged: list[str]) -> None:
        """Whatever stands before what our proxy wrote, the client stays the client."""
        header = ", ".join([*forged, "192.0.2.1"])
        self.assertEqual(PROXIES.client_of("10.0.0.1", header), "192.0.2.1")

    def test_chain(self) -> None:
        """Several proxies of ours are looked through."""
        header = "6.6.6.6, 192.0.2.1, 10.0.0.9, fd00::1"
        self.assertEqual(PROXIES.client_of("127.0.0.1", header), "192.0.2.1")

    def test_stranger(self) -> None:
        """A peer that is not a proxy of ours is the client."""
        self.assertEqual(PROXIES.client_of("192.0.2.9", "1.1.1.1"), "192.0.2.9")

    def test_only_proxies(self) -> None:
        """A request that began at a proxy has that one as its client."""
        self.assertEqual(PROXIES.client_of("10.0.0.1", "10.0.0.2"), "10.0.0.2")

    def test_unreadable(self) -> None:
        """What is no address ends the search."""
        for header in ("", "unknown", "1.1.1.1, _hidden", "1.1.1.1:80"):
            self.assertEqual(PROXIES.client_of("10.0.0.1", header), "10.0.0.1")

    def test_mapped_addresses(self) -> None:
        """An IPv4 proxy that connects over IPv6 is the same proxy."""
        self.assertTrue(PROXIES.trusts("::ffff:10.0.0.1"))
        self.assertFalse(PROXIES.trusts("::ffff:11.0.0.1"))
        self.assertFalse(PROXIES.trusts(""))

    def test_misspelt(self) -> None:
        """A network that is none is an error at the start."""
        error = self.assertRaises(ConfigError, TrustedProxies.parse, ["10.0.0.0/40"])
        self.assertIn("10.0.0.0/40", str(error))


class SecureTests(SynchronousTestCase):
    """Whether the client speaks TLS."""

    def test_secure(self) -> None:
        """The scheme counts, and a trusted proxy knows better."""
        rows = [
            ("192.0.2.1", "https", "", True),
            ("192.0.2.1", "http", "https", False),
            ("10.0.0.1", "http", "https", True),
            ("10.0.0.1", "http", "http, HTTPS", True),
            ("10.0.0.1", "https", "http", False),
            ("10.0.0.1", "http", "", False),
        ]
        for peer, scheme, forwarded, expected in rows:
            self.assertEqual(PROXIES.is_secure(peer, scheme, forwarded), expected)
