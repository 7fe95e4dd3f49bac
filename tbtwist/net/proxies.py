"""Whose word about the client counts: only that of proxies we were told of."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import attrs

from tbtwist.errors import ConfigError, ConfigProblem

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@attrs.frozen
class TrustedProxies:
    """Networks whose ``X-Forwarded-*`` headers are believed."""

    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> TrustedProxies:
        """Read addresses and networks like ``10.0.0.0/8``; `ConfigError` if one is not."""
        return cls(tuple(_network(text) for text in texts))

    def trusts(self, peer: str) -> bool:
        """Whether ``peer`` is one of our proxies."""
        if not self.networks:
            return False
        address = _address(peer)
        return address is not None and any(address in net for net in self.networks)

    def client_of(self, peer: str, forwarded_for: str) -> str:
        """Return the client's address.

        From right to left, each proxy of ours vouches for the entry before it; the
        first address that is not ours is the client. What stands left of it was
        written by the client, and may be anything.
        """
        if not self.networks:
            return peer
        client = peer
        for entry in reversed(forwarded_for.split(",")):
            address = _address(entry.strip())
            if not self.trusts(client) or address is None:
                break
            client = str(address)
        return client

    def is_secure(self, peer: str, scheme: str, forwarded_proto: str) -> bool:
        """Whether the client speaks TLS, to us or to a proxy of ours."""
        if self.trusts(peer) and forwarded_proto:
            return forwarded_proto.rpartition(",")[2].strip().lower() == "https"
        return scheme == "https"


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        expected = f"expected an address or a network like 10.0.0.0/8, got {text!r}"
        problem = ConfigProblem(
            "configuration", "http_worker.trusted_proxies", expected
        )
        raise ConfigError((problem,)) from error


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped
