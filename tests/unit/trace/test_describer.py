"""Frames in words, as an engineer at the acceptance test reads them."""

# ruff: noqa: E501 - a frame and its words stand on one line

from __future__ import annotations

import pytest

from gateway.points import Kind, Point, PointCatalogue
from protocols.iec104.describe import Describer
from protocols.iec104.plan import ServerPlan
from tests.kit.iec104kit import columns, main_master

POINTS = PointCatalogue.of(
    [
        Point(row=0, name="bess1/power", kind=Kind.ANALOG, unit="kW", low=-1000, high=1000),
        Point(row=1, name="poi/frequency", kind=Kind.ANALOG, unit="Hz"),
        Point(row=2, name="fault", kind=Kind.BINARY),
        Point(row=3, name="breaker", kind=Kind.DOUBLE),
        Point(row=4, name="energy", kind=Kind.COUNTER, unit="kWh"),
        Point(row=5, name="setpoint", kind=Kind.SETPOINT, unit="kW", low=-1000, high=1000),
        Point(row=6, name="run", kind=Kind.CONTROL),
    ]
)
NAN = float("nan")
ROWS = [
    (2, 1, 1001, "M_SP_TB_1", 0, NAN, 0, 0),
    (3, 1, 2001, "M_DP_TB_1", 0, NAN, 0, 0),
    (0, 1, 4001, "M_ME_TF_1", 0, NAN, 0, 0),
    (1, 1, 4002, "M_ME_TF_1", 0, NAN, 0, 0),
    (4, 1, 5001, "M_IT_TB_1", 0, NAN, 0, 0),
    (6, 1, 6001, "C_SC_NA_1", 0, NAN, 0, 1),
    (5, 1, 7001, "C_SE_NC_1", 0, NAN, 0, 1),
]
PLAN = ServerPlan(name="sldc", host="127.0.0.1", port=0, masters=[main_master(bindings=columns(ROWS))])
TAG = "9b4e0d164e0b17"  # 2023-11-14 22:13:20.123


def describer(full: bool = False) -> Describer:
    return Describer(PLAN, POINTS, "main", full)


def said(octets: str, full: bool = False) -> list[str]:
    return [frame.text for frame in describer(full).feed(True, bytes.fromhex(octets))]


def i_frame(asdu: str) -> str:
    data = bytes.fromhex(asdu.replace(" ", ""))
    return (bytes([0x68, len(data) + 4, 10, 0, 6, 0]) + data).hex()


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("680407000000", "U STARTDT act"),
        ("68040b000000", "U STARTDT con"),
        ("680413000000", "U STOPDT act"),
        ("680483000000", "U TESTFR con"),
        ("680401001000", "S N(R)=8"),
    ],
)
def test_frames_without_information(octets: str, words: str) -> None:
    assert said(octets) == [words]


@pytest.mark.parametrize(
    ("asdu", "words"),
    [
        (f"24 01 03 00 0100 a20f00 0000484200{TAG}", "M_ME_TF_1 spontaneous ca 1: 4002 poi/frequency 50 Hz 2023-11-14 22:13:20.123"),
        (f"24 01 03 00 0100 a20f00 00004842c1{TAG}", "M_ME_TF_1 spontaneous ca 1: 4002 poi/frequency 50 Hz [IV NT OV] 2023-11-14 22:13:20.123"),
        ("1e 01 03 00 0100 e90300 91 9b4e8d964e0b17", "M_SP_TB_1 spontaneous ca 1: 1001 fault on [IV BL] 2023-11-14 22:13:20.123 [time IV] [SU]"),
        ("03 01 14 00 0100 d10700 02", "M_DP_NA_1 interrogated by station ca 1: 2001 breaker closed"),
        ("09 01 15 00 0100 a10f00 0040 00", "M_ME_NA_1 interrogated by group 1 ca 1: 4001 bess1/power 500 kW"),
        ("09 01 14 00 0100 a20f00 0040 00", "M_ME_NA_1 interrogated by station ca 1: 4002 poi/frequency 0.50000 (normalised)"),
        ("0f 01 25 00 0100 891300 2a000000 23", "M_IT_NA_1 counters requested ca 1: 5001 energy 42 kWh sequence 3 [CY]"),
        ("64 01 06 03 0100 000000 14", "C_IC_NA_1 activation originator 3 ca 1: station"),
        ("64 01 47 00 0100 000000 22", "C_IC_NA_1 activation confirmed [P/N negative] ca 1: group 14"),
        ("65 01 86 00 ffff 000000 45", "C_CI_NA_1 activation [test] ca 65535: general, freeze"),
        ("2d 01 06 00 0100 711700 85", "C_SC_NA_1 activation ca 1: 6001 run select on short pulse"),
        ("2e 01 06 00 0100 010000 03", "C_DC_NA_1 activation ca 1: 1 (not in the map) execute not permitted 3"),
        ("2f 01 06 00 0100 010000 02", "C_RC_NA_1 activation ca 1: 1 (not in the map) execute higher"),
        ("32 01 06 00 0100 591b00 0000c843 80", "C_SE_NC_1 activation ca 1: 7001 setpoint 400 kW select"),
        ("33 01 06 00 0100 591b00 efbeadde", "C_BO_NA_1 activation ca 1: 7001 setpoint 0xdeadbeef"),
        (f"67 01 06 00 0100 000000 {TAG}", "C_CS_NA_1 activation ca 1: 2023-11-14 22:13:20.123"),
        ("67 01 06 00 0100 000000 00000000000000", "C_CS_NA_1 activation ca 1: no date 00000000000000"),
        ("68 01 06 00 0100 000000 aa55", "C_TS_NA_1 activation ca 1: test pattern 55aa"),
        ("69 01 06 00 0100 000000 01", "C_RP_NA_1 activation ca 1: reset of the process"),
        ("6e 01 06 00 0100 a10f00 0040 01", "P_ME_NA_1 activation ca 1: 4001 bess1/power 0.50000 (normalised) threshold"),
        ("66 01 05 00 0100 a10f00", "C_RD_NA_1 requested ca 1: 4001 bess1/power"),
        ("46 01 04 00 0100 000000 02", "M_EI_NA_1 initialised ca 1: remote reset"),
        ("04 01 03 00 0100 d10700 02 9b4e0d", "M_DP_TA_1 spontaneous ca 1: 2001 breaker closed --:13:20.123"),
        ("7a 01 0d 00 0100 010000 0102", "F_SC_NA_1 file transfer ca 1: 1 objects from ioa 1, not known here: 0100000102"),
        ("c8 01 3f 00 0100 010000", "type 200 cause 63 ca 1: 1 objects from ioa 1, not known here: 010000"),
    ],
)  # fmt: skip
def test_information_in_words(asdu: str, words: str) -> None:
    assert said(i_frame(asdu)) == [f"I N(S)=5 N(R)=3 {words}"]


