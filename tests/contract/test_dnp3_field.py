"""Our driver of outstations beside our own outstation, over TCP: what one says arrives at the other as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.contracts import (
    Command,
    DeviceState,
    OnOutcome,
    Outcome,
    Pulse,
    Reason,
    Stage,
    Write,
    WriteLost,
    WriteRefused,
)
from gateway.points import ALL_FLAGS, Quality
from protocols.dnp3 import quality
from protocols.dnp3.control import STATUS_OF
from protocols.dnp3.field.decode import QUALITIES
from protocols.dnp3.field.driver import OutstationDriver
from protocols.dnp3.field.plan import LinePlan
from protocols.dnp3.outputs import CommandStatus
from protocols.dnp3.plan import UnsolicitedPlan
from tests.contract.server_suite import FakePort
from tests.kit.dnp3fieldkit import line, source
from tests.kit.dnp3kit import NOON, POINTS, Site, master, plan, site
from tests.kit.recordingport import RecordingPort, until

MAP = """
point,kind,type,index,mode,control
fault,binary,BI,0,,
breaker,double,DBI,0,,
power,analog,AI,0,,
frequency,analog,AI,1,,
energy,counter,CTR,0,,
frozen,counter,FCTR,0,,
run,control,BO,0,select,latch
horn,control,BO,5,direct,pulse
setpoint,setpoint,AO,0,select,
ramp,setpoint,AO,1,direct,
"""
FAULT, BREAKER, POWER, FREQUENCY, ENERGY, FROZEN, RUN, HORN, SETPOINT, RAMP = range(10)
QUICK = {"response_timeout_s": 1.0, "event_poll_s": 0.05, "command_timeout_s": 2.0, "reconnect_max_s": 0.3}


@asynccontextmanager
async def driven(made: LinePlan, port: int, size: int = 10) -> AsyncIterator[tuple[OutstationDriver, RecordingPort]]:
    core = RecordingPort(size)
    driver = OutstationDriver(replace(made, address=("127.0.0.1", port)), core)
    task = asyncio.create_task(driver.run())
    try:
        yield driver, core
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


Talk = Callable[[Site, OutstationDriver, RecordingPort], Awaitable[None]]


def play(talk: Talk, server: Any = None, **keys: Any) -> None:
    async def run() -> None:
        async with site(server) as running:
            made = line(source(MAP, **{**QUICK, **keys}))
            async with driven(made, running.server.bound_port) as (driver, core):
                await until(lambda: DeviceState.ONLINE in core.states_of("rtu1"), "online")
                await talk(running, driver, core)

    asyncio.run(run())


def test_values_arrive_with_quality_and_time() -> None:
    async def talk(site: Site, _driver: OutstationDriver, core: RecordingPort) -> None:
        assert core.value[[FAULT, BREAKER, POWER, FREQUENCY, ENERGY]].tolist() == [1, 3, 0, 1, 4]
        assert core.quality[FROZEN] == int(Quality.NEVER_REPORTED)
        site.port.change([(0, 77.5, int(Quality.OVER_RANGE), NOON), (2, 0.0, int(Quality.CHATTER), NOON + 1_000_000)])
        await until(lambda: core.value[POWER] == 77.5 and core.value[FAULT] == 0, "the events")
        assert core.quality[POWER] == int(Quality.OVER_RANGE) and core.time_ns[POWER] == NOON // 10**6 * 10**6
        assert core.quality[FAULT] & ~np.uint32(Quality.INVALID) == int(Quality.CHATTER)
        site.port.change([(2, 1.0, int(Quality.COMM_LOST), NOON + 5_000_000)])
        await until(lambda: core.value[FAULT] == 1, "the third")
        assert core.quality[FAULT] == int(Quality.COMM_LOST)

    play(talk)


def test_a_present_value_that_only_repeats_keeps_its_time() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        site.port.change([(0, 77.5, 0, NOON)])
        await until(lambda: core.value[POWER] == 77.5, "the event")
        batches = core.batches
        await until(lambda: core.batches > batches + 3, "further integrity polls")
        assert core.time_ns[POWER] == NOON // 10**6 * 10**6
        assert driver.counters()["rtu1"]["timeouts"] == 0

    play(talk, integrity_s=0.05)


def test_unsolicited_values_are_taken_and_confirmed() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        await until(lambda: site.main.outstation.unsolicited.enabled == {1, 2, 3}, "unsolicited is enabled")
        for step in range(5):
            site.port.change([(0, 100.0 + 10 * step, 0, NOON + step * 10**6)])
            await until(lambda step=step: core.value[POWER] == 100.0 + 10 * step, "the value")  # type: ignore[misc]
        await until(lambda: len(site.main.outstation.store) == 0, "all confirmed")
        assert driver.counters()["rtu1"]["unsolicited"] >= 5

    play(talk, plan(master(unsolicited=UnsolicitedPlan())), unsolicited=True, event_poll_s=0)


def refuse(reason: Reason) -> Any:
    return lambda command, tell: tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=reason))


def test_commands_direct_and_selected() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        await driver.write(Write(row=RUN, value=1.0))
        await driver.write(Write(row=HORN, value=1.0, pulse=Pulse.LONG))
        await driver.write(Write(row=SETPOINT, value=64.0))
        await driver.write(Write(row=RAMP, value=-2.5))
        heard = [(command.row, command.value, command.pulse) for command in site.port.commands.received]
        assert heard == [
            (6, 1.0, Pulse.DEFAULT),
            (10, 1.0, Pulse.SHORT),
            (5, 64.0, Pulse.DEFAULT),
            (5, -2.5, Pulse.DEFAULT),
        ]
        assert [command.row for command in site.port.commands.selects] == [6, 5]
        assert core.value[RAMP] == -2.5
        with pytest.raises(WriteRefused, match="takes no pulses"):
            await driver.write(Write(row=RUN, value=1.0, pulse=Pulse.SHORT))
        with pytest.raises(WriteRefused):
            await driver.write(Write(row=POWER, value=1.0))

    play(talk)


@pytest.mark.parametrize("row", [RAMP, SETPOINT])
def test_every_refusal_is_told_in_words_and_an_unknown_end_is_lost(row: int) -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        for reason in set(Reason) - {Reason.OK}:
            site.port.commands.script = refuse(reason)
            status = STATUS_OF[reason]
            lost = status is CommandStatus.DOWNSTREAM_FAIL and row == RAMP
            with pytest.raises(WriteLost if lost else WriteRefused, match=status.name.replace("_", " ").lower()):
                await driver.write(Write(row=row, value=1.0))

    play(talk)


def test_a_select_that_nobody_waits_for_any_more_is_not_operated() -> None:
    kept: list[tuple[Command, OnOutcome]] = []

    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        site.port.commands.script = lambda command, tell: kept.append((command, tell))
        writing = asyncio.create_task(driver.write(Write(row=SETPOINT, value=5.0)))
        await until(lambda: len(kept) == 1, "the select")
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        command, tell = kept.pop()
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
        site.port.change([(0, 50.0, 0, NOON)])
        await until(lambda: core.value[POWER] == 50.0, "life goes on")
        assert site.port.commands.received == [] and kept == []

    play(talk)


def test_a_restart_is_heeded_and_an_overflow_told() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        outstation = site.main.outstation
        await until(lambda: not outstation.restarted, "restart cleared")
        outstation.restarted = True
        site.port.set(0, 55.0, NOON)  # no event: only an integrity poll shows it
        await until(lambda: core.value[POWER] == 55.0, "integrity after the restart")
        await until(lambda: not outstation.restarted, "cleared again")
        site.port.change([(2, number % 2, 0, NOON + number * 10**6) for number in range(20)])
        await until(lambda: driver.counters()["rtu1"]["overflows"] == 1, "overflow")
        assert core.log.of("outstation lost events: its buffer ran over")
        assert core.states_of("rtu1") == [DeviceState.CONNECTING, DeviceState.ONLINE]

    play(talk, plan(master(capacity=(4, 4, 4))))


def test_the_time_is_set_when_the_outstation_needs_it() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        await until(lambda: not site.main.outstation._need_time, "the time is written")
        assert driver.counters()["rtu1"]["time_syncs"] == 1
        site.port.change([(0, 50.0, 0, NOON)])
        await until(lambda: core.value[POWER] == 50.0, "an event")
        assert core.quality[POWER] == 0

    play(talk, plan(master(parameters={"need_time_s": 3_600.0})), time_sync=True)


def test_times_of_a_clock_that_is_not_set_are_marked() -> None:
    async def talk(site: Site, driver: OutstationDriver, core: RecordingPort) -> None:
        await until(lambda: not site.main.outstation.restarted, "restart cleared")
        responses = driver.counters()["rtu1"]["responses"]
        await until(lambda: driver.counters()["rtu1"]["responses"] > responses + 2, "all is read again")
        site.port.change([(0, 50.0, 0, NOON)])
        await until(lambda: core.value[POWER] == 50.0, "an event")
        assert core.quality[POWER] == int(Quality.TIME_INVALID)

    play(talk, plan(master(parameters={"need_time_s": 3_600.0})))


def test_two_outstations_behind_one_connection_are_two_devices() -> None:
    """One of them is not there: the other serves all the same."""
    second = MAP.replace("fault", "other")

    async def run() -> None:
        both = plan(master(), master(name="second", outstation=11), system={})
        async with site(both) as running:
            made = line(
                source(MAP, **QUICK),
                source(second, first_row=10, name="rtu2", prefix="rtu2", outstation=11, **QUICK),
                source(second, first_row=20, name="rtu3", prefix="rtu3", outstation=12, **QUICK),
            )
            async with driven(made, running.server.bound_port, 30) as (driver, core):
                await until(lambda: DeviceState.LOST in core.states_of("rtu3"), "the third is lost")
                for name in ("rtu1", "rtu2"):
                    assert core.states_of(name) == [DeviceState.CONNECTING, DeviceState.ONLINE]
                running.port.change([(0, 60.0, 0, NOON)])
                await until(lambda: core.value[POWER] == core.value[10 + POWER] == 60.0, "both have it")
                await driver.write(Write(row=10 + RAMP, value=3.0))
                assert running.port.commands.received[-1].origin.master == "second"
                with pytest.raises(WriteLost):
                    await driver.write(Write(row=20 + RAMP, value=3.0))
                assert len(running.server.channels) == 1

    asyncio.run(run())


def test_an_outstation_that_starts_anew_is_found_again() -> None:
    async def run() -> None:
        port = FakePort(POINTS)
        for row in range(len(POINTS)):
            port.set(row, float(row), NOON)
        made = line(source(MAP, **QUICK))
        async with site(port=port) as running:
            number = running.server.bound_port
            async with driven(made, number) as (_driver, core):
                await until(lambda: DeviceState.ONLINE in core.states_of("rtu1"), "online")
                await running.server.stop()
                await until(lambda: core.states_of("rtu1")[-1] is DeviceState.LOST, "lost")
                assert core.quality[POWER] & int(Quality.COMM_LOST)
                async with site(plan(master(), listen=("127.0.0.1", number)), port=port) as again:
                    await until(lambda: core.states_of("rtu1")[-1] is DeviceState.ONLINE, "online again")
                    port.change([(2, 0.0, 0, NOON), (2, 1.0, 0, NOON + 10**6)])
                    await until(lambda: len(again.main.outstation.store) == 0, "events fetched")
                    assert core.seen[FAULT] == {0.0, 1.0}

    asyncio.run(run())


@pytest.mark.parametrize("family", list(quality.Family))
def test_the_flags_of_our_outstation_come_back_as_what_they_were(family: quality.Family) -> None:
    """All but what DNP3 has no word for: that comes as invalid, never as good."""
    all_of_them = np.arange(int(ALL_FLAGS) + 1, dtype=np.uint32)
    back = QUALITIES[family][quality.flags(family, all_of_them)]
    said = np.uint32(
        Quality.COMM_LOST
        | Quality.NEVER_REPORTED
        | Quality.SUBSTITUTED
        | Quality.LOCAL_FORCED
        | Quality.OVER_RANGE
        | Quality.REFERENCE_ERROR
        | Quality.CHATTER
        | Quality.INVALID
    )
    assert (back & ~said == 0).all()
    assert back[0] == 0
    doubtful = (all_of_them & ~np.uint32(Quality.TIME_INVALID)) != 0
    assert (back[doubtful] != 0).all()
    for flag in (Quality.COMM_LOST, Quality.NEVER_REPORTED, Quality.SUBSTITUTED, Quality.LOCAL_FORCED):
        assert back[int(flag)] == int(flag)
