"""Stories between one line's driver and its devices, over real sockets."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.contracts import DeviceState, Pulse, Write, WriteLost, WriteRefused
from gateway.points import Quality
from protocols.modbus import driver as driver_module
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import LinePlan, Table
from protocols.modbus.simulator import ModbusSimulator
from tests.kit.modbuskit import at, device_rows, line, lines, source
from tests.kit.modbusline import Scene, at_work
from tests.kit.recordingport import RecordingPort, until

INVALID, LOST = int(Quality.INVALID), int(Quality.COMM_LOST)

FOUR = """
point,kind,table,address,type
a,analog,input,0,int16
b,analog,input,1,int16
c,analog,input,2,int16
d,analog,input,3,int16
"""


def quick(text: str, **keys: object) -> LinePlan:
    return line(text, **{"scan_ms": 20, "timeout_ms": 200, "reconnect_max_s": 0.5, **keys})


def test_neighbours_cost_one_request_and_rates_are_kept_apart() -> None:
    async def story() -> None:
        rows = FOUR.replace("type\n", "type,scan_ms\n").replace(
            "d,analog,input,3,int16", "d,analog,input,3,int16,60000"
        )
        async with at_work(quick(rows)) as scene:
            await until(lambda: scene.count("scans") > 10, "scans")
            # The slow row once, all others together: a request a scan.
            assert scene.count("requests") == pytest.approx(scene.count("scans"), abs=1)
            assert scene.good(0, 1, 2, 3)

    asyncio.run(story())


def test_blocks_of_one_scan_carry_their_own_times() -> None:
    async def story() -> None:
        rows = "point,kind,table,address,type\na,analog,input,0,int16\nb,analog,holding,0,int16"
        async with at_work(quick(rows)) as scene:
            scene.simulator.faults.delay_s = 0.05
            await until(lambda: scene.count("scans") > 1, "scans")
            # The device holds each answer back for 50 ms, so the second block is that much younger.
            assert scene.port.time_ns[1] - scene.port.time_ns[0] != 0

    asyncio.run(story())


def test_a_refused_address_is_told_once_and_its_neighbours_are_read() -> None:
    async def story() -> None:
        async with at_work(quick(FOUR)) as scene:
            scene.simulator.refuse(Table.INPUT, 2)
            scene.show(r0=1, r1=2, r3=4)
            await until(lambda: scene.good(0, 1, 3), "the neighbours")
            assert scene.port.quality[2] & INVALID
            scans = scene.count("scans")
            exceptions = scene.count("exceptions")
            await until(lambda: scene.count("scans") > scans + 10, "more scans")
            assert scene.count("exceptions") == exceptions, "a refused address is left alone"
            assert scene.count("refused_points") == 1
            told = scene.port.log.of("address refused")
            assert told == [{"device": "dev", "point": "dev/c", "address": "input 2"}]
            assert scene.port.states_of("dev") == [DeviceState.CONNECTING, DeviceState.ONLINE]

    asyncio.run(story())


def test_a_refused_address_that_answers_later_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "REFUSED_RETRY_S", 0.2)

    async def story() -> None:
        async with at_work(quick(FOUR)) as scene:
            scene.simulator.refuse(Table.INPUT, 2)
            scene.show(r2=3)
            await until(lambda: scene.good(0, 1, 3), "the neighbours")
            scene.simulator.refuse(Table.INPUT)
            await until(lambda: scene.good(2) and scene.port.value[2] == 3, "the point that was refused")
            await until(lambda: scene.count("refused_points") == 0, "nothing refused any more")

    asyncio.run(story())


def test_a_device_that_refuses_gaps_is_read_around_them() -> None:
    async def story() -> None:
        rows = "point,kind,table,address,type\na,analog,input,0,int16\nb,analog,input,5,int16"
        async with at_work(quick(rows)) as scene:
            scene.simulator.refuse_gaps()
            await until(lambda: scene.good(0, 1), "both")
            assert scene.count("refused_points") == 0
            assert scene.port.log.of("address refused") == []

    asyncio.run(story())


def test_a_function_the_device_does_not_know_is_told_once() -> None:
    async def story() -> None:
        rows = FOUR + "x,analog,holding,0,int16"
        async with at_work(quick(rows)) as scene:
            scene.simulator.unlearn(4)
            await until(lambda: scene.good(4), "the other table")
            assert (scene.port.quality[:4] & INVALID != 0).all()
            (told,) = scene.port.log.of("function refused")
            assert told["points"] == 4

    asyncio.run(story())


def test_a_device_in_trouble_makes_its_points_invalid_until_it_is_not() -> None:
    async def story() -> None:
        async with at_work(quick(FOUR)) as scene:
            await until(lambda: scene.good(0, 1, 2, 3), "good")
            scene.simulator.faults.exception = 4
            await until(lambda: bool((scene.port.quality & INVALID).all()), "invalid")
            scans = scene.count("scans")
            await until(lambda: scene.count("scans") > scans + 5, "more scans")
            assert len(scene.port.log.of("read fails")) == 1
            assert scene.count("exception_4") >= 5
            scene.simulator.faults.exception = 0
            await until(lambda: scene.good(0, 1, 2, 3), "good again")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("fault", "counter"), [("short", "malformed"), ("wrong_function", "malformed"), ("wrong_unit", "wrong_unit")]
)
def test_answers_that_do_not_fit_are_counted_and_never_values(fault: str, counter: str) -> None:
    async def story() -> None:
        async with at_work(quick(FOUR)) as scene:
            scene.show(r0=1, r1=2, r2=3, r3=4)
            await until(lambda: scene.port.value.tolist() == [1, 2, 3, 4], "values")
            setattr(scene.simulator.faults, fault, True)
            scene.show(r0=11, r1=12, r2=13, r3=14)
            await until(lambda: scene.count(counter) > 0, counter)
            await until(lambda: bool((scene.port.quality & LOST).all()), "comm lost")
            assert 14.0 not in scene.port.seen[3]
            setattr(scene.simulator.faults, fault, False)
            await until(lambda: scene.port.value.tolist() == [11, 12, 13, 14], "values again")

    asyncio.run(story())


def test_late_answers_are_counted_and_never_values() -> None:
    async def story() -> None:
        async with at_work(quick(FOUR, retries=5)) as scene:
            await until(lambda: scene.good(0), "good")
            scene.simulator.faults.delay_s = 0.3
            await until(lambda: scene.count("late") > 0, "late answers")
            assert scene.count("timeouts") > 0

    asyncio.run(story())


def gateway_line(*units: int) -> LinePlan:
    """Devices u1, u2, ... behind one TCP gateway, one point each."""
    rows = device_rows("point,kind,table,address,type\na,analog,input,0,int16")
    return lines(
        *(
            source(rows, first_row=n, name=f"u{unit}", unit=unit, scan_ms=20, timeout_ms=100, reconnect_max_s=0.5)
            for n, unit in enumerate(units)
        )
    )


@pytest.mark.parametrize("fault", ["frozen_units", "absent_units"])
def test_a_dead_unit_costs_the_others_nothing(fault: str) -> None:
    async def story() -> None:
        async with at_work(gateway_line(1, 2, 3)) as scene:
            await until(lambda: scene.good(0, 1, 2), "all good")
            getattr(scene.simulator.faults, fault).add(2)
            await until(lambda: bool(scene.port.quality[1] & LOST), "unit 2 lost")
            before = {name: figures["scans"] for name, figures in scene.driver.counters().items()}
            tries = scene.count("requests", "u2")
            await until(lambda: scene.count("scans", "u1") > before["u1"] + 40, "unit 1 polled")
            assert scene.count("scans", "u3") > before["u3"] + 30
            asked = scene.count("requests", "u2") - tries
            assert asked < (scene.count("scans", "u1") - before["u1"]) / 4, "the dead unit is asked rarely"
            assert scene.good(0, 2)
            assert scene.count("disconnects", "u1") == 0, "the line stays up for the others"
            getattr(scene.simulator.faults, fault).clear()
            await until(lambda: scene.good(1), "unit 2 back")
            assert scene.port.states_of("u2")[1:] == [DeviceState.ONLINE, DeviceState.LOST, DeviceState.ONLINE]
            assert scene.port.states_of("u1") == [DeviceState.CONNECTING, DeviceState.ONLINE]

    asyncio.run(story())


def test_a_living_unit_is_found_behind_a_dead_one() -> None:
    async def story() -> None:
        plan = gateway_line(1, 2)
        async with at_work(plan) as scene:
            scene.simulator.faults.frozen_units.update({1, 2})
            await until(lambda: bool((scene.port.quality & LOST).all()), "both lost")
            scene.simulator.faults.frozen_units.discard(2)
            await until(lambda: scene.good(1), "unit 2")
            assert scene.port.quality[0] & LOST

    asyncio.run(story())


def test_units_lost_together_come_back_together() -> None:
    async def story() -> None:
        async with at_work(gateway_line(*range(1, 9))) as scene:
            await until(lambda: scene.good(*range(8)), "all good")
            scene.simulator.faults.absent_units.update(range(1, 8))
            await until(lambda: bool((scene.port.quality[:7] & LOST).all()), "seven lost")
            # Each would be left alone for 9 x 7 x 100 ms; the first that is back calls the others.
            scene.simulator.faults.absent_units.clear()
            await until(lambda: scene.good(*range(8)), "all good again")

    asyncio.run(story())


WRITES = """
point,kind,table,address,type,order,bit,scale,pulse_ms
power,setpoint,holding,0,int16,,,0.1,
energy,setpoint,holding,2,float32,CDAB,,,
run,control,coil,3,bit,,,,30
local,control,holding,4,uint16,,3,,30
remote,control,holding,4,uint16,,4,,
mode,control,holding,5,uint16,,,,
"""


async def write(scene: Scene, row: int, value: float, pulse: Pulse = Pulse.DEFAULT) -> list[tuple[int, float]]:
    await scene.driver.write(Write(row=row, value=value, pulse=pulse))
    return scene.simulator.written()


def test_every_kind_of_write_is_acknowledged_and_read_back() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            await until(lambda: scene.good(*range(6)), "good")
            for row, value in [(0, -12.3), (1, 2.5), (2, 1), (3, 1), (4, 1), (3, 0), (5, 1)]:
                assert await write(scene, row, value) == [(row, pytest.approx(value))]
            want = [-12.3, 2.5, 1, 0, 1, 1]
            await until(lambda: bool(np.allclose(scene.port.value, want)), "the set-points in force")

    asyncio.run(story())


def test_bits_of_one_register_do_not_race() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            await until(lambda: scene.good(3, 4), "good")
            await asyncio.gather(write(scene, 3, 1), write(scene, 4, 1))
            assert scene.simulator.values[[3, 4]].tolist() == [1, 1]

    asyncio.run(story())


def test_a_device_without_mask_write_refuses_bits_unless_told_otherwise() -> None:
    async def story(mode: str) -> None:
        async with at_work(quick(WRITES, bit_write=mode)) as scene:
            scene.simulator.unlearn(22)
            scene.show(r4=1)
            await until(lambda: scene.good(3, 4), "good")
            await write(scene, 3, 1)
            assert scene.simulator.values[[3, 4]].tolist() == [1, 1]

    with pytest.raises(WriteRefused, match=r"dev/local \(holding 4 bit 3\): mask write register: exception 1"):
        asyncio.run(story("mask"))
    asyncio.run(story("read-modify-write"))


def test_a_device_that_knows_only_multiple_writes() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            scene.simulator.unlearn(5, 6)
            await until(lambda: scene.good(0, 2), "good")
            assert await write(scene, 0, 5.0) == [(0, 5.0)]
            assert await write(scene, 2, 1) == [(2, 1)]
            refused = scene.count("exception_1")
            assert await write(scene, 0, 6.0) == [(0, 6.0)]
            assert scene.count("exception_1") == refused, "what it does not know is not tried twice"

    asyncio.run(story())


def test_a_pulse_goes_on_and_off() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            await until(lambda: scene.good(2, 3), "good")
            assert await write(scene, 2, 1, Pulse.SHORT) == [(2, 1), (2, 0)]
            assert await write(scene, 3, 1, Pulse.LONG) == [(3, 1), (3, 0)]
            assert await write(scene, 2, 0, Pulse.SHORT) == [(2, 0)]
            assert await write(scene, 2, 1, Pulse.PERSISTENT) == [(2, 1)]

    asyncio.run(story())


def test_the_end_of_a_pulse_is_sent_although_the_asker_has_gone() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            await until(lambda: scene.good(2), "good")
            asker = asyncio.create_task(write(scene, 2, 1, Pulse.SHORT))
            await until(lambda: scene.simulator.values[2] == 1, "on")
            asker.cancel()
            await until(lambda: scene.simulator.values[2] == 0, "off")

    asyncio.run(story())


def test_a_driver_that_stops_ends_its_pulses_first() -> None:
    async def story() -> None:
        rows = WRITES.replace("bit,,,,30", "bit,,,,60000")
        async with at_work(quick(rows)) as scene:
            await until(lambda: scene.good(2), "good")
            asker = asyncio.create_task(write(scene, 2, 1, Pulse.SHORT))
            await until(lambda: scene.simulator.values[2] == 1, "on")
        assert scene.simulator.values[2] == 0
        await asker

    asyncio.run(story())


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (0, 4000.0, r"dev/power \(holding 0\): 4000 gives raw 40000, outside int16"),
        (1, float("nan"), "is not a number that can be written"),
        (2, 2.0, "a control takes 0 or 1"),
        (5, 0.5, "a control takes 0 or 1"),
        (99, 1.0, "row 99 is not a commanded point"),
    ],
)
def test_a_write_that_cannot_be_is_refused_in_words(row: int, value: float, words: str) -> None:
    async def story() -> None:
        async with at_work(quick(WRITES)) as scene:
            await until(lambda: scene.good(0), "good")
            with pytest.raises(WriteRefused, match=words):
                await write(scene, row, value)
            assert scene.simulator.written() == []

    asyncio.run(story())


def test_a_write_goes_ahead_of_the_scans() -> None:
    async def story() -> None:
        many = "\n".join(f"p{n},analog,input,{n * 200},int16" for n in range(300))
        rows = "point,kind,table,address,type\ns,setpoint,holding,0,int16\n" + many
        async with at_work(quick(rows, scan_ms=1000)) as scene:
            scene.simulator.faults.delay_s = 0.01
            await until(lambda: scene.count("requests") > 5, "a long pass has begun")
            await write(scene, 0, 5.0)
            assert scene.count("scans") == 0, "the pass was still under way"

    asyncio.run(story())


def test_writes_that_wait_when_the_line_goes_are_lost_not_forgotten() -> None:
    async def story() -> None:
        async with at_work(quick(WRITES, timeout_ms=1000)) as scene:
            await until(lambda: scene.good(0), "good")
            scene.simulator.faults.frozen = True
            askers = [asyncio.create_task(write(scene, 0, float(n))) for n in range(3)]
            await asyncio.sleep(0.1)
            await scene.simulator.stop()
            for asker in askers:
                with pytest.raises(WriteLost):
                    await asker

    asyncio.run(story())


def test_a_cancellation_that_meets_an_answer_is_not_lost() -> None:
    class Port(RecordingPort):
        """Cancels the driver in the very turn of the loop in which an answer has come."""

        def now_ns(self) -> int:
            task.cancel()
            return super().now_ns()

    async def story() -> bool:
        nonlocal task
        plan = quick(FOUR)
        simulator = ModbusSimulator(plan)
        await simulator.start()
        task = asyncio.create_task(ModbusDriver(at(plan, simulator.url), Port(4)).run())
        done, _ = await asyncio.wait([task], timeout=10)
        await simulator.stop()
        return bool(done)

    task: asyncio.Task[None]
    assert asyncio.run(story()), "the driver has ended"
