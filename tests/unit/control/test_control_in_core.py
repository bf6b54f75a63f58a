"""Control in a core: the example's matrix row by row, units as masters command them, losses, stalls, restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.contracts.command import Action, Outcome, Reason, Stage
from gateway.control.store import ControlStore
from gateway.points.quality import Quality
from tests.kit.controlrig import MATRIX, Rig, control_plan
from tests.kit.sitekit import Site, small_site

SETPOINT, RUN = "bess1/pcs/setpoint", "bess1/pcs/run"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as site:
        yield site


def rig(site: Site, matrix: str = MATRIX, more: str = "") -> Rig:
    return Rig(control_plan(site, matrix, more), site.folder / "state")


def refused(outcome: Outcome, reason: Reason, text: str) -> None:
    assert (outcome.stage, outcome.reason) == (Stage.REFUSED, reason), outcome
    assert text in outcome.text


LATCHING = {
    "estop": ({"bess1__pcs__estop": 1.0}, {"bess1__pcs__estop": 0.0}),
    "overtemp_trip": ({"bess1__bms__cell_temp_max": 61.0}, {"bess1__bms__cell_temp_max": 30.0}),
    "overvoltage": ({"bess1__bms__cell_voltage_max": 3.7}, {"bess1__bms__cell_voltage_max": 3.3}),
    "cabinet_hot": (
        {"bess1__pcs__temp_a": 71.0, "bess1__pcs__temp_c": 71.0},
        {"bess1__pcs__temp_a": 30.0, "bess1__pcs__temp_c": 30.0},
    ),
}


async def _trip_restart_reset(site: Site, name: str) -> None:
    cause, cure = LATCHING[name]
    point = f"system/interlock/{name}"
    async with rig(site) as first:
        first.healthy()
        await first.cycles()
        first.show(**cause)
        await first.until(lambda: ("run", 0.0) in first.device.written, "the stop")
        assert ("setpoint", 0.0) in first.device.written
        assert first.value(f"{point}/first_out") == 1
        assert first.value("system/control/bess1/tripped") == 1
        refusal = await first.act(Action.RESET, name)
        assert "cause is still there" in refusal.text
    async with rig(site) as second:  # a new core, which has not heard of the plant yet
        await second.until(lambda: ("run", 0.0) in second.device.written, "the stop, from what was written down")
        second.healthy()
        second.show(**cure, bess1__pcs__running=0.0, bess1__pcs__run=0.0, bess1__pcs__setpoint=0.0)
        await second.cycles()
        assert second.value(f"{point}/latched") == 1
        assert second.value(f"{point}/active") == 0
        refused(await second.command(RUN, 1), Reason.INTERLOCKED, name)
        if name == "estop":
            refused(await second.act(Action.RESET, name), Reason.INTERLOCKED, "acknowledge it first")
            await second.done(Action.ACKNOWLEDGE_TRIP, name)
        await second.done(Action.RESET, name)
        await second.until(lambda: second.value(f"{point}/tripped") == 0, "the reset")
        second.device.written.clear()
        await second.cycles(5)
        assert second.device.written == []  # a reset starts nothing
        assert (await second.command(RUN, 1)).stage is Stage.COMPLETED


@pytest.mark.parametrize("name", LATCHING)
def test_a_latching_row_trips_survives_a_restart_and_is_reset(site: Site, name: str) -> None:
    asyncio.run(_trip_restart_reset(site, name))


@pytest.mark.parametrize("name", LATCHING)
def test_a_bypassed_row_does_nothing_and_trips_when_the_bypass_ends(site: Site, name: str) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            plant.healthy()
            await plant.cycles()
            refused(await plant.act(Action.BYPASS, name, 60.0), Reason.INTERLOCKED, "needs a reason")
            refused(await plant.act(Action.BYPASS, name, 1e9, "x"), Reason.INTERLOCKED, "at most")
            await plant.done(Action.BYPASS, name, 600.0, "sensor is changed")
            plant.show(**LATCHING[name][0])
            await plant.until(lambda: plant.value(f"system/interlock/{name}/active") == 1, "the cause")
            await plant.cycles()
            assert ("run", 0.0) not in plant.device.written
            assert plant.value(f"system/interlock/{name}/bypassed") == 1
        async with rig(site) as after:
            after.healthy()
            await after.cycles()
            assert after.value(f"system/interlock/{name}/bypassed") == 1
            after.show(**LATCHING[name][0])
            await after.until(lambda: after.value(f"system/interlock/{name}/active") == 1, "the cause")
            await after.done(Action.UNBYPASS, name)
            await after.until(lambda: ("run", 0.0) in after.device.written, "the trip")

    asyncio.run(story())


def test_a_derating_cuts_at_once_and_gives_back_along_the_ramp(site: Site) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            plant.healthy()
            await plant.cycles()
            assert (await plant.command(SETPOINT, 900)).stage is Stage.COMPLETED
            plant.show(bess1__bms__cell_temp_max=56.0)
            await plant.until(lambda: plant.value(SETPOINT) == 500, "the derating")
            assert plant.value("system/control/bess1/limited") == 1
            failed = await plant.command(SETPOINT, 800)
            assert (failed.stage, failed.reason) == (Stage.FAILED, Reason.INTERLOCKED)
            assert failed.text == "limited to 500 kW by overtemp_derate"
            plant.show(bess1__bms__cell_temp_max=30.0)
            await plant.until(lambda: plant.value(SETPOINT) == 800, "what was asked for")

    asyncio.run(story())


def test_a_lost_battery_ramps_to_zero_and_its_soc_stops_everything(site: Site) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            plant.healthy()
            await plant.cycles()
            assert (await plant.command(SETPOINT, 600)).stage is Stage.COMPLETED
            plant.show(bess1__bms__soc=Quality.NOT_TOPICAL)
            began = time.monotonic()
            await plant.until(lambda: plant.value(SETPOINT) == 0, "zero")
            assert time.monotonic() - began >= 0.3
            plant.show(bess1__bms__soc=60.0)
            await plant.until(lambda: plant.value(SETPOINT) == 600, "the set-point that stands")
            plant.show(bess1__bms__soc=20.0)
            await plant.until(lambda: plant.value(SETPOINT) == 0, "no discharge at the floor")
            assert (await plant.command(SETPOINT, -300)).stage is Stage.COMPLETED

    asyncio.run(story())


def test_a_master_hears_what_became_of_its_set_point(site: Site) -> None:
    async def story() -> None:
        async with rig(site, more=", limits_kw: [-500, 800]") as plant:
            refused(await plant.command(SETPOINT, 100), Reason.LOCAL, "not known")
            plant.healthy()
            await plant.cycles()
            refused(await plant.command(SETPOINT, 900), Reason.OUT_OF_RANGE, "-500 to 800")
            assert (await plant.command(SETPOINT, 300)).stage is Stage.COMPLETED
            assert plant.value("system/control/bess1/source") == 5
            assert (await plant.command(SETPOINT, 250, "asha")).stage is Stage.COMPLETED
            refused(await plant.command(SETPOINT, 400), Reason.LOCAL, "asha")
            assert (await plant.command("system/control/bess1/release", 1, "asha")).stage is Stage.COMPLETED
            await plant.until(lambda: plant.value(SETPOINT) == 300, "the master's set-point again")
            plant.device.lost = True
            lost = await plant.command(SETPOINT, 350)
            assert (lost.stage, lost.reason) == (Stage.FAILED, Reason.DEVICE_LOST)
            plant.device.lost = False
            await plant.until(lambda: plant.value(SETPOINT) == 350, "it stands, and is written again")

    asyncio.run(story())


def test_a_slow_ramp_is_completed_at_its_end_or_fails_by_the_deadline(site: Site) -> None:
    async def story() -> None:
        plan = control_plan(site)
        site.change("site.yaml", "ramp_kw_per_s: 20000", "ramp_kw_per_s: 1000")
        plan = site.load()
        async with Rig(plan, site.folder / "state") as plant:
            plant.healthy()
            await plant.cycles()
            began = time.monotonic()
            assert (await plant.command(SETPOINT, 500)).stage is Stage.COMPLETED
            assert time.monotonic() - began >= 0.28
            steps = [kw for what, kw in plant.device.written if what == "setpoint"]
            assert steps == sorted(steps)
            assert len(steps) > 5
            late = await plant.command(SETPOINT, -500, deadline_s=0.3)
            assert (late.stage, late.reason) == (Stage.FAILED, Reason.TIMEOUT)

    asyncio.run(story())


def test_a_set_point_expires_to_its_fallback(site: Site) -> None:
    async def story() -> None:
        async with rig(site, more=", valid_s: 0.2, fallback: 50") as plant:
            plant.healthy()
            await plant.cycles()
            assert (await plant.command(SETPOINT, 300)).stage is Stage.COMPLETED
            await plant.until(lambda: plant.value(SETPOINT) == 50, "the fallback")
            assert plant.value("system/control/bess1/source") == 7

    asyncio.run(story())


def test_stop_all_by_a_master_in_local_and_a_reset_by_a_person(site: Site) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            plant.healthy()
            plant.show(bess1__pcs__local=1.0)
            await plant.cycles()
            refused(await plant.command(SETPOINT, 100), Reason.LOCAL, "says local")
            assert (await plant.command("system/control/stop_all", 1)).stage is Stage.COMPLETED
            await plant.until(lambda: ("run", 0.0) in plant.device.written, "the stop")
            await plant.done(Action.RESET)
            await plant.until(lambda: plant.value("system/control/bess1/tripped") == 0, "the reset")

    asyncio.run(story())


def test_nothing_jumps_when_the_core_returns(site: Site) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            await plant.cycles()
            plant.healthy()
            await plant.cycles(30)  # beyond the time of grace
            assert plant.device.written == []
            assert plant.value("system/control/bess1/source") == 8

    asyncio.run(story())


def test_a_device_that_is_slow_holds_nothing_up_and_gets_the_newest_value(site: Site) -> None:
    async def story() -> None:
        async with rig(site) as plant:
            plant.healthy()
            await plant.cycles()
            plant.device.slow_s = 0.2
            asks = [asyncio.create_task(plant.command(SETPOINT, kw)) for kw in (300, 400, 500)]
            await plant.cycles(5)
            said = [await ask for ask in asks]
            assert [outcome.stage for outcome in said] == [Stage.FAILED, Stage.FAILED, Stage.COMPLETED]
            assert [outcome.reason for outcome in said[:2]] == [Reason.SUPERSEDED] * 2
            assert ("setpoint", 400.0) not in plant.device.written

    asyncio.run(story())


def test_the_heartbeat_counts_and_ends_with_the_cycle(site: Site) -> None:
    async def story() -> None:
        async with rig(site, more=", heartbeat: bess1/pcs/heartbeat, heartbeat_s: 0.1") as plant:
            plant.healthy()

            def beats() -> list[float]:
                return [value for what, value in plant.device.written if what == "heartbeat"]

            await plant.until(lambda: len(beats()) >= 3, "three beats")
            assert beats()[:3] == [1.0, 2.0, 3.0]
            assert plant.core.control is not None
            plant.core.control.stop()
            count = len(beats())
            await asyncio.sleep(0.3)
            assert len(beats()) <= count + 1

    asyncio.run(story())


def test_a_cycle_that_fails_or_stalls_makes_the_unit_safe(site: Site) -> None:
    async def story() -> None:
        plan = control_plan(site)
        site.change("site.yaml", "start_grace_s: 0.3", "start_grace_s: 0.3\n  watchdog_s: 0.5")
        plan = site.load()
        async with Rig(plan, site.folder / "state") as plant:
            plant.healthy()
            await plant.cycles()
            time.sleep(0.7)  # the loop hangs: the watchdog's own thread sees it
            await plant.until(lambda: ("run", 0.0) in plant.device.written, "the safe state")
            assert plant.value("system/interlock/watchdog/latched") == 1
            await plant.done(Action.RESET, "watchdog")
            plant.device.written.clear()
            assert plant.core.control is not None
            cycle = plant.core.control.cycle
            step, cycle.step = cycle.step, None  # type: ignore[assignment, method-assign]
            await plant.until(lambda: ("run", 0.0) in plant.device.written, "the safe state")
            cycle.step = step  # type: ignore[method-assign]
            await plant.until(lambda: plant.value("system/interlock/watchdog/latched") == 1, "the trip")

    asyncio.run(story())


def test_latches_that_cannot_be_read_count_as_tripped(site: Site) -> None:
    async def story() -> None:
        folder = site.folder / "state" / "control"
        folder.mkdir(parents=True)
        (folder / "latches.json").write_text('{"rows": [')
        async with rig(site) as plant:
            plant.healthy()
            await plant.until(lambda: ("run", 0.0) in plant.device.written, "the stop")
            assert plant.value("system/interlock/estop/latched") == 1

    asyncio.run(story())


def test_the_mark_of_a_stalled_core_trips_the_next(site: Site) -> None:
    async def story() -> None:
        plant = rig(site)
        (site.folder / "state" / "control").mkdir(parents=True)
        ControlStore(site.folder / "state" / "control", plant.log).mark_stalled()
        async with plant:
            plant.healthy()
            await plant.until(lambda: plant.value("system/interlock/watchdog/latched") == 1, "the trip")

    asyncio.run(story())


def test_an_interlock_writes_a_point_and_again_until_the_device_takes_it(site: Site) -> None:
    async def story() -> None:
        matrix = MATRIX + "fan,bess1/pcs/temp_a > 50,0,,write bess1/pcs/fan 1,no,auto,low,Fan on\n"
        async with rig(site, matrix) as plant:
            plant.healthy()
            await plant.cycles()
            plant.device.lost = True
            plant.show(bess1__pcs__temp_a=55.0)
            await plant.cycles()
            plant.device.lost = False
            await plant.until(lambda: ("fan", 1.0) in plant.device.written, "the fan")

    asyncio.run(story())
