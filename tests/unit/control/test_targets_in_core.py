"""A fleet's and a reactive set-point in a core: *completed* means that the devices have them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.contracts.command import Outcome, Reason, Stage
from gateway.site.plan import SitePlan
from tests.kit.controlrig import Rig, control_plan
from tests.kit.sitekit import Site, small_site

FLEET, KVAR = "system/fleet/campus/setpoint_kw", "system/control/bess1/kvar"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made


def plan_of(site: Site, section: str) -> SitePlan:
    """The rig's site with one more section of control; the fan's neighbour plays the reactive set-point."""
    control_plan(site)
    site.change("site.yaml", "  start_grace_s: 0.3\n", f"  start_grace_s: 0.3\n  {section}\n")
    return site.load()


FLEET_OF_ONE = "fleets: [{name: campus, units: [bess1]}]"
REACTIVE = "reactive: [{unit: bess1, setpoint: bess1/pcs/heartbeat, rated_kva: 1100}]"


async def asked(rig: Rig, name: str, value: float) -> Outcome:
    return await rig.command(name, value, "asha")


async def ready(rig: Rig) -> None:
    rig.healthy()
    await rig.cycles(30)


def test_a_fleet_set_point_is_completed_when_the_unit_has_acknowledged_its_share(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, FLEET_OF_ONE), tmp_path / "state") as rig:
            await ready(rig)
            rig.device.slow_s = 0.3
            asking = asyncio.create_task(asked(rig, FLEET, 400.0))
            await rig.cycles(8)
            assert not asking.done(), "nothing is confirmed before the device"
            outcome = await asking
            assert outcome.stage is Stage.COMPLETED, outcome.text
            assert rig.device.written[-1] == ("setpoint", 400.0)

    asyncio.run(scene())


def test_a_fleet_set_point_that_the_device_does_not_take_has_failed(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, FLEET_OF_ONE), tmp_path / "state") as rig:
            await ready(rig)
            rig.device.lost = True
            outcome = await asked(rig, FLEET, 400.0)
            assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.DEVICE_LOST)

    asyncio.run(scene())


def test_a_fleet_set_point_against_an_interlock_has_failed_and_says_which(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, FLEET_OF_ONE), tmp_path / "state") as rig:
            await ready(rig)
            rig.device.slow_s = 0.5
            asking = asyncio.create_task(asked(rig, FLEET, 400.0))
            await rig.cycles(3)
            rig.show(bess1__bms__cell_temp_max=70.0)
            outcome = await asking
            assert outcome.stage is Stage.FAILED, "it is not said to be done"

    asyncio.run(scene())


def test_reactive_power_is_completed_when_the_device_has_acknowledged_it(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, REACTIVE), tmp_path / "state") as rig:
            await ready(rig)
            rig.device.slow_s = 0.3
            asking = asyncio.create_task(asked(rig, KVAR, 300.0))
            await rig.cycles(8)
            assert not asking.done(), "nothing is confirmed before the device"
            outcome = await asking
            assert outcome.stage is Stage.COMPLETED, outcome.text
            assert ("heartbeat", 300.0) in rig.device.written
            outcome = await asked(rig, "bess1/pcs/heartbeat", 250.0)
            assert outcome.stage is Stage.COMPLETED, "the device's own set-point goes the same way"

    asyncio.run(scene())


def test_reactive_power_that_is_lost_or_beyond_the_capability_has_failed(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, REACTIVE), tmp_path / "state") as rig:
            await ready(rig)
            rig.device.lost = True
            outcome = await asked(rig, KVAR, 300.0)
            assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.DEVICE_LOST)
            rig.device.lost = False
            rig.show(bess1__pcs__power=1000.0)
            outcome = await asked(rig, KVAR, 1000.0)
            assert outcome.stage is Stage.FAILED
            outcome = await asked(rig, KVAR, 1200.0)
            assert (outcome.stage, outcome.reason) == (Stage.REFUSED, Reason.OUT_OF_RANGE)

    asyncio.run(scene())


def test_a_mode_that_takes_no_set_point_refuses_it(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        section = REACTIVE.replace("rated_kva", "mode: power-factor, power_factor: 0.95, rated_kva")
        async with Rig(plan_of(site, section), tmp_path / "state") as rig:
            await ready(rig)
            outcome = await asked(rig, KVAR, 300.0)
            assert outcome.stage is Stage.REFUSED
            assert "goes by power-factor" in outcome.text

    asyncio.run(scene())


DROOP = "droop: [{unit: bess1, frequency: [bess1/pcs/temp_c], capacity_kwh: 2000}]"
ENABLE, OFF = "system/control/bess1/droop_enable", "system/control/bess1/droop_off"


def test_a_response_that_a_person_switched_off_is_off_after_a_restart_and_an_alarm(site: Site, tmp_path: Path) -> None:
    async def scene(plan: SitePlan, first: bool) -> None:
        async with Rig(plan, tmp_path / "state") as rig:
            await ready(rig)
            assert rig.value(OFF) == (0.0 if first else 1.0)
            if first:
                assert (await asked(rig, ENABLE, 0.0)).stage is Stage.COMPLETED
            await rig.until(lambda: rig.value(OFF) == 1.0, "the response switched off")
            standing = {rig.core.alarms.engine.alarms.name(index) for index in rig.core.alarms.engine.records}
            assert f"{OFF}/alarm" in standing

    plan = plan_of(site, DROOP)
    asyncio.run(scene(plan, True))
    asyncio.run(scene(plan, False))


def test_a_file_that_cannot_be_read_is_told_and_trips_nothing(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        folder = tmp_path / "state" / "control"
        folder.mkdir(parents=True)
        (folder / "targets.json").write_text('{"droop/bess1": {"enabled": "no"')
        async with Rig(plan_of(site, DROOP), tmp_path / "state") as rig:
            await ready(rig)
            assert rig.value(OFF) == 0.0
            assert rig.value("system/control/bess1/tripped") == 0.0
            assert any("cannot be read" in str(line) for line in rig.log.lines)

    asyncio.run(scene())


def test_a_reactive_set_point_is_refused_until_the_unit_has_been_heard_of(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(plan_of(site, REACTIVE), tmp_path / "state") as rig:
            rig.show(bess1__pcs__local=0.0)
            await rig.cycles(3)
            outcome = await asked(rig, KVAR, 100.0)
            assert (outcome.stage, outcome.reason) == (Stage.REFUSED, Reason.BLOCKED)

    asyncio.run(scene())
