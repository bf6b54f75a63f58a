"""DNP3 frames in words, as an engineer at the acceptance test reads them."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.points import Kind, Point, PointCatalogue
from protocols.dnp3.describe import Describer
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.pointtypes import PointType
from tests.kit.dnp3captures import captures, payloads
from tests.kit.dnp3kit import Row, columns, master, plan
from tests.peers.rawdnp3 import frame

POINTS = PointCatalogue.of(
    [
        Point(row=0, name="bess1/power", kind=Kind.ANALOG, unit="kW"),
        Point(row=1, name="fault", kind=Kind.BINARY),
        Point(row=2, name="breaker", kind=Kind.DOUBLE),
        Point(row=3, name="energy", kind=Kind.COUNTER, unit="kWh"),
        Point(row=4, name="setpoint", kind=Kind.SETPOINT, unit="kW"),
        Point(row=5, name="run", kind=Kind.CONTROL),
    ]
)
PLAN = plan(
    master(
        bindings=columns(
            [
                Row(row=0, type=PointType.AI, index=11),
                Row(row=0, type=PointType.AI, index=12, scale=0.1, offset=-5.0),
                Row(row=1, type=PointType.BI, index=0),
                Row(row=2, type=PointType.DBI, index=3),
                Row(row=3, type=PointType.CTR, index=7),
                Row(row=4, type=PointType.AO, index=0),
                Row(row=5, type=PointType.BO, index=1),
            ]
        )
    )
)
TAG = "7b68e5cf8b01"  # 2023-11-14 22:13:20.123
TIME = "2023-11-14 22:13:20.123"
OUR_DATA, MASTER_DATA = 0x44, 0xC4


def said(octets: bytes, full: bool = False) -> list[str]:
    return [frame.text for frame in Describer(PLAN, POINTS, "main", full).feed(True, octets)]


def response(objects: str, iin: str = "0000", control: str = "c5") -> bytes:
    """From outstation 10 to master 1, in one segment with number 3."""
    return frame(OUR_DATA, 1, 10, bytes.fromhex("c3" + control + "81" + iin + objects))


def request(rest: str) -> bytes:
    return frame(MASTER_DATA, 10, 1, bytes.fromhex("c3c5" + rest))


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (frame(0xC0, 10, 1), "1 > 10 reset link states"),
        (frame(0xF2, 10, 1), "1 > 10 test link states FCB=1"),
        (frame(0x49, 1, 10), "10 > 1 request link status"),
        (frame(0x8B, 10, 1), "1 > 10 link status"),
        (frame(0x00, 1, 10), "10 > 1 ack"),
        (frame(0x10, 1, 10), "10 > 1 ack DFC"),
        (frame(0x4D, 1, 10), "10 > 1 link function 13"),
    ],
)
def test_a_link_frame_without_data(octets: bytes, words: str) -> None:
    assert said(octets) == [words]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("013c02063c03063c0406", "read: g60v2 class 1 data; g60v3 class 2 data; g60v4 class 3 data"),
        ("011e050009", "read: malformed: range of g30v5: 2 octets expected, 1 left in the fragment"),
        ("011e05000b0c", "read: g30v5 analog input, single precision with flag 11 to 12"),
        ("011e00170120", "read: g30v0 analog input 32 (not in the map)"),
        ("011e0017010b", "read: g30v0 analog input 11 bess1/power"),
        ("00", "confirm"),
        ("0250010007070 0".replace(" ", ""), "write: g80v1 7 off"),
        (f"02320107 01{TAG}".replace(" ", ""), f"write: g50v1 {TIME}"),
        ("050c01170101030164000000c800000000", "direct operate: g12v1 1 run latch on on 100 ms off 200 ms"),
        ("030c01170101410100000000000000000c", "select: g12v1 1 run pulse on close OUT_OF_RANGE"),
        ("04290317010000004842 00".replace(" ", ""), "operate: g41v3 0 setpoint 50 kW"),
        ("17", "delay measure"),
        ("63", "function 99"),
    ],
)
def test_a_request(rest: str, words: str) -> None:
    assert said(request(rest)) == [f"1 > 10 user data; segment 3 FIR FIN; 5 {words}"]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ("1e0500 0b0b 01 00004842", "g30v5 11 bess1/power 50 kW"),
        ("1e0200 0c0c 21 e803", "g30v2 12 bess1/power 95 kW [ONLINE OVER_RANGE]"),
        ("1e0500 0b0b 04 00004842", "g30v5 11 bess1/power 50 kW [not ONLINE COMM_LOST]"),
        (f"20072801000b00 01 00004842 {TAG}", f"g32v7 11 bess1/power 50 kW {TIME}"),
        ("01020000 00 81", "g1v2 0 fault on"),
        (f"0202170100 01 {TAG}", f"g2v2 0 fault off {TIME}"),
        ("0302000303 81", "g3v2 3 breaker on"),
        ("1405000707 2a000000", "g20v5 7 energy 42 kWh"),
        (f"33010701 {TAG} 0203170100 81 e803", f"g51v1 {TIME}; g2v3 0 fault on 2023-11-14 22:13:21.123"),
        ("29031701 00 00004842 00", "g41v3 0 setpoint 50 kW SUCCESS"),
        ("0c011701 01 03 01 64000000 c8000000 07", "g12v1 1 run latch on on 100 ms off 200 ms LOCAL"),
        ("340207010500", "g52v2 5 ms"),
        ("6e02000000 6162", "g110v2 0 'ab'"),
        ("00fc0000000103 616263", "g0v252 device attribute 'abc'"),
        ("1e0400 0010 " + "0100" * 17, "g30v4 0 (not in the map) 1, 1 (not in the map) 1"),
    ],
)
def test_a_response(objects: str, words: str) -> None:
    (told,) = said(response(objects.replace(" ", "")))
    assert told.startswith(f"10 > 1 user data; segment 3 FIR FIN; 5 response: {words}")


def test_internal_indications_and_confirmation_are_told() -> None:
    (told,) = said(response("", iin="8208", control="e5"))
    assert told.endswith("5 response CON [class 1 events, device restart, event buffer overflow]")
    assert said(frame(MASTER_DATA, 10, 1, bytes.fromhex("c3d500")))[0].endswith("5 confirm unsolicited")


def test_a_long_header_is_cut_unless_everything_is_asked_for() -> None:
    octets = response("1e0400000f" + "0100" * 16)
    assert said(octets)[0].endswith("and 12 more")
    assert said(octets, full=True)[0].count("(not in the map) 1") == 14


def test_a_fragment_of_several_segments_is_told_with_its_last_one() -> None:
    fragment = bytes.fromhex("c58100001e05000b0b0100004842")
    first = frame(OUR_DATA, 1, 10, b"\x43" + fragment[:6])
    last = frame(OUR_DATA, 1, 10, b"\x84" + fragment[6:])
    assert said(first + last) == [
        "10 > 1 user data; segment 3 FIR",
        "10 > 1 user data; segment 4 FIN; 5 response: g30v5 11 bess1/power 50 kW",
    ]


def test_a_lost_segment_is_told() -> None:
    first = frame(OUR_DATA, 1, 10, b"\x43" + bytes(6))
    late = frame(OUR_DATA, 1, 10, b"\x86" + bytes(6))
    assert said(first + late)[1] == "10 > 1 user data; segment 6 (expected 4) FIN"


def test_octets_between_frames_are_shown_as_they_are() -> None:
    good = frame(0xC0, 10, 1)
    told = Describer(PLAN, POINTS, "main").feed(True, b"hello" + good + good[:9] + b"\xff" + good)
    assert [entry.text for entry in told] == [
        "malformed: 5 octets that are no frame: 68656c6c6f",
        "1 > 10 reset link states",
        f"malformed: 10 octets that are no frame: {good[:9].hex()}ff",
        "1 > 10 reset link states",
    ]


def test_no_master_of_that_name() -> None:
    with pytest.raises(KeyError):
        Describer(PLAN, POINTS, "nobody")


def every_object() -> list[bytes]:
    """A response with each object that the table has."""
    chance = random.Random(5)
    found = []
    for (group, variation), row in OBJECTS.items():
        body = chance.randbytes(row.octets(1))
        found.append(response(bytes([group, variation, 7, 1]).hex() + body.hex()))
        found.append(request("02" + bytes([group, variation, 0, 4, 4]).hex() + body.hex()))
    return found


def describe(octets: bytes, chance: random.Random) -> None:
    """Nothing is raised, and no octet is lost or told twice."""
    describer, told, at = Describer(PLAN, POINTS, "main", full=chance.random() < 0.2), b"", 0
    while at < len(octets):
        size = chance.randrange(1, 300)
        for entry in describer.feed(False, octets[at : at + size]):
            assert entry.text and entry.text.isprintable()
            told += entry.data
        at += size
    assert octets.startswith(told)
    assert len(octets) - len(told) < 292


def test_every_object_and_its_mutations_are_described() -> None:
    chance = random.Random(7)
    seeds = every_object()
    for seed in seeds:
        (told,) = said(seed)
        assert "malformed" not in told or "with data" in told, told
    for _ in range(int(os.environ.get("GRIDGATE_FUZZ_DNP3", "1500"))):
        data = bytearray(chance.choice(seeds)[10:-2])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        describe(frame(OUR_DATA, 1, 10, bytes(data)) + chance.randbytes(chance.randrange(9)), chance)


@given(st.binary(max_size=1_000), st.integers())
def test_random_octets(octets: bytes, seed: int) -> None:
    describe(octets, random.Random(seed))


@given(st.binary(min_size=1, max_size=249))
def test_random_segments(data: bytes) -> None:
    describe(frame(OUR_DATA, 1, 10, b"\xc0" + data), random.Random(1))


def test_real_captures_are_told_to_the_last_octet() -> None:
    for path in captures()[:12]:
        describers = {True: Describer(PLAN, POINTS, "main"), False: Describer(PLAN, POINTS, "main")}
        for outgoing, octets in payloads(path):
            for entry in describers[outgoing].feed(outgoing, octets):
                assert entry.text.isprintable()


def test_why_a_frame_was_sent() -> None:
    describer = Describer(PLAN, POINTS, "main")
    event = response("02011701 00 81".replace(" ", ""), control="e5")
    told = describer.why(True, event)
    assert told[0] == "The answer to the master's last request."
    assert "confirmation" in told[1]
    assert told[2].startswith("fault: event of class")
    assert "polls" in describer.why(False, request("013c0206"))[0]
    assert describer.why(True, b"\x05\x64") == ["These octets are no frame."]
    assert "link layer" in describer.why(False, frame(0xC0, 10, 1))[0]


@given(st.binary(max_size=300), st.booleans())
def test_why_never_raises(octets: bytes, outgoing: bool) -> None:
    assert Describer(PLAN, POINTS, "main").why(outgoing, octets)
