"""Real DNP3 captures, read frame by frame; nothing of them is kept in the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dpkt
import pytest

from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.transport import Reassembler

DATA = Path(os.environ.get("GRIDGATE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "dnp3"
CAPTURES = sorted(DATA.rglob("*.pcap"))
PORT = 20_000
_DECODERS = {dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback, dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet}


def captures() -> list[Path]:
    """Every capture; skips the test where there is none."""
    if not CAPTURES:
        pytest.skip(f"no captures in {DATA}")
    return CAPTURES


def payloads(path: Path) -> list[tuple[bool, bytes]]:
    """TCP payloads to or from an outstation, in order: (from the outstation, octets)."""
    found = []
    with path.open("rb") as file:
        reader = dpkt.pcap.Reader(file)
        decode = _DECODERS[reader.datalink()]
        for _, octets in reader:
            packet = decode(octets).data
            tcp = getattr(packet, "data", None)
            if isinstance(tcp, dpkt.tcp.TCP) and PORT in (tcp.sport, tcp.dport) and tcp.data:
                found.append((tcp.sport == PORT, bytes(tcp.data)))
    return found


def frames(path: Path) -> Iterator[LinkFrame]:
    """Link frames of both directions, in order."""
    readers = {True: LinkReader(), False: LinkReader()}
    for outgoing, octets in payloads(path):
        yield from readers[outgoing].feed(octets)


@dataclass(frozen=True, slots=True)
class Said:
    """One application fragment and who said it to whom."""

    dest: int
    source: int
    octets: bytes


def fragments(path: Path) -> Iterator[Said]:
    """Application fragments of both directions, in order."""
    series: dict[tuple[int, int], Reassembler] = {}
    for frame in frames(path):
        if frame.data:
            key = frame.dest, frame.source
            fragment = series.setdefault(key, Reassembler(4_096)).receive(frame.data)
            if fragment is not None:
                yield Said(*key, fragment)
