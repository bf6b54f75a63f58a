"""What control says of itself to whoever asks through the feed: owner, validity, what stands in the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.contracts.command import Action, Command, Origin, Outcome, Stage
from gateway.control.view import control_view
from hmi.controlling.preview import preview
from tests.kit.controlrig import Rig, control_plan
from tests.kit.sitekit import Site, small_site

SETPOINT = "bess1/pcs/setpoint"
OMAR = Origin(protocol="hmi", server="_hmi", master="operator", peer="omar@10.0.0.7")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made


def view_of(rig: Rig) -> dict:
    assert rig.core.control is not None
    shown = control_view(rig.core.control, time.monotonic_ns(), time.time_ns())
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown, "it goes over the feed as it is"
    return shown


async def asked(rig: Rig, origin: Origin, value: float) -> Outcome:
    done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    rig.core.broker.submit(
        Command(
            id=1,
            row=rig.plan.catalogue.rows[SETPOINT],
            value=value,
            action=Action.EXECUTE,
            origin=origin,
            deadline_ns=time.time_ns() + 5 * 10**9,
        ),
        lambda outcome: done.set_result(outcome) if outcome.stage.final and not done.done() else None,
    )
    return await done


def test_who_drives_a_unit_and_for_how_long(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        plan = control_plan(site)
        plan.rights = {("_hmi", "operator"): plan.rights[("sldc", "main")], **plan.rights}
        async with Rig(plan, tmp_path / "state") as rig:
            rig.healthy()
            await rig.cycles(30)
            assert view_of(rig)["units"][0]["source"] == "hold"
            master = Origin(protocol="relay", server="sldc", master="main", peer="10.0.0.1")
            assert (await asked(rig, master, 100.0)).stage is Stage.COMPLETED
            [unit] = view_of(rig)["units"]
            assert (unit["source"], unit["remote"]["owner"], unit["remote"]["until"]) == ("remote", "sldc/main", None)
            assert (await asked(rig, OMAR, 150.0)).stage is Stage.COMPLETED
            shown = view_of(rig)
            [unit] = shown["units"]
            assert (unit["source"], unit["operator"]["owner"]) == ("operator", "omar@10.0.0.7")
            left_s = (unit["operator"]["until"] - shown["time"]) / 1e9
            assert 800 < left_s <= 900
            refused = await asked(rig, master, 120.0)
            assert refused.text == "omar@10.0.0.7 at the gateway holds bess1", "as a person at the command line does"
            assert (await asked(rig, master, 120.0)).stage is Stage.REFUSED
            row = rig.plan.catalogue.rows[SETPOINT]
            said = preview(rig.plan, shown, row, 150.0, 150.0)
            assert any("omar@10.0.0.7 holds bess1 at 150 kW" in line for line in said.lines)
            assert not said.warnings

    asyncio.run(scene())


def test_what_is_tripped_and_what_stands_in_the_way_of_its_reset(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(control_plan(site), tmp_path / "state") as rig:
            rig.healthy()
            await rig.cycles(30)
            assert view_of(rig)["interlocks"] == {}
            rig.show(bess1__pcs__estop=1.0)
            await rig.cycles(3)
            shown = view_of(rig)
            told, [unit] = shown["interlocks"]["estop"], shown["units"]
            assert told["latched"] and told["cause_there"] and "cause is still there" in told["no_reset"]
            assert (unit["first_out"], unit["blocked_by"], unit["stopped"]) == ("estop", "estop", True)
            row = rig.plan.catalogue.rows[SETPOINT]
            assert any("blocked by interlock estop" in line for line in preview(rig.plan, shown, row, 9, 0).warnings)
            run = rig.plan.catalogue.rows["bess1/pcs/run"]
            assert any("Emergency stop" in line for line in preview(rig.plan, shown, run, 1.0, 0.0).warnings)
            rig.show(bess1__pcs__estop=0.0)
            await rig.cycles(3)
            assert "acknowledge it first" in view_of(rig)["interlocks"]["estop"]["no_reset"]

    asyncio.run(scene())


def test_a_limit_that_would_cut_a_set_point_is_foretold(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        async with Rig(control_plan(site), tmp_path / "state") as rig:
            rig.healthy()
            await rig.cycles(30)
            rig.show(bess1__bms__cell_temp_max=57.0)
            await rig.cycles(10)
            shown = view_of(rig)
            row = rig.plan.catalogue.rows[SETPOINT]
            [warning] = [each for each in preview(rig.plan, shown, row, 800.0, 200.0).warnings if "cut to" in each]
            assert "-500 to 500 kW now" in warning and "cut to 500 kW" in warning
            assert not preview(rig.plan, shown, row, 400.0, 200.0).warnings

    asyncio.run(scene())
