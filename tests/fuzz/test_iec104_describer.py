"""The describer takes whatever a peer sent: nothing is raised, and no octet is lost or told twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.iec104.describe import Describer
from tests.unit.trace.test_describer import PLAN, POINTS, i_frame

DATA = Path(os.environ.get("GRIDGATE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "iec104"
TAG = "9b4e0d164e0b17"
ROUNDS = 4_000


def one_per_type() -> list[bytes]:
    """A frame of every type identification there could be, right or not."""
    return [bytes.fromhex(i_frame(f"{number:02x} 01 03 00 0100 a20f00 0000484200{TAG}")) for number in range(256)]


def describe(octets: bytes, chance: random.Random) -> None:
    describer, told, at = Describer(PLAN, POINTS, "main", full=chance.random() < 0.2), b"", 0
    while at < len(octets):
        size = chance.randrange(1, 300)
        for frame in describer.feed(False, octets[at : at + size]):
            assert frame.text and frame.text.isprintable()
            told += frame.data
        at += size
    assert octets.startswith(told)
    assert len(octets) - len(told) <= 255


def test_mutated_frames_of_every_type() -> None:
    chance = random.Random(7)
    seeds = one_per_type()
    for _ in range(ROUNDS):
        octets = bytearray(b"".join(chance.sample(seeds, 3)))
        for _ in range(chance.randrange(6)):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        if chance.random() < 0.3:
            del octets[chance.randrange(len(octets)) :]
        describe(bytes(octets), chance)


@given(st.binary(max_size=2_000), st.integers())
def test_random_octets(octets: bytes, seed: int) -> None:
    describe(octets, random.Random(seed))


@given(st.binary(min_size=1, max_size=249))
def test_random_information(asdu: bytes) -> None:
    frame = bytes([0x68, len(asdu) + 4, 0, 0, 0, 0]) + asdu
    describe(frame, random.Random(1))
    for outgoing in (False, True):
        assert Describer(PLAN, POINTS, "main").why(outgoing, frame)


@pytest.mark.parametrize("name", ["090813_diverse.pcap", "JavaRMI_and_IEC_Misc.pcap"])
def test_real_captures_hold_no_malformed_frame_of_a_known_type(name: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no capture {name} beside this checkout")
    describers: dict[object, Describer] = {}
    frames = 0
    with path.open("rb") as file:
        for _, packet in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(packet).data
            tcp = getattr(ip, "data", None)
            if not isinstance(tcp, dpkt.tcp.TCP) or 2404 not in (tcp.sport, tcp.dport) or not tcp.data:
                continue
            key = (ip.src, ip.dst, tcp.sport, tcp.dport)
            describer = describers.setdefault(key, Describer(PLAN, POINTS, "main"))
            frames += len(describer.feed(tcp.sport == 2404, tcp.data))
    assert frames > 10
