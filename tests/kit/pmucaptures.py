"""The C37.118 frames of a recorded network, put together per direction of each connection."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dpkt

DATA = Path(os.environ.get("GRIDGATE_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "c37118"
_PORTS = {4712, 4713}


@dataclass(slots=True)
class Direction:
    """What one end sent: TCP segments in order and without repeats, or datagrams."""

    udp: bool = False
    chunks: list[bytes] = field(default_factory=list)
    next_sequence: int | None = None

    def segment(self, sequence: int, data: bytes) -> None:
        if self.next_sequence is not None and sequence != self.next_sequence:
            assert sequence < self.next_sequence, "a segment is missing in the capture"
            return
        self.next_sequence = sequence + len(data)
        self.chunks.append(data)


def directions(name: str) -> list[Direction]:
    """Every direction of every connection to a PMU in this capture that carries something."""
    found: dict[tuple[object, ...], Direction] = defaultdict(Direction)
    for packet, key in _packets(DATA / name):
        if isinstance(packet, dpkt.udp.UDP):
            found[key].udp = True
            found[key].chunks.append(bytes(packet.data))
        else:
            found[key].segment(packet.seq, bytes(packet.data))
    return list(found.values())


def _packets(path: Path) -> Iterator[tuple[dpkt.tcp.TCP | dpkt.udp.UDP, tuple[object, ...]]]:
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(data).data
            packet = getattr(ip, "data", None)
            if not isinstance(packet, dpkt.tcp.TCP | dpkt.udp.UDP) or not packet.data:
                continue
            if {packet.sport, packet.dport} & _PORTS:
                yield packet, (type(packet), ip.src, packet.sport, ip.dst, packet.dport)
