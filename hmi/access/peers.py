"""Addresses that may come in. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Peers:
    """Networks; without any, everybody."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def named(self, peer: str) -> bool:
        """Whether this address is in one of the networks."""
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped.version == network.version and mapped in network for network in self._networks)

    def admits(self, peer: str) -> bool:
        """Whether this address may come in."""
        return not self._networks or self.named(peer)
