"""What the decoder makes of frames, beside cantools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cantools.database
import numpy as np
import pytest

from gateway.points import Quality
from protocols.can.decode import Decoder
from protocols.can.plan import EXTENDED
from tests.kit.cankit import bus, device, every_signal, foxbms, source, trace, values_by_row, write_dbc


@pytest.fixture(scope="module")
def fox() -> tuple[Any, Any]:
    path = foxbms()
    database = cantools.database.load_file(path)
    return database, bus(source(path, every_signal(database)))


def expected(database: Any, key: int, data: bytes) -> dict[str, float]:
    """What cantools reads in a frame, by MESSAGE/SIGNAL; nothing when it refuses the frame."""
    message = database.get_message_by_frame_id(key)
    try:
        found = message.decode(data, decode_choices=False)
    except cantools.database.DecodeError:
        return {}
    return {f"{message.name}/{name}": float(value) for name, value in found.items()}


def test_every_signal_of_every_frame_of_the_foxbms_trace_is_what_cantools_reads(fox: tuple[Any, Any]) -> None:
    database, plan = fox
    names = [row["point"] for row in every_signal(database)]
    decoder = Decoder(plan)
    compared = 0
    for frame in trace():
        want = expected(database, frame[0], frame[1]) if frame[0] in plan.known else {}
        got = {names[row]: value for row, (value, _) in values_by_row(decoder.take([frame])).items()}
        if want:
            assert got == want
        compared += len(want)
    assert compared > 2000


def test_all_frames_of_the_trace_at_once_give_what_they_give_one_by_one(fox: tuple[Any, Any]) -> None:
    _, plan = fox
    one_by_one, at_once = Decoder(plan), Decoder(plan)
    single = [batch for frame in trace() for batch in one_by_one.take([frame])]
    together = at_once.take(trace())
    assert len(together) < len(single)
    for column in range(4):
        np.testing.assert_array_equal(
            np.concatenate([batch[column] for batch in single]), np.concatenate([batch[column] for batch in together])
        )
    for rows, *_ in together:
        assert len(np.unique(rows)) == len(rows), "no point twice in a batch"
    assert at_once.unknown == one_by_one.unknown
    assert at_once.unknown_frames == sum(frame[0] not in plan.known for frame in trace())


KINDS = """
BO_ 256 Motley: 8 BMS
 SG_ Word : 0|16@1+ (0.1,-40) [0|0] "degC" GW
 SG_ Turned : 23|16@0- (1,0) [0|0] "" GW
 SG_ Two : 32|2@1+ (1,0) [0|0] "" GW
 SG_ Flag : 34|1@1+ (1,0) [0|0] "" GW
 SG_ Sound : 35|1@1+ (1,0) [0|0] "" GW
 SG_ Mode : 40|4@1+ (1,0) [0|0] "" GW

BO_ 2566844672 Wide: 8 BMS
 SG_ Real : 0|32@1- (2,1) [0|0] "" GW
 SG_ Big : 39|32@0+ (1,0) [0|0] "" GW

BO_ 258 Huge: 8 BMS
 SG_ All : 0|64@1+ (1,0) [0|0] "" GW
"""
TAIL = 'VAL_ 256 Mode 0 "Open" 1 "Closed" 2 "Between" 15 "Not available" ;\nSIG_VALTYPE_ 2566844672 Real : 1;\n'
MAP = """
point,kind,message,signal,scale,offset,on,off,valid,invalid
word,analog,Motley,Word,10,5,,,Sound,
turned,analog,Motley,Turned,,,,,,0x7FFF|-1
two,double,Motley,Two,,,,,,
flag,binary,Motley,Flag,,,,,,
inverted,binary,Motley,Flag,-1,1,,,,
closed,binary,Motley,Mode,,,Closed,,,
breaker,double,Motley,Mode,,,Closed,Open|not available,!Flag,
real,analog,Wide,Real,,,,,,
big,analog,Wide,Big,,,,,,
all,counter,Huge,All,,,,,,
"""
WORD, TURNED, TWO, FLAG, INVERTED, CLOSED, BREAKER, REAL, BIG, ALL = range(10)
INVALID = int(Quality.INVALID)


@pytest.fixture
def motley(tmp_path: Path) -> Decoder:
    return Decoder(device(write_dbc(tmp_path, KINDS, TAIL), MAP))


def test_kinds_states_scale_and_validity(motley: Decoder) -> None:
    #       Word 1000   Turned -2   Two 2, Flag 0, Sound 1    Mode 1
    frame = bytes.fromhex("e803fffe0a010000")
    got = values_by_row(motley.take([(256, frame, 1)]))
    assert got == {
        WORD: ((1000 * 0.1 - 40) * 10 + 5, 0),
        TURNED: (-2.0, 0),
        TWO: (2.0, 0),
        FLAG: (0.0, 0),
        INVERTED: (1.0, 0),
        CLOSED: (1.0, 0),
        BREAKER: (2.0, 0),
    }


def test_what_says_of_itself_that_it_is_no_value_keeps_the_last_one_and_is_invalid(motley: Decoder) -> None:
    motley.take([(256, bytes.fromhex("e803fffe0a010000"), 1)])
    #       Sound 0     Turned 0x7FFF   Flag 1: the breaker is not valid
    got = values_by_row(motley.take([(256, bytes.fromhex("00007fff04000000"), 2)]))
    assert got[WORD] == (605.0, INVALID)
    assert got[TURNED] == (-2.0, INVALID)
    assert got[BREAKER] == (2.0, INVALID)
    assert got[FLAG] == (1.0, 0)
    assert values_by_row(motley.take([(256, bytes.fromhex("0000ffff000f0000"), 3)]))[TURNED][1] == INVALID


def test_29_bit_identifiers_floats_and_64_bits(motley: Decoder) -> None:
    key = 2566844672 & ~EXTENDED | EXTENDED
    got = values_by_row(motley.take([(key, bytes.fromhex("0000c03f00000102"), 1), (258, b"\xff" * 8, 2)]))
    assert got == {REAL: (4.0, 0), BIG: (258.0, 0), ALL: (float(2**64 - 1), 0)}
    assert values_by_row(motley.take([(key, bytes.fromhex("0000c07f00000000"), 1)]))[REAL] == (4.0, INVALID)
    assert motley.take([(key & ~EXTENDED, bytes(8), 1)]) == [], "the same number with 11 bits is another identifier"


def test_a_short_frame_is_counted_and_told_once_and_gives_nothing(motley: Decoder) -> None:
    assert motley.take([(256, bytes(7), 1), (256, b"", 2)]) == []
    assert motley.counters[0]["short_frames"] == 2
    (finding,) = motley.findings()
    assert finding.facts == {"message": "Motley", "id": "0x100", "found": 7, "expected": 8}
    assert not motley.heard, "a frame that is no good is no sign of life"
    assert motley.findings() == []


def test_a_long_frame_is_read_and_counted(tmp_path: Path) -> None:
    dbc = write_dbc(tmp_path, 'BO_ 1 Small: 2 BMS\n SG_ A : 7|16@0+ (1,0) [0|0] "" GW\n')
    decoder = Decoder(device(dbc, "point,kind,message,signal\na,analog,Small,A"))
    assert values_by_row(decoder.take([(1, b"\x01\x02" + bytes(6), 1)])) == {0: (258.0, 0)}
    assert decoder.counters[0]["long_frames"] == 1


NESTED = """
BO_ 300 Nest: 8 BMS
 SG_ Outer M : 0|8@1+ (1,0) [0|0] "" GW
 SG_ Common : 8|8@1+ (1,0) [0|0] "" GW
 SG_ Inner m1M : 16|8@1+ (1,0) [0|0] "" GW
 SG_ Deep m3 : 24|8@1+ (1,0) [0|0] "" GW
 SG_ Other m2 : 16|16@1- (1,0) [0|0] "" GW
 SG_ Either m2 : 32|8@1+ (1,0) [0|0] "" GW
