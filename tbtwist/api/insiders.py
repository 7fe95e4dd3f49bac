"""Who may see what is no business of the public: this machine and our proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import attrs

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Insiders:
    """Loopback, and the networks of ``http_worker.trusted_proxies``."""

    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Insiders:
        """Read addresses and networks that have been checked before."""
        return cls(tuple(ipaddress.ip_network(text, strict=False) for text in texts))

    def include(self, address: str) -> bool:
        """Whether ``address`` is one of us."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return ip.is_loopback or any(ip in network for network in self.networks)


def is_local(address: str) -> bool:
    """Whether ``address`` is no place on the public Internet."""
    try:
        return not ipaddress.ip_address(address).is_global
    except ValueError:
        return True
