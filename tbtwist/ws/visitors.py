"""Where a client comes from, and whether it comes too often."""

from __future__ import annotations

import ipaddress
from typing import Final

import attrs

from tbtwist.api.insiders import Insiders
from tbtwist.api.rates import RateLimit
from tbtwist.config.schema import Settings
from tbtwist.net.proxies import TrustedProxies
from tbtwist.ws.handshake import Head

_IPV6_NETWORK_BITS: Final = 64
"""What one household or machine gets; it may use any address of it."""


@attrs.frozen
class Visitors:
    """Tells clients apart by address, behind the proxies that we trust."""

    proxies: TrustedProxies
    insiders: Insiders
    rate: RateLimit

    @classmethod
    def from_settings(cls, settings: Settings) -> Visitors:
        """Return the rules of ``trusted_proxies`` and ``connects_per_s``."""
        trusted, ws = settings.http_worker.trusted_proxies, settings.ws_worker
        rate = RateLimit(ws.connects_per_s, ws.connects_burst)
        return cls(TrustedProxies.parse(trusted), Insiders.parse(trusted), rate)

    def address(self, head: Head, peer: str) -> str:
        """Return the client's address; ``peer`` is whom the socket is to."""
        return self.proxies.client_of(peer, head.headers.get("x-forwarded-for", ""))

    def may_connect(self, address: str, now: float) -> bool:
        """Whether one more connection from ``address`` is fine; it is counted."""
        return self.insiders.include(address) or self.rate.allows(_key(address), now)


def _key(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return address
    return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
