"""Each master's connections: how many, from where, how much, how long a packet takes, why the last one ended."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.contracts.server import LinkName, LinkSocket

_TCP_INFO_BYTES: Final = 104
_RTT_AT: Final = 68
"""Of `struct tcp_info` (linux/tcp.h): tcpi_rtt and tcpi_rttvar, us."""


@dataclass(slots=True)
class _Link:
    name: LinkName
    since_ns: int
    sock: LinkSocket | None
    octets_in: int = 0
    octets_out: int = 0
    heard_ns: int = 0
    told_ns: int = 0


@dataclass(slots=True)
class LinkBook:
    """Kept by the worker as its connections come and go."""

    _links: dict[tuple[str, int], _Link] = field(default_factory=dict)
    _connects: Counter[str] = field(default_factory=Counter)
    _last_end: dict[str, dict[str, Any]] = field(default_factory=dict)

    def opened(self, link: LinkName, sock: LinkSocket | None) -> None:
        """A connection stands."""
        self._links[link.master, link.number] = _Link(link, time.time_ns(), sock)
        self._connects[link.master] += 1

    def record(self, link: LinkName, outgoing: bool, octets: int, time_ns: int) -> None:
        """Octets went over it."""
        known = self._links.get((link.master, link.number))
        if known is None:
            return
        if outgoing:
            known.octets_out += octets
            known.told_ns = time_ns
        else:
            known.octets_in += octets
            known.heard_ns = time_ns

    def closed(self, link: LinkName, outgoing: bool, cause: str) -> None:
        """It ended; by the gateway if `outgoing`."""
        self._links.pop((link.master, link.number), None)
        self._last_end[link.master] = {
            "time_ns": time.time_ns(),
            "peer": link.peer,
            "cause": cause or ("closed by the gateway" if outgoing else "closed by the master"),
        }

    def facts(self, master: str) -> dict[str, Any]:
        """Of one master, as JSON takes it."""
        links = [self._facts(link) for (name, _), link in self._links.items() if name == master]
        return {"links": links, "connects": self._connects[master], "last_end": self._last_end.get(master)}

    @staticmethod
    def _facts(link: _Link) -> dict[str, Any]:
        return {
            "peer": link.name.peer,
            "since_ns": link.since_ns,
            "octets_in": link.octets_in,
            "octets_out": link.octets_out,
            "heard_ns": link.heard_ns,
            "told_ns": link.told_ns,
            "round_trip_ms": round_trip_ms(link.sock),
        }


def round_trip_ms(sock: LinkSocket | None) -> float | None:
    """The kernel's smoothed round trip of a TCP connection; None where there is none."""
    if sock is None or sys.platform != "linux":
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(told) < _RTT_AT + 4:
        return None
    micros: int = struct.unpack_from("=I", told, _RTT_AT)[0]
    return micros / 1e3 if micros else None
