"""Octets of TCP links as a capture file: Ethernet, IPv4 or IPv6, and TCP made up around them. Pure but for the file.

The gateway's kernel saw the real packets; here only what they carried is known. So each link is told again as a
conversation without loss: handshake (when the link's beginning is known), segments of at most 1,460 octets, an
acknowledgement behind each stretch, and an orderly end. Sequence numbers and checksums are right. Data of a link under
TLS are those before encryption.

Format: pcap 2.4 with nanoseconds (magic 0xa1b23c4d), link type 1.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from gateway.contracts.server import LinkName

MAX_SEGMENT: Final = 1_460
_ACKNOWLEDGE_EVERY: Final = 16
"""Segments before the other side acknowledges: well within a window of 65,535 octets."""
_WINDOW: Final = 65_535
_SNAP: Final = 262_144
_SEQUENCES: Final = 1 << 32

_FILE_HEAD: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _SNAP, 1)
_RECORD: Final = struct.Struct("<IIII")
_TCP: Final = struct.Struct("!HHIIBBHHH")

_GATEWAY_MAC: Final = bytes.fromhex("020000000001")
_PEER_MAC: Final = bytes.fromhex("020000000002")
_OUTWARD: Final = _PEER_MAC + _GATEWAY_MAC
_INWARD: Final = _GATEWAY_MAC + _PEER_MAC

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
_MAXIMUM_SEGMENT_OPTION: Final = struct.pack("!BBH", 2, 4, MAX_SEGMENT)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PcapWriter:
    """Writes links to an open binary file; every method leaves whole packets behind."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._links: dict[int, _Conversation] = {}
        self.packets = 0
        file.write(_FILE_HEAD)

    def opened(self, link: LinkName, time_ns: int) -> None:
        """The peer connected."""
        conversation = self._links[link.number] = _Conversation(link)
        self._write(time_ns, conversation.handshake())

    def data(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes) -> None:
        """Octets; a link that was not opened here is one whose beginning is not known."""
        conversation = self._links.get(link.number)
        if conversation is None:
            conversation = self._links[link.number] = _Conversation(link)
        self._write(time_ns, conversation.say(outgoing, data))

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        """One side ended it: the gateway if `outgoing`."""
        conversation = self._links.pop(link.number, None)
        if conversation is not None:
            self._write(time_ns, conversation.end(outgoing))

    def _write(self, time_ns: int, packets: list[bytes]) -> None:
        seconds, rest = divmod(time_ns, 1_000_000_000)
        for packet in packets:
            self._file.write(_RECORD.pack(seconds & 0xFFFFFFFF, rest, len(packet), len(packet)) + packet)
        self.packets += len(packets)
        self._file.flush()


@dataclass(slots=True)
class _Side:
    """One end: its address and port, and the sequence number of the next octet that it sends."""

    address: _Address
    port: int
    next: int


@dataclass(slots=True)
class _Conversation:
    """One link as packets. `True` is the gateway's side."""

    link: LinkName
    _sides: dict[bool, _Side] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        local, peer = _addresses(self.link.local[0], self.link.peer[0])
        start = self.link.number * 0x01000193 % _SEQUENCES
        self._sides = {
            True: _Side(local, self.link.local[1], start),
            False: _Side(peer, self.link.peer[1], (start ^ 0x5A5A5A5A) % _SEQUENCES),
        }

    def handshake(self) -> list[bytes]:
        syn = self._packet(False, SYN, options=_MAXIMUM_SEGMENT_OPTION)
        self._sides[False].next += 1
        answer = self._packet(True, SYN | ACK, options=_MAXIMUM_SEGMENT_OPTION)
        self._sides[True].next += 1
        return [syn, answer, self._packet(False, ACK)]

    def say(self, outgoing: bool, data: bytes) -> list[bytes]:
        packets: list[bytes] = []
        side = self._sides[outgoing]
        for number, start in enumerate(range(0, len(data), MAX_SEGMENT), 1):
            segment = data[start : start + MAX_SEGMENT]
            last = start + MAX_SEGMENT >= len(data)
            packets.append(self._packet(outgoing, ACK | (PSH if last else 0), segment))
            side.next = (side.next + len(segment)) % _SEQUENCES
            if last or number % _ACKNOWLEDGE_EVERY == 0:
                packets.append(self._packet(not outgoing, ACK))
        return packets

    def end(self, outgoing: bool) -> list[bytes]:
        packets = []
        for side in (outgoing, not outgoing):
            packets.append(self._packet(side, FIN | ACK))
            self._sides[side].next = (self._sides[side].next + 1) % _SEQUENCES
        return [*packets, self._packet(outgoing, ACK)]

    def _packet(self, outgoing: bool, flags: int, data: bytes = b"", options: bytes = b"") -> bytes:
        source, target = self._sides[outgoing], self._sides[not outgoing]
        offset = (_TCP.size + len(options)) // 4 << 4
        acknowledged = target.next if flags & ACK else 0
        ports = (source.port, target.port, source.next % _SEQUENCES, acknowledged % _SEQUENCES)
        body = options + data
        pseudo = _pseudo_head(source.address, target.address, _TCP.size + len(body))
        check = _checksum(pseudo + _TCP.pack(*ports, offset, flags, _WINDOW, 0, 0) + body)
        segment = _TCP.pack(*ports, offset, flags, _WINDOW, check, 0) + body
        self._number = (self._number + 1) & 0xFFFF
        ends = _OUTWARD if outgoing else _INWARD
        return ends + _network_head(source.address, target.address, len(segment), self._number) + segment


def _addresses(local: str, peer: str) -> tuple[_Address, _Address]:
    """Both of one version: IPv4 where both can be, else IPv6."""
    ends = [_plain(local), _plain(peer)]
    if ends[0].version != ends[1].version:
        ends = [ipaddress.IPv6Address(f"::ffff:{end}") if end.version == 4 else end for end in ends]
    return ends[0], ends[1]


def _plain(text: str) -> _Address:
    """A serial line has no address: it is shown as one that nobody has."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ipaddress.IPv4Address(0)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network_head(source: _Address, target: _Address, length: int, number: int) -> bytes:
    """EtherType and IP header for `length` octets of TCP."""
    if source.version == 6:
        return struct.pack("!HIHBB", 0x86DD, 6 << 28, length, 6, 64) + source.packed + target.packed
    fixed = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, number, 0x4000, 64, 6)
    check = _checksum(fixed + b"\0\0" + source.packed + target.packed)
    return b"\x08\x00" + fixed + struct.pack("!H", check) + source.packed + target.packed


def _pseudo_head(source: _Address, target: _Address, length: int) -> bytes:
    tail = struct.pack("!IBBBB", length, 0, 0, 0, 6) if source.version == 6 else struct.pack("!BBH", 0, 6, length)
    return source.packed + target.packed + tail


def _checksum(data: bytes) -> int:
    """The Internet checksum: all 16-bit words, added in ones' complement, inverted (RFC 1071)."""
    padded = data + b"\0" if len(data) % 2 else data
    # A number is its 16-bit words added up, modulo 65,535; 0 and 65,535 are the same there, and no header sums to 0.
    return 0xFFFF - (int.from_bytes(padded, "big") % 0xFFFF or 0xFFFF)
