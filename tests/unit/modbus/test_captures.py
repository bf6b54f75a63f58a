"""Requests and answers recorded on real networks, through our framing and our device."""

from __future__ import annotations

import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest

from protocols.modbus import frame
from protocols.modbus.frame import Malformed, Refusal, Request
from protocols.modbus.plan import Table

_DATA = Path(os.environ.get("GRIDGATE_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "modbus"
_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}

pytestmark = pytest.mark.skipif(not _DATA.is_dir(), reason=f"no captures at {_DATA}")


def segments(path: Path) -> Iterator[tuple[tuple[bytes, int, bytes, int], bytes]]:
    """(source, destination) and payload of every TCP segment that carries one."""
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(data).data
            tcp = getattr(ip, "data", None)
            if isinstance(tcp, dpkt.tcp.TCP) and tcp.data and 502 in (tcp.sport, tcp.dport):
                yield (ip.src, tcp.sport, ip.dst, tcp.dport), bytes(tcp.data)


def frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Transaction, unit and PDU of the frames of a segment."""
    while len(data) >= 8:
        transaction, length, unit = int.from_bytes(data[:2], "big"), int.from_bytes(data[4:6], "big"), data[6]
        yield transaction, unit, data[7 : 6 + length]
        data = data[6 + length :]


def ours(pdu: bytes) -> Request | None:
    """The same request as this driver would make it; None for functions it does not use."""
    address, value = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    if len(pdu) != (6 + pdu[5] if pdu[0] == 16 and len(pdu) > 5 else 5):
        return None
    if pdu[0] in _TABLES:
        return frame.read(_TABLES[pdu[0]], address, value)
    if pdu[0] == 5:
        return frame.write_coil(address, value == 0xFF00)
    if pdu[0] == 6:
        return frame.write_register(address, pdu[3:5])
    if pdu[0] == 16:
        return frame.write_registers(address, pdu[6:])
    return None


# How the recorded devices answered what this driver would ask.
# The first capture's master sends several writes under one transaction number; they are answered in order.
RECORDED = {
    "modbus_test.pcap": Counter(data=1115),
    "modbus_test_data_part1.pcap": Counter(data=6),
    "modbus_test_data_part2.pcap": Counter(data=5, exception=13),
}


def outcome(request: Request, pdu: bytes) -> str:
    try:
        data = request.data(pdu)
    except Refusal:
        return "exception"
    except Malformed:
        return "malformed"
    assert len(data) == (request.nbytes or len(request.echo) - 1)
    return "data"


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_conversations(name: str) -> None:
    asked: defaultdict[tuple[object, ...], deque[Request]] = defaultdict(deque)
    outcomes: Counter[str] = Counter()
    for (source, sport, target, tport), data in segments(_DATA / name):
        for transaction, unit, pdu in frames(data):
            if tport == 502:
                request = ours(pdu)
                if request is not None:
                    assert request.pdu == pdu, "we ask as the recorded master did"
                    asked[source, sport, target, transaction, unit].append(request)
                continue
            waiting = asked[target, tport, source, transaction, unit]
            if waiting:
                whole = frame.mbap_frame(transaction, unit, pdu)
                assert frame.match_mbap(whole, unit, transaction, lambda *_: None) == (len(whole), pdu)
                outcomes[outcome(waiting.popleft(), pdu)] += 1
    assert outcomes == RECORDED[name]