def test_a_long_asdu_is_cut_unless_all_is_asked_for() -> None:
    frame = i_frame("01 8a 14 00 0100 e90300" + "01" * 10)
    (short,), (long,) = said(frame), said(frame, full=True)
    assert short.endswith("1002 (not in the map) on; 1003 (not in the map) on; 1004 (not in the map) on; and 6 more")
    assert long.count(";") == 9


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("680a00000000670106000100", "malformed: ASDU of 6 octets"),
        (i_frame("24 05 03 00 0100 a20f00 00004842"), "M_ME_TF_1 with 5 objects has 7 octets: 75 expected"),
        (i_frame("24 00 03 00 0100 a20f00"), "announces no object"),
        ("680403000000", "malformed: "),
        ("6804010011ff", "malformed: S frame"),
    ],
)
def test_what_is_malformed_is_said_to_be(octets: str, words: str) -> None:
    (text,) = said(octets)
    assert words in text


def test_octets_between_frames_are_shown_and_the_next_frame_is_found() -> None:
    assert said("cafe68ff00" + "680407000000") == [
        "malformed: 5 octets that begin no frame: cafe68ff00",
        "U STARTDT act",
    ]


def test_a_number_that_was_left_out_is_noticed_per_direction() -> None:
    one = describer()
    first = bytes.fromhex("680e0200000064010600010000000014")
    fourth = bytes.fromhex("680e0800000064010600010000000014")
    assert one.feed(True, first)[0].text.startswith("I N(S)=1 N(R)=0 ")
    assert one.feed(False, first)[0].text.startswith("I N(S)=1 N(R)=0 ")
    assert one.feed(True, fourth)[0].text.startswith("I N(S)=4 (expected 2) N(R)=0 ")


def test_frames_are_whole_however_they_are_cut() -> None:
    octets = bytes.fromhex("680407000000" + i_frame(f"24 01 03 00 0100 a20f00 0000484200{TAG}"))
    one = describer()
    frames = [frame for octet in octets for frame in one.feed(False, bytes([octet]))]
    assert [frame.text for frame in frames] == said(octets.hex())
    assert b"".join(frame.data for frame in frames) == octets


def test_a_master_that_is_none() -> None:
    with pytest.raises(KeyError):
        Describer(PLAN, POINTS, "nobody")


def because(octets: str, outgoing: bool = True) -> list[str]:
    return describer().why(outgoing, bytes.fromhex(octets))


def test_why_a_value_was_sent() -> None:
    """The cause of transmission in a sentence, and the rule of each point that was told by itself."""
    told = because(i_frame(f"24 01 03 00 0100 a20f00 00004842{'00'}{TAG}"))
    assert told[0].startswith("Spontaneous")
    assert told[1] == "poi/frequency: no deadband, every change is told."
    assert "interrogated the whole station" in because(i_frame("03 01 14 00 0100 d10700 02"))[0]
    assert "acknowledgement" in because("680401001000")[0]
    assert "starts data transfer" in because("680407000000", outgoing=False)[0]
    assert because("68") == ["These octets are no frame."]


def test_why_a_deadband_was_passed() -> None:
    rows = [(0, 1, 4001, "M_ME_TF_1", 0, 5.0, 0, 0)]
    plan = ServerPlan(name="sldc", host="127.0.0.1", port=0, masters=[main_master(bindings=columns(rows))])
    frame = bytes.fromhex(i_frame(f"24 01 03 00 0100 a10f00 0000484200{TAG}"))
    told = Describer(plan, POINTS, "main").why(True, frame)
    assert told[1] == "bess1/power: deadband 5 kW, against the value last reported to this master."
