"""Each diagnosis of the SunSpec doctor, on a simulated device that has exactly that fault."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import numpy as np

from gateway.contracts.doctor import Finding
from protocols.modbus.plan import Url
from protocols.sunspec.doctor import examine
from protocols.sunspec.simulator import SunSpecSimulator
from tests.kit.doctorkit import catalogue, faults, finding, patient, running, serving
from tests.kit.modbuskit import at
from tests.kit.sunspeckit import line

MAP = "point,kind,model,field\nw,analog,103,W\nhz,analog,103,Hz\nsoc,analog,802,SoC"


def examined(prepare: Callable[[SunSpecSimulator], object] = lambda simulator: None, unit: int = 1) -> list[Finding]:
    plan = line(MAP, scan_ms=50, timeout_ms=100)
    simulator = SunSpecSimulator(plan)
    simulator.set(plan.rows, np.array([1000.0, 50.0, 60.0]))
    prepare(simulator)

    async def story() -> list[Finding]:
        async with serving(simulator):
            mine = at(line(MAP, scan_ms=50, timeout_ms=100, unit=unit), simulator.url)
            return await examine(patient(mine, catalogue(3, p1=(45.0, 55.0))))

    return asyncio.run(story())


def test_a_device_that_is_well() -> None:
    found = examined()
    assert faults(found) == []
    assert "GridGate Simulated device SN-0001 has the models 1, 103, 802 at 40000" in finding(found, "models").says


def test_a_refused_connection() -> None:
    plan = at(line(MAP), Url(scheme="tcp", host="127.0.0.1", port=1))
    assert faults(asyncio.run(examine(patient(plan, catalogue(3))))) == ["connection_refused"]


def test_a_line_that_the_gateway_holds() -> None:
    plan = at(line(MAP), Url(scheme="rtu", host="/dev/no-such-port"))
    found = asyncio.run(examine(patient(plan, catalogue(3), running({"requests": 10, "timeouts": 3}, 3))))
    assert [each.code for each in found] == ["held", "silent_at_times"]


def test_a_wrong_unit() -> None:
    assert faults(examined(unit=4)) == ["wrong_unit"]


def test_no_models() -> None:
    found = examined(lambda simulator: simulator.device().set_raw(40000, b"\0\0\0\0"))
    assert faults(found) == ["no_models"]
    assert "50000: refused" in finding(found, "no_models").evidence[0]


def test_a_model_that_is_not_there() -> None:
    found = examined(lambda s: s.device().set_raw(s.device().models[802, 1][0], struct.pack(">H", 64500)))
    assert faults(found) == ["model"]
    assert (
        "1 points cannot be read: the device has no model 802; its models are 1, 103, 64500"
        in finding(found, "model").says
    )


def test_a_model_of_another_length() -> None:
    def lengthen(simulator: SunSpecSimulator) -> None:
        device = simulator.device()
        start, shape = device.models[802, 1]
        device.set_raw(start + 1, struct.pack(">H", shape.length - 2))
        device.set_raw(start + shape.length, b"\xff\xff\0\0")

    found = examined(lengthen)
    assert faults(found) == ["model"]
    assert "its length is 60, expected 62" in finding(found, "model").says


def test_fields_that_are_not_implemented() -> None:
    found = examined(lambda s: (s.device().unimplemented.add(0), s.set(np.array([0], np.uint32), np.array([1.0]))))
    assert faults(found) == []
    assert finding(found, "unimplemented").evidence == ("p0",)


def test_a_scale_factor_that_is_none() -> None:
    def spoil(simulator: SunSpecSimulator) -> None:
        device = simulator.device()
        start, shape = device.models[103, 1]
        device.set_raw(start + shape.model.offset("W_SF"), struct.pack(">h", -0x8000))

    found = examined(spoil)
    assert faults(found) == ["scale_factor"]
    assert finding(found, "scale_factor").evidence == ("p0",)


def test_a_value_out_of_its_range() -> None:
    found = examined(lambda s: s.set(np.array([1], np.uint32), np.array([60.0])))
    assert faults(found) == []
    assert finding(found, "out_of_range").evidence == ("p1 = 60",)


def test_late_answers() -> None:
    def slow(simulator: SunSpecSimulator) -> None:
        simulator.faults.delay_s = 0.2

    assert faults(examined(slow)) == ["late"]