"""
NESTED_TAIL = "SG_MUL_VAL_ 300 Inner Outer 1-1;\nSG_MUL_VAL_ 300 Deep Inner 3-3, 5-5;\n\
SG_MUL_VAL_ 300 Other Outer 2-2;\nSG_MUL_VAL_ 300 Either Outer 2-4;\n"


def test_nested_multiplexing_and_ranges(tmp_path: Path) -> None:
    path = write_dbc(tmp_path, NESTED, NESTED_TAIL)
    database = cantools.database.load_file(path)
    rows = every_signal(database)
    decoder = Decoder(bus(source(path, rows)))
    for outer in range(6):
        for inner in range(7):
            data = bytes((outer, 9, inner, 0x80, 5, 6, 7, 8))
            want = expected(database, 300, data)
            found = values_by_row(decoder.take([(300, data, 1)]))
            got = {rows[row]["point"]: value for row, (value, _) in found.items()}
            assert want.items() <= got.items()
            assert got["Nest/Common"] == 9.0, "what is in every frame is read whatever the multiplexer says"
            if want:
                assert got == want
    assert decoder.counters[0]["unknown_multiplexer"] == 2 * 7
    assert len(decoder.findings()) == 1


def test_changes_that_come_in_one_batch_all_arrive_in_order(motley: Decoder) -> None:
    frames = [(256, bytes((n, 0, 0, 0, 0, 0, 0, 0)), n) for n in range(5)]
    batches = motley.take(frames)
    assert [batch[3][0] for batch in batches] == [0, 1, 2, 3, 4]


CAN_FD = """
BO_ 512 Long: 64 BMS
 SG_ First : 0|12@1+ (1,0) [0|0] "" GW
 SG_ Late : 500|12@1- (0.5,0) [0|0] "" GW
 SG_ Turned : 403|57@0+ (1,0) [0|0] "" GW
 SG_ Real : 256|64@1- (1,0) [0|0] "" GW
BO_ 513 Short: 8 BMS
 SG_ End : 52|12@1+ (1,0) [0|0] "" GW
"""


def test_can_fd_beside_cantools(tmp_path: Path) -> None:
    path = write_dbc(tmp_path, CAN_FD, "SIG_VALTYPE_ 512 Real : 2;\n")
    database = cantools.database.load_file(path)
    rows = every_signal(database)
    decoder = Decoder(bus(source(path, rows, fd=True)))
    frames = [(512, bytes(range(100, 164)), 1), (513, bytes(range(240, 248)), 2), (512, b"\xf5" * 64, 3)]
    for frame in frames:
        found = values_by_row(decoder.take([frame]))
        got = {rows[row]["point"]: value for row, (value, _) in found.items()}
        assert got == expected(database, frame[0], frame[1])


def test_unknown_identifiers_are_counted_one_by_one_up_to_a_bound(motley: Decoder) -> None:
    motley.take([(key, b"", 1) for key in range(1000, 2000)] + [(1000, b"", 1)])
    assert motley.unknown_frames == 1001
    assert len(motley.unknown) == 256
    assert motley.unknown[1000] == 2
    assert [message.name for message in motley.silent()] == ["Motley", "Wide", "Huge"]
