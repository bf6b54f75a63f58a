"""Each diagnosis of the Modbus doctor, on a simulated device that has exactly that fault."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest

from gateway.contracts.doctor import Finding, Verdict
from gateway.points.model import PointCatalogue
from protocols.modbus.doctor import examine
from protocols.modbus.frame import rtu_frame
from protocols.modbus.plan import LinePlan, Table, Url
from protocols.modbus.simulator import ModbusSimulator
from tests.kit import doctorkit
from tests.kit.doctorkit import catalogue, faults, finding, meanwhile, patient, running, serving
from tests.kit.modbuskit import at, line

TCP = "tcp://127.0.0.1:0"
RTU = "rtuovertcp://127.0.0.1:0"
MAP = """
point,kind,table,address,type,order,scale
voltage,analog,input,0,float32,ABCD,
frequency,analog,input,2,float32,ABCD,
power,analog,input,4,int16,,
energy,counter,input,6,uint32,ABCD,
limit,setpoint,holding,0,uint16,,
"""
VALUES = (230.5, 49.98, -120.0, 70_000.0, 100.0)
RANGES = {"p0": (0.0, 500.0), "p1": (45.0, 55.0), "p2": (-500.0, 500.0), "p3": (0.0, 1e6), "p4": (0.0, 500.0)}


def meter(text: str = MAP, url: str = TCP, **keys: object) -> ModbusSimulator:
    plan = line(text, url=url, **keys)
    simulator = ModbusSimulator(plan)
    simulator.set(plan.rows, np.array(VALUES[: len(plan.rows)]))
    return simulator


def examined(
    simulator: ModbusSimulator, plan: LinePlan | None = None, points: PointCatalogue | None = None, action=None
):
    """What the doctor finds, with the device's own map or another."""

    async def story() -> list[Finding]:
        async with serving(simulator):
            mine = at(plan or simulator._plan, simulator.url)
            who = patient(mine, points or catalogue(len(mine.rows), **RANGES))
            if action is None:
                return await examine(who)
            async with meanwhile(action):
                return await examine(who)

    return asyncio.run(story())


def at_url(plan: LinePlan, url: Url) -> list[Finding]:
    return asyncio.run(examine(patient(at(plan, url), catalogue(len(plan.rows)))))


def test_a_device_that_is_well_is_told_so() -> None:
    found = examined(meter())
    assert faults(found) == []
    assert {each.code for each in found} == {"answers", "plausible"}


def test_a_name_without_an_address() -> None:
    found = at_url(line(MAP), Url(scheme="tcp", host="no-such-device.invalid", port=502))
    assert faults(found) == ["name"]


def test_a_refused_connection() -> None:
    found = at_url(line(MAP), Url(scheme="tcp", host="127.0.0.1", port=1))
    assert faults(found) == ["connection_refused"]
    assert "is the port right" in found[0].advice


