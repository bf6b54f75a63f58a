"""Requests and answers, byte by byte. The vectors are those of MODBUS Application Protocol V1.1b3, clause 6."""

from __future__ import annotations

import pytest

from protocols.modbus import frame
from protocols.modbus.frame import Garbage, Malformed, Refusal
from protocols.modbus.plan import Table

# The master asks for holding registers 108 to 110 (6.3); the device answers 022B 0000 0064.
READ_3 = frame.read(Table.HOLDING, 107, 3)
ANSWER_3 = bytes.fromhex("03 06 022b 0000 0064")


def nothing(kind: str, unit: int) -> None:
    raise AssertionError(f"no stray expected: {kind} {unit}")


def test_requests_as_the_standard_writes_them() -> None:
    assert READ_3.pdu.hex() == "03006b0003"
    assert frame.read(Table.COIL, 19, 19).pdu.hex() == "0100130013"
    assert frame.read(Table.DISCRETE, 196, 22).pdu.hex() == "0200c40016"
    assert frame.read(Table.INPUT, 8, 1).pdu.hex() == "0400080001"
    assert frame.write_coil(172, True).pdu.hex() == "0500acff00"
    assert frame.write_register(1, b"\x00\x03").pdu.hex() == "0600010003"
    assert frame.write_coils(19, [True, False, True, True, False, False, True, True, True, False]).pdu.hex() == (
        "0f0013000a02cd01"
    )
    assert frame.write_registers(1, bytes.fromhex("000a0102")).pdu.hex() == "100001000204000a0102"
    assert frame.mask_write(4, 0xF2, 0x25).pdu.hex() == "16000400f20025"


def test_an_answer_gives_its_data() -> None:
    assert READ_3.data(ANSWER_3).hex() == "022b00000064"
    assert frame.read(Table.COIL, 19, 19).data(bytes.fromhex("0103cd6b05")).hex() == "cd6b05"
    assert frame.write_registers(1, bytes(4)).data(bytes.fromhex("1000010002"))


def test_an_exception_answer_is_a_refusal_in_words() -> None:
    with pytest.raises(Refusal, match=r"read holding registers: exception 2 \(illegal data address\)"):
        READ_3.data(b"\x83\x02")


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "03",
        "0306",
        "0306022b0000",
        "0304022b0000",
        "0306022b0000006400",
        "0406022b00000064",
        "84 02",
        "83",
        "830200",
    ],
)
def test_an_answer_that_does_not_fit_never_becomes_data(answer: str) -> None:
    with pytest.raises(Malformed):
        READ_3.data(bytes.fromhex(answer))


def test_a_write_is_acknowledged_only_by_its_echo() -> None:
    with pytest.raises(Malformed):
        frame.write_register(1, b"\x00\x03").data(bytes.fromhex("0600010004"))


WHOLE = frame.mbap_frame(7, 17, ANSWER_3)


def test_an_mbap_answer_whole_in_parts_and_with_a_tail() -> None:
    assert frame.match_mbap(WHOLE, 17, 7, nothing) == (len(WHOLE), ANSWER_3)
    for cut in range(len(WHOLE)):
        assert frame.match_mbap(WHOLE[:cut], 17, 7, nothing) == (0, None)
    assert frame.match_mbap(WHOLE + b"\x00\x09", 17, 7, nothing) == (len(WHOLE), ANSWER_3)


def test_late_and_foreign_answers_are_passed_over() -> None:
    strays: list[tuple[str, int]] = []
    late, foreign = frame.mbap_frame(6, 17, ANSWER_3), frame.mbap_frame(7, 18, ANSWER_3)
    used, pdu = frame.match_mbap(late + foreign + WHOLE, 17, 7, lambda kind, unit: strays.append((kind, unit)))
    assert (used, pdu) == (3 * len(WHOLE), ANSWER_3)
    assert strays == [("late", 17), ("wrong_unit", 18)]


@pytest.mark.parametrize("header", ["0007 0001 0003 11 83", "0007 0000 0001 11 83", "0007 0000 00ff 11 83"])
def test_a_header_that_no_device_sends_is_garbage(header: str) -> None:
    with pytest.raises(Garbage):
        frame.match_mbap(bytes.fromhex(header), 17, 7, nothing)


# Unit 17 over a serial line; the CRC of 01 04 02 FF FF is B8 80 (a well-known example).
RTU = frame.rtu_frame(17, ANSWER_3)


def test_the_crc_of_a_known_frame() -> None:
    assert frame.crc16(bytes.fromhex("010402ffff")).hex() == "b880"


def test_an_rtu_answer_whole_in_parts_and_after_noise() -> None:
    assert frame.match_rtu(RTU, 17, nothing) == (len(RTU), ANSWER_3)
    for cut in range(len(RTU)):
        assert frame.match_rtu(RTU[:cut], 17, nothing) == (0, None)
    noise = b"\xff\x00\x11\x03"
    assert frame.match_rtu(noise + RTU, 17, nothing) == (len(noise + RTU), ANSWER_3)


def test_an_rtu_frame_with_a_bad_crc_is_nothing() -> None:
    broken = RTU[:-1] + bytes((RTU[-1] ^ 1,))
    assert frame.match_rtu(broken, 17, nothing) == (0, None)


def test_an_rtu_answer_of_another_unit_is_passed_over() -> None:
    strays: list[tuple[str, int]] = []
    other = frame.rtu_frame(9, b"\x83\x02")
    assert frame.match_rtu(other + RTU, 17, lambda *s: strays.append(s)) == (len(other + RTU), ANSWER_3)
    assert strays == [("wrong_unit", 9)]
