"""The capture as another reader of packets sees it: dpkt here, tshark in tests/e2e."""

from __future__ import annotations

import io
import random

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import LinkName
from gateway.tracing.pcap import ACK, FIN, MAX_SEGMENT, SYN, PcapWriter

T = 1_700_000_000_123_456_789
FOUR = (("10.0.0.1", 2404), ("10.0.0.9", 40_001))
SIX = (("fd00::1", 2404), ("fd00::9", 40_001))
MAPPED = (("::ffff:10.0.0.1", 2404), ("10.0.0.9", 40_001))
ENDS = {"IPv4": FOUR, "IPv6": SIX, "mapped": MAPPED}


def link(number: int = 1, ends: tuple[tuple[str, int], tuple[str, int]] = FOUR) -> LinkName:
    return LinkName("main", number, *ends)


def packets(file: io.BytesIO) -> list[tuple[float, dpkt.tcp.TCP, bytes]]:
    """Time, TCP header and frame; every checksum is computed anew by dpkt and compared."""
    out = []
    for time_s, frame in dpkt.pcap.Reader(io.BytesIO(file.getvalue())):
        packet = dpkt.ethernet.Ethernet(frame)
        tcp = packet.data.data
        had = tcp.sum
        tcp.sum = 0
        if isinstance(packet.data, dpkt.ip.IP):
            assert dpkt.in_cksum(frame[14:34]) == 0
            pseudo = packet.data.src + packet.data.dst + bytes([0, 6]) + len(bytes(tcp)).to_bytes(2, "big")
        else:
            pseudo = packet.data.src + packet.data.dst + len(bytes(tcp)).to_bytes(4, "big") + bytes([0, 0, 0, 6])
        assert dpkt.in_cksum(pseudo + bytes(tcp)) == had
        tcp.sum = had
        out.append((float(time_s), tcp, frame))
    return out


def carried(file: io.BytesIO, port: int) -> bytes:
    """What a port said, put together by sequence numbers as a receiver does; each octet once and in order."""
    said, following = b"", None
    for _, tcp, _ in packets(file):
        if tcp.sport != port:
            continue
        assert following is None or tcp.seq == following
        following = (tcp.seq + len(tcp.data) + bool(tcp.flags & (SYN | FIN))) % 2**32
        said += tcp.data
    return said


@pytest.mark.parametrize("ends", ENDS)
def test_a_conversation_from_handshake_to_end(ends: str) -> None:
    file = io.BytesIO()
    writer, name = PcapWriter(file), link(ends=ENDS[ends])
    writer.opened(name, T)
    writer.data(name, T + 1_000, False, b"STARTDT")
    writer.data(name, T + 2_000, True, b"con")
    writer.closed(name, T + 3_000, True)
    told = packets(file)
    assert [tcp.flags & (SYN | ACK | FIN) for _, tcp, _ in told[:3]] == [SYN, SYN | ACK, ACK]
    assert [tcp.sport for _, tcp, _ in told if tcp.flags & FIN] == [2404, 40_001]
    assert carried(file, 40_001) == b"STARTDT"
    assert carried(file, 2404) == b"con"
    assert writer.packets == len(told)
    assert told[0][0] == pytest.approx(T / 1e9, abs=1e-6)


def test_acknowledgements_follow_what_was_said() -> None:
    file = io.BytesIO()
    writer = PcapWriter(file)
    writer.opened(link(), T)
    writer.data(link(), T, True, bytes(100_000))
    sent = acknowledged = 0
    for _, tcp, _ in packets(file)[3:]:
        if tcp.sport == 2404:
            sent = (tcp.seq + len(tcp.data)) % 2**32
            assert (sent - acknowledged) % 2**32 <= 65_535 or not acknowledged
        else:
            acknowledged = tcp.ack
    assert sent == acknowledged


def test_a_link_whose_beginning_is_lost_is_told_without_handshake() -> None:
    file = io.BytesIO()
    writer = PcapWriter(file)
    writer.data(link(), T, True, b"late")
    assert not any(tcp.flags & SYN for _, tcp, _ in packets(file))
    assert carried(file, 2404) == b"late"


def test_two_links_at_once_are_two_conversations() -> None:
    file = io.BytesIO()
    writer = PcapWriter(file)
    one, two = link(1), LinkName("main", 2, ("10.0.0.1", 2404), ("10.0.0.9", 40_002))
    for name in (one, two):
        writer.opened(name, T)
    writer.data(one, T, False, b"first")
    writer.data(two, T, False, b"second")
    writer.closed(one, T, False)
    assert carried(file, 40_001) == b"first"
    assert carried(file, 40_002) == b"second"


@given(st.integers(0, 2**20), st.lists(st.tuples(st.booleans(), st.integers(0, 5_000)), max_size=8))
def test_whatever_is_said_is_carried(number: int, said: list[tuple[bool, int]]) -> None:
    chance = random.Random(number)
    file = io.BytesIO()
    writer, name = PcapWriter(file), link(number)
    writer.opened(name, T)
    wanted = {True: b"", False: b""}
    for outgoing, size in said:
        data = chance.randbytes(size)
        wanted[outgoing] += data
        writer.data(name, T, outgoing, data)
    writer.closed(name, T, False)
    assert carried(file, 2404) == wanted[True]
    assert carried(file, 40_001) == wanted[False]
    assert all(len(tcp.data) <= MAX_SEGMENT for _, tcp, _ in packets(file))
