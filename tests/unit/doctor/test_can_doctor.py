"""Each diagnosis of the CAN doctor, on a virtual bus with exactly that fault."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import can
import pytest

from gateway.contracts.doctor import Finding
from protocols.can.checksum import METHODS
from protocols.can.doctor import examine
from protocols.can.plan import BusPlan
from tests.kit.cankit import device, write_dbc
from tests.kit.doctorkit import catalogue, faults, finding, meanwhile, patient, running

DBC = """
BO_ 256 Cells: 8 BMS
 SG_ V1 : 0|16@1+ (0.001,0) [0|5] "V" GW

BO_ 288 Pack: 8 BMS
 SG_ U : 0|16@1+ (0.1,0) [0|1000] "V" GW
"""
MAP = "point,kind,message,signal\nv1,analog,Cells,V1\nu,analog,Pack,U\n"


def frame(identifier: int, data: bytes = bytes(8)) -> can.Message:
    return can.Message(arbitration_id=identifier, data=data, is_extended_id=False)


def error_frame() -> can.Message:
    return can.Message(is_error_frame=True, arbitration_id=0x08, data=bytes(8))


@pytest.fixture
def plan(tmp_path: Path) -> BusPlan:
    return device(write_dbc(tmp_path, DBC), MAP, default_cycle_ms=50)


def examined(plan: BusPlan, *frames: can.Message) -> list[Finding]:
    """While the doctor listens these frames come again and again."""

    async def story() -> list[Finding]:
        with can.Bus(interface="virtual", channel=plan.access.channel) as bus:

            def send() -> None:
                for each in frames:
                    bus.send(each)

            async with meanwhile(send):
                return await examine(patient(plan, catalogue(2)))

    return asyncio.run(story())


def test_a_bus_that_is_well(plan: BusPlan) -> None:
    found = examined(plan, frame(0x100), frame(0x120))
    assert faults(found) == []
    assert "2 of 2 points have a value" in finding(found, "frames").says


def test_nothing_at_all(plan: BusPlan) -> None:
    assert faults(examined(plan)) == ["nothing_heard"]


def test_error_frames_alone_are_a_wrong_bit_rate(plan: BusPlan) -> None:
    found = examined(plan, error_frame())
    assert faults(found) == ["bit_rate"]
    assert "is the bit rate that of the bus" in finding(found, "bit_rate").advice


def test_error_frames_among_good_ones_are_told(plan: BusPlan) -> None:
    found = examined(plan, frame(0x100), frame(0x120), error_frame())
    assert faults(found) == []
    assert "wiring" in finding(found, "error_frames").says


def test_a_message_that_is_silent(plan: BusPlan) -> None:
    found = examined(plan, frame(0x100))
    assert faults(found) == ["silent_messages"]
    assert finding(found, "silent_messages").evidence == ("0x120 Pack",)


def test_identifiers_that_nobody_knows(plan: BusPlan) -> None:
    found = examined(plan, frame(0x100), frame(0x120), frame(0x7AB))
    assert faults(found) == []
    assert finding(found, "unknown_identifiers").evidence[0].startswith("0x7AB: ")


def test_a_device_at_an_offset(plan: BusPlan) -> None:
    found = examined(plan, frame(0x110), frame(0x130))
    assert faults(found) == ["silent_messages"]
    assert (
        finding(found, "silent_messages").advice == "all of them come +0x10 away: put id_offset: 16 into the site file"
    )


def test_frames_that_are_too_short_for_the_dbc(plan: BusPlan) -> None:
    found = examined(plan, frame(0x100), frame(0x120, bytes(1)))
    assert faults(found) == ["short_frames", "silent_messages"]
    assert "0x120 Pack 8" in finding(found, "short_frames").evidence[0]


def test_a_bus_that_cannot_be_opened(tmp_path: Path) -> None:
    plan = device(write_dbc(tmp_path, DBC), MAP, interface="slcan", channel="/dev/no-such-adapter")
    assert faults(asyncio.run(examine(patient(plan, catalogue(2))))) == ["bus"]


def test_an_adapter_that_the_gateway_has(tmp_path: Path) -> None:
    plan = device(write_dbc(tmp_path, DBC), MAP, interface="slcan", channel="/dev/no-such-adapter")
    found = asyncio.run(examine(patient(plan, catalogue(2), running({"frames": 10, "bus_off": 1}, 2))))
    assert [each.code for each in found] == ["held", "bus_off"]


def test_the_doctor_sends_nothing(plan: BusPlan) -> None:
    async def story() -> list[can.Message]:
        with can.Bus(interface="virtual", channel=plan.access.channel) as bus:
            await examine(patient(plan, catalogue(2)))
            return [each for each in iter(lambda: bus.recv(0), None) if each is not None]

    assert asyncio.run(story()) == []


def counting(plan: BusPlan, spoil: Callable[[int, bytearray], None]) -> list[Finding]:
    """The cells' frames carry a counter in byte 6 and a checksum in byte 7; `spoil` changes the n-th frame."""

    async def story() -> list[Finding]:
        numbers = itertools.count()
        with can.Bus(interface="virtual", channel=plan.access.channel) as bus:

            def send() -> None:
                number = next(numbers)
                data = bytearray((number * 37 % 256, number * 11 % 7, 0, 0, 0, 0, number % 16, 0))
                data[7] = METHODS["crc8_autosar"](bytes(data[:7]))
                spoil(number, data)
                bus.send(frame(0x100, bytes(data)))
                bus.send(frame(0x120))

            async with meanwhile(send):
                return await examine(patient(plan, catalogue(2)))

    return asyncio.run(story())


def test_counters_and_checksums_that_are_right_are_no_finding(plan: BusPlan) -> None:
    assert faults(counting(plan, lambda number, data: None)) == []


def test_a_checksum_that_is_wrong_at_times(plan: BusPlan) -> None:
    def spoil(number: int, data: bytearray) -> None:
        data[7] ^= 0x55 if number % 8 == 3 else 0

    found = counting(plan, spoil)
    assert faults(found) == ["checksum"]
    assert "0x100 Cells: byte 7 (crc8_autosar) is wrong in" in finding(found, "checksum").evidence[0]


def test_a_counter_that_jumps_at_times(plan: BusPlan) -> None:
    def spoil(number: int, data: bytearray) -> None:
        data[6] = (number + number // 8) % 16
        data[7] = METHODS["crc8_autosar"](bytes(data[:7]))

    found = counting(plan, spoil)
    assert faults(found) == ["counter"]
    assert "byte 6 counts, but not by one in" in finding(found, "counter").evidence[0]
