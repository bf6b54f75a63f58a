"""Configuration frames: what a PMU says that it sends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from protocols.c37118.configuration import (
    Analog,
    Assembler,
    Configuration,
    Digital,
    Format,
    Phasor,
    Placing,
    Pmu,
    parse,
)
from protocols.c37118.configurationframes import encode
from protocols.c37118.frame import C37Error, FrameType, Head, build

# TIME_BASE 1,000,000; one PMU:
# "Station A", id 7, FORMAT 4 (only analogs float), 1 phasor, 1 analog, 1 digital word,
# 18 names of 16 octets, PHUNIT current 45776 (0.45776 A), ANUNIT rms 1, normal FFFE valid 0001, 50 Hz, changed 3 times;
# 30 frames/s.
NAMES = b"".join(name.ljust(16) for name in [b"I1", b"TEMP", b"CB", *[b""] * 15])
CFG2 = (
    bytes.fromhex("000f4240 0001")
    + b"Station A".ljust(16)
    + bytes.fromhex("0007 0004 0001 0001 0001")
    + NAMES
    + bytes.fromhex("0100b2d0 01000001 fffe0001 0001 0003 001e")
)
STATION = Pmu(
    name="Station A",
    id=7,
    format=Format(float_frequency=False, float_analogs=True, float_phasors=False, polar=False),
    phasors=(Phasor(name="I1", factor=0.45776, flags=0x0800),),
    analogs=(Analog(name="TEMP", unit=0x01000001),),
    digitals=(Digital(names=("CB", *[""] * 15), normal=0xFFFE, valid=1),),
    nominal_hz=50,
    changes=3,
)
RICH = Pmu(
    name="Überlingen, Feld 7 (ein sehr langer Name)",
    id=9,
    phasors=(Phasor(name="VA", factor=0.5, flags=0x0100_0400, angle_rad=0.25), Phasor(name="IA", flags=0x0C00)),
    analogs=(Analog(name="P", factor=2.0, offset=-1.0),),
    digitals=(Digital(names=tuple(f"bit {n}" for n in range(16)), normal=1, valid=0xFFFF),),
    nominal_hz=60,
    placing=Placing(
        global_id=bytes(range(16)), latitude_deg=47.75, longitude_deg=9.25, elevation_m=400.0, service_class=b"P"
    ),
)


def test_a_cfg2_is_read_field_by_field() -> None:
    found = parse(FrameType.CFG2, 7, CFG2)
    assert found == Configuration(type=FrameType.CFG2, id=7, pmus=(STATION,), time_base=1_000_000, rate=30)
    assert found.pmus[0].phasors[0].current
    # 16 of head and CHK; STAT 2, phasor 4, FREQ and DFREQ 4, analog 4, digital 2.
    assert found.frame_size == 32
    assert encode(found) == [build(Head(type=FrameType.CFG2, id=7), CFG2)]


def test_names_filled_up_with_zeros_are_names_too() -> None:
    assert parse(FrameType.CFG1, 7, CFG2.replace(b"I1" + b" " * 14, b"I1" + bytes(14))).pmus[0].phasors[0].name == "I1"


def test_a_cfg3_keeps_long_names_factors_and_place() -> None:
    found = Configuration(type=FrameType.CFG3, id=7, pmus=(RICH, replace(RICH, id=10)), rate=-5)
    (frame,) = encode(found)
    assert Assembler().take(frame) == found
    assert found.period_s == 5.0
    assert math.isinf(parse(FrameType.CFG3, 7, b"".join(encode(found))[16:-2]).pmus[0].placing.elevation_m) is False


def test_a_cfg3_in_fragments_is_put_together() -> None:
    found = Configuration(type=FrameType.CFG3, id=7, pmus=(RICH,) * 3)
    frames = encode(found, most=100)
    assert len(frames) > 5
    assembler = Assembler()
    assert [assembler.take(frame) for frame in frames] == [None] * (len(frames) - 1) + [found]
    # The device sends it again: the first fragment begins anew.
    assert [assembler.take(frame) for frame in [*frames[:3], *frames]][-1] == found


def test_a_fragment_that_was_lost_spoils_the_configuration_and_nothing_after_it() -> None:
    found = Configuration(type=FrameType.CFG3, id=7, pmus=(RICH,) * 3)
    frames = encode(found, most=100)
    assembler = Assembler()
    assembler.take(frames[0])
    with pytest.raises(C37Error, match="fragment 3 of a CFG-3 came where 2 was expected"):
        assembler.take(frames[2])
    with pytest.raises(C37Error, match="fragment 65535"):
        assembler.take(frames[-1])
    assert [assembler.take(frame) for frame in frames][-1] == found


@pytest.mark.parametrize("cut", [1, 5, 20, 40, 300, len(CFG2) - 1])
def test_a_configuration_that_is_too_short_is_told(cut: int) -> None:
    with pytest.raises(C37Error, match="the configuration ends"):
        parse(FrameType.CFG2, 7, CFG2[:cut])


def test_what_stands_behind_a_configuration_is_told() -> None:
    with pytest.raises(C37Error, match="1 octets stand behind"):
        parse(FrameType.CFG2, 7, CFG2 + b"\0")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (bytes(4) + CFG2[4:], "TIME_BASE 0"),
        (CFG2[:4] + bytes(2) + CFG2[6:], "0 PMUs"),
        (CFG2[:-2] + bytes(2), "DATA_RATE is 0"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(body: bytes, words: str) -> None:
    with pytest.raises(C37Error, match=words):
        parse(FrameType.CFG2, 7, body)


def test_a_cfg3_without_its_index_is_told() -> None:
    with pytest.raises(C37Error, match="CONT_IDX"):
        Assembler().take(build(Head(type=FrameType.CFG3, id=1), b"\0"))
