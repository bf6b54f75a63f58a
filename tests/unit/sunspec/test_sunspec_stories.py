"""Stories between a simulated SunSpec inverter, the driver and the core."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway.contracts import Write, WriteRefused
from gateway.points import Quality
from protocols.modbus.plan import LinePlan
from protocols.sunspec.driver import SunSpecDriver
from protocols.sunspec.simulator import SunSpecSimulator
from tests.kit.modbuskit import at
from tests.kit.recordingport import RecordingPort, until
from tests.kit.sunspeckit import line

NEVER = int(Quality.NEVER_REPORTED)
INVALID = int(Quality.INVALID)

Story = Callable[[SunSpecSimulator, SunSpecDriver, RecordingPort], Awaitable[None]]


def play(plan: LinePlan, story: Story, prepare: Callable[[SunSpecSimulator], None] = lambda simulator: None) -> None:
    async def scene() -> None:
        simulator = SunSpecSimulator(plan)
        simulator.set(plan.rows, np.arange(1.0, len(plan.rows) + 1))
        prepare(simulator)
        await simulator.start()
        port = RecordingPort(len(plan.rows))
        driver = SunSpecDriver(at(plan, simulator.url), port)
        task = asyncio.create_task(driver.run())
        try:
            await story(simulator, driver, port)
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await simulator.stop()

    asyncio.run(scene())


def inverter(text: str, **keys: object) -> LinePlan:
    return line("point,kind,model,instance,field,scale,revert_s,enable\n" + text, scan_ms=20, timeout_ms=300, **keys)


def set_(simulator: SunSpecSimulator, row: int, value: float) -> None:
    simulator.set(np.array([row], np.uint32), np.array([value]))


def test_a_changed_scale_factor_is_followed() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.value[0] == 1.0, "the power")
        # 12,345,678 W do not fit into 16 bits at the present scale: the inverter changes it.
        set_(simulator, 0, 12_345_678.0)
        await until(
            lambda: port.value[0] == 12_345_000.0 or port.value[0] == 12_346_000.0, "the power at its new scale"
        )
        assert port.seen[0] <= {1.0, 12_345_000.0, 12_346_000.0}, "never a number at the wrong scale"

    play(inverter("power,analog,103,,W,,,"), story)


def test_what_is_not_implemented_is_never_reported_and_not_a_number() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.batches > 2, "scans")
        assert port.quality.tolist() == [0, NEVER, NEVER, 0]
        assert port.value.tolist() == [1.0, 0.0, 0.0, 4.0]
        simulator.device().unimplemented.clear()
        set_(simulator, 1, 300.0)
        await until(lambda: port.quality[1] == 0, "it is there now")
        assert port.value[1] == 300.0

    play(
        inverter("power,analog,103,,W,,,\ndc,analog,103,,DCV,,,\nfault,binary,103,,Evt1.4,,,\nhz,analog,103,,Hz,,,"),
        story,
        lambda simulator: (
            simulator.device().unimplemented.update({1, 2}),
            simulator.set(np.arange(4, dtype=np.uint32), np.arange(1.0, 5.0)),
        )[0],
    )


def test_a_scale_factor_that_is_none_makes_no_value() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.batches > 2, "scans")
        device = simulator.device()
        start, shape = device.models[103, 1]
        device.set_raw(start + shape.model.offset("W_SF"), struct.pack(">h", -0x8000))
        await until(lambda: port.quality[0] == INVALID, "invalid")
        assert port.value[0] == 1.0, "the value of before"

    play(inverter("power,analog,103,,W,,,"), story)


def test_bits_and_states_have_names() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        simulator.set(np.arange(4, dtype=np.uint32), np.array([1.0, 0.0, 1.0, 4.0]))
        await until(lambda: port.value.tolist() == [1.0, 0.0, 1.0, 4.0], "ground fault, no other fault, tracking")

    play(
        inverter(
            "ground,binary,103,,Evt1.GROUND_FAULT,,,\nover,binary,103,,Evt1.DC_OVER_VOLT,,,\n"
            "mppt,binary,103,,St.MPPT,,,\nstate,analog,103,,St,,,"
        ),
        story,
    )


def test_several_of_one_model_and_nested_groups() -> None:
    plan = inverter(
        "a,analog,203,,W,,,\nb,analog,203,2,W,,,\nv,analog,705,,Crv[1].Pt[2].V,,,\nq,analog,705,,Crv[0].Pt[0].Var,,,"
    )

    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.value.tolist() == [1.0, 2.0, 3.0, 4.0], "each its own")
        (found,) = port.log.of("models found")
        assert found["models"] == "1 203 203 705"
        assert found["manufacturer"] == "GridGate"

    play(plan, story)


def test_a_simulated_device_keeps_the_counts_its_layout_rests_on() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.value.tolist() == [2.0, 2.0], "two strings, whatever the plant says")
        assert not port.log.of("model unusable")

    play(inverter("strings,analog,803,,NStr,,,\nsoc,analog,803,,string[1].StrSoC,,,"), story)


def test_a_model_of_another_length_is_told_and_gives_no_value() -> None:
    """The battery's model is two registers longer than its definition; the inverter's own is served."""

    def lengthen(simulator: SunSpecSimulator) -> None:
        device = simulator.device()
        start, shape = device.models[802, 1]
        device.set_raw(start + 1, struct.pack(">H", shape.length + 2))
        device.set_raw(start + 2 + shape.length + 2, b"\xff\xff\x00\x00")
        device.end += 2

    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.quality[0] == 0, "the inverter")
        await until(lambda: port.quality[1] & INVALID != 0, "the battery")
        assert 1 not in port.seen
        (told,) = port.log.of("model unusable")
        assert "model 802 at 40122 is not as SunSpec defines it: its length is 64, expected 62" in str(told["cause"])
        assert told["first"] == "inv/soc"
        with pytest.raises(WriteRefused, match="not found on the device"):
            await driver.write(Write(row=2, value=1.0))

    play(inverter("power,analog,103,,W,,,\nsoc,analog,802,,SoC,,,\nreset,control,802,,AlmRst,,,"), story, lengthen)


def test_a_model_that_is_not_there_is_told_with_those_that_are() -> None:
    plan = inverter("power,analog,103,,W,,,\nmore,analog,160,,module[3].DCW,,,\nw,analog,101,,W,,,")

    def renumber(simulator: SunSpecSimulator) -> None:
        """The single phase model calls itself one of a vendor, and there is only one tracker."""
        device = simulator.device()
        device.set_raw(device.models[101, 1][0], struct.pack(">H", 64001))

    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: len(port.log.of("model unusable")) == 1, "told")
        (told,) = port.log.of("model unusable")
        assert told["cause"] == "the device has no model 101; its models are 1, 64001, 103, 160"
        await until(lambda: port.quality.tolist() == [0, 0, NEVER | INVALID], "the others are read")

    play(plan, story, renumber)


def test_a_device_without_the_marker_is_told() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: bool(port.quality[0] & INVALID), "invalid")
        (told,) = port.log.of("no models")
        assert 'no SunSpec marker "SunS"' in str(told["cause"])
        with pytest.raises(WriteRefused, match="no SunSpec marker"):
            await driver.write(Write(row=1, value=1.0))

    play(
        inverter("power,analog,103,,W,,,\nconn,control,123,,Conn,,,"),
        story,
        lambda simulator: simulator.device().set_raw(40000, b"SunX"),
    )


def test_models_that_move_while_they_are_read_publish_nothing_until_they_are_found_again() -> None:
    """A string is added to the battery: every model behind it moves."""

    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.value.tolist() == [1.0, 2.0], "as it was")
        seen = {row: set(values) for row, values in port.seen.items()}
        device = simulator.device()
        start, shape = device.models[803, 1]
        grown = device.raw(start, device.end - start)
        size = 2 * shape.size(shape.model.groups[0])
        length = shape.length + size // 2
        cut = 2 * (shape.length + 2)
        moved = grown[:cut] + grown[cut - size : cut] + grown[cut:]
        device.end += size // 2
        device.set_raw(start, struct.pack(">HHH", 803, length, 2) + moved[6:])
        await until(lambda: len(port.log.of("models found")) == 2, "found again")
        batches = port.batches
        await until(lambda: port.batches > batches + 1, "read again")
        assert port.value.tolist() == [1.0, 2.0]
        assert port.seen == seen, "nothing that stood at the old addresses meanwhile"

    play(inverter("soc,analog,803,,string[0].StrSoC,,,\ntracker,analog,804,,SoC,,,"), story)


def test_the_reversion_time_is_written_before_the_limit_and_the_flag_after_it() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: not port.quality.any(), "read")
        await driver.write(Write(row=0, value=70.0))
        start, shape = simulator.device().models[123, 1]
        names = {start + shape.model.offset(point.name): point.name for point in shape.model.points}
        assert [(names[at], int.from_bytes(data, "big")) for at, data in simulator.device().writes] == [
            ("WMaxLimPct_RvrtTms", 60),
            ("WMaxLimPct", 700),
            ("WMaxLim_Ena", 1),
        ]
        await until(lambda: port.value[1] == 70.0 and port.value[2] == 1.0, "read back")
        simulator.device().writes.clear()
        await driver.write(Write(row=2, value=0.0))
        assert [(names[at], int.from_bytes(data, "big")) for at, data in simulator.device().writes] == [
            ("WMaxLimPct_RvrtTms", 30),
            ("WMaxLim_Ena", 0),
        ]

    plan = inverter(
        "limit,setpoint,123,,WMaxLimPct,,60,true\nlimit_now,analog,123,,WMaxLimPct,,,\n"
        "limiting,control,123,,WMaxLim_Ena,,30,\ntimer,analog,123,,WMaxLimPct_RvrtTms,,,"
    )
    play(plan, story)


def test_a_device_without_a_reversion_timer_takes_no_command_that_rests_on_one() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.quality[0] == 0, "read")
        with pytest.raises(WriteRefused, match="does not implement WMaxLimPct_RvrtTms"):
            await driver.write(Write(row=0, value=70.0))
        assert not simulator.device().writes

    def without(simulator: SunSpecSimulator) -> None:
        start, shape = simulator.device().models[123, 1]
        simulator.device().set_raw(start + shape.model.offset("WMaxLimPct_RvrtTms"), b"\xff\xff")

    play(inverter("limit,setpoint,123,,WMaxLimPct,,60,"), story, without)


def test_a_command_that_fails_half_way_says_where() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: port.quality[0] == 0, "read")
        simulator.faults.exception_functions = {6: 4, 16: 4}
        with pytest.raises(WriteRefused, match=r"write 1 of 2: .*exception 4"):
            await driver.write(Write(row=0, value=70.0))

    play(inverter("limit,setpoint,123,,WMaxLimPct,,,true"), story)


def test_heartbeat_alarm_reset_and_a_choice_are_commands() -> None:
    async def story(simulator: SunSpecSimulator, driver: SunSpecDriver, port: RecordingPort) -> None:
        await until(lambda: not port.quality.any(), "read")
        await driver.write(Write(row=0, value=70_000.0))
        await driver.write(Write(row=1, value=1.0))
        await driver.write(Write(row=2, value=1.0))
        assert [data.hex() for _, data in simulator.device().writes] == ["00011170", "0001", "0002"]
        with pytest.raises(WriteRefused, match="only 1 can be written"):
            await driver.write(Write(row=2, value=0.0))
        with pytest.raises(WriteRefused, match="stands for 'not implemented'"):
            await driver.write(Write(row=0, value=4294967295.0))

    play(
        inverter(
            "beat,setpoint,715,,ControllerHb,,,\nreset,control,715,,AlarmReset,,,\n"
            "standby,control,715,,OpCtl.ENTER_STANDBY,,,"
        ),
        story,
    )