def test_a_connection_that_is_not_taken() -> None:
    """A host that drops what comes: its queue is full, as behind a firewall."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(address)
        found = at_url(line(MAP, timeout_ms=50), Url(scheme="tcp", host="127.0.0.1", port=address[1]))
    assert faults(found) == ["no_connection"]


def test_a_serial_port_that_is_not_there() -> None:
    found = at_url(line(MAP), Url(scheme="rtu", host="/dev/no-such-port"))
    assert faults(found) == ["serial_port"]


def test_a_wrong_unit_and_the_one_that_answers() -> None:
    found = examined(meter(unit=3), plan=line(MAP, unit=1, timeout_ms=50))
    assert faults(found) == ["wrong_unit"]
    assert "unit 1 does not answer, but unit 3 does" in found[0].says


def test_a_unit_that_its_gateway_does_not_reach() -> None:
    simulator = meter(unit=1)
    simulator.faults.absent_units.add(1)
    found = examined(simulator, plan=line(MAP, unit=1, timeout_ms=50))
    assert faults(found) == ["silent"]
    assert "exception 11" in found[0].evidence[0]


def test_addresses_that_are_refused_by_name() -> None:
    simulator = meter()
    simulator.refuse(Table.INPUT, 4)
    found = examined(simulator)
    assert faults(found) == ["refused"]
    assert finding(found, "refused").evidence == ("dev/power (input 4): exception 2 (illegal data address)",)


def test_a_function_the_device_does_not_know() -> None:
    simulator = meter()
    simulator.unlearn(4)
    found = examined(simulator)
    assert faults(found) == ["refused"]
    assert "exception 1 (illegal function)" in finding(found, "refused").evidence[0]


def test_late_answers() -> None:
    simulator = meter(timeout_ms=100)
    simulator.faults.delay_s = 0.2
    found = examined(simulator)
    assert faults(found) == ["late"]
    assert "waits 100 ms" in finding(found, "late").says
    assert "raise timeout_ms" in finding(found, "late").advice


def test_a_scan_faster_than_the_line() -> None:
    simulator = meter(scan_ms=20)
    simulator.faults.delay_s = 0.05
    found = examined(simulator)
    assert faults(found) == ["scan_too_slow"]
    assert finding(found, "scan_too_slow").evidence[0] == "asked for: 2 reads every 20 ms"


def test_nothing_but_zeros() -> None:
    simulator = meter()
    simulator.set(simulator._plan.rows, np.zeros(5))
    assert faults(examined(simulator)) == ["all_zero"]


@pytest.mark.parametrize("order", ["CDAB", "BADC", "DCBA"])
def test_the_byte_order_that_fits(order: str) -> None:
    found = examined(meter(MAP.replace("ABCD", order)), plan=line(MAP))
    assert "byte_order" in faults(found)
    told = finding(found, "byte_order")
    assert told.says.startswith(f"byte order: {order} fits 3 of 3 values of 32 bits")
    assert f"{order} 230.5" in told.evidence[0]
    assert set(faults(found)) == {"byte_order"}


@pytest.mark.parametrize(("scale", "words"), [("0.1", "10 times too large"), ("100", "100 times too small")])
def test_a_scale_off_by_a_power_of_ten(scale: str, words: str) -> None:
    text = "point,kind,table,address,type,scale\nfrequency,analog,input,0,int16,"
    simulator = ModbusSimulator(line(text + scale))
    wanted = 50.0 if scale == "0.1" else 5000.0
    simulator.set(np.array([0], np.uint32), np.array([wanted]))
    found = examined(simulator, plan=line(text), points=catalogue(1, 0.9 * wanted, 1.1 * wanted))
    assert faults(found) == ["scale"]
    assert words in finding(found, "scale").says
    assert f"with scale {float(scale):g} it is {wanted:g}" in finding(found, "scale").evidence[0]


def test_a_negative_number_without_its_sign() -> None:
    text = "point,kind,table,address,type\npower,analog,input,0,"
    simulator = ModbusSimulator(line(text + "int16"))
    simulator.set(np.array([0], np.uint32), np.array([-120.0]))
    found = examined(simulator, plan=line(text + "uint16"), points=catalogue(1, -500.0, 500.0))
    assert faults(found) == ["sign"]


def test_two_devices_of_one_number() -> None:
    simulator = meter(url=RTU)
    simulator.faults.doubled = True
    found = examined(simulator)
    assert faults(found) == ["duplicate_unit"]


def test_another_master_on_the_line() -> None:
    """Unit 9 answers questions that we have not asked."""
    simulator = meter(url=RTU)
    found = examined(simulator, action=lambda: simulator.say(rtu_frame(9, b"\x03\x02\x00\x01")))
    assert faults(found) == ["another_master"]
    assert "unit 9" in " ".join(finding(found, "another_master").evidence)


def test_set_points_that_somebody_else_writes() -> None:
    simulator = meter()
    steps = iter(range(100, 400))
    found = examined(simulator, action=lambda: simulator.set(np.array([4], np.uint32), np.array([float(next(steps))])))
    assert faults(found) == []
    assert finding(found, "written_by_others").evidence == ("dev/limit (holding 0)",)


def test_a_line_that_the_gateway_holds_is_judged_by_its_counters() -> None:
    live = running({"requests": 100, "timeouts": 7, "late": 2, "scans": 30, "scans_late": 10}, 5)
    for url in (Url(scheme="rtu", host="/dev/no-such-port"), Url(scheme="rtuovertcp", host="127.0.0.1", port=1)):
        found = asyncio.run(examine(patient(at(line(MAP), url), catalogue(5), live)))
        assert [each.code for each in found] == ["held", "silent_at_times", "late_at_times", "scans_late"]
        assert "7 requests were not answered in time; 100 requests in all" in found[1].says
        assert "of 40 scans that were due 30 were made (75 %)" in found[3].says


def test_a_map_without_points() -> None:
    found = examined(meter(), plan=line("point,kind,table,address,type"))
    assert [each.code for each in found] == ["no_points"]


def test_a_device_of_one_connection_is_judged_by_the_counters() -> None:
    plan = at(line(MAP), Url(scheme="tcp", host="127.0.0.1", port=1))
    found = asyncio.run(examine(patient(plan, catalogue(5), running({"requests": 9}, 5))))
    assert [(each.code, each.verdict) for each in found] == [("held", Verdict.NOTE)]
    assert doctorkit.faults(found) == []


def test_the_doctor_never_writes() -> None:
    simulator = meter()
    examined(simulator)
    assert simulator.written() == []
