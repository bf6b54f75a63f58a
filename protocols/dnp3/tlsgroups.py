"""Masters that cannot be told apart before they speak, for TLS comes before the first link address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from protocols.dnp3.plan import MasterPlan


def masters_by_place(masters: Iterable[MasterPlan]) -> Iterator[tuple[str, ...]]:
    """Every set of names that may be at one IP address: networks lie within one another or apart."""
    networks = [(ipaddress.ip_network(text, strict=False), plan.name) for plan in masters for text in plan.addresses]
    for inner, _ in networks:
        yield tuple(
            name
            for outer, name in networks
            if outer.version == inner.version and outer.supernet_of(inner)  # type: ignore[arg-type]
        )


def masters_by_dial(masters: Iterable[MasterPlan]) -> Iterator[tuple[str, ...]]:
    """Every set of names behind one end point that we dial."""
    all_of_them = list(masters)
    for end in {plan.dial for plan in all_of_them if plan.dial is not None}:
        yield tuple(plan.name for plan in all_of_them if plan.dial == end)
