"""Controllers of the cycle: image in, requests and points out."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest

from gateway.contracts import WriteLost
from gateway.control.agc import AgcSettings
from gateway.control.controller import PriorityClass, Request
from gateway.control.dispatch import DispatchMethod
from gateway.control.envelope import EnvelopeSettings
from gateway.control.evidence.analysis import Grounds
from gateway.control.frequency.controller import DroopController
from gateway.control.frequency.curve import Band, no_step
from gateway.control.frequency.plan import DroopPlan, DroopRows
from gateway.control.frequency.response import ResponseSettings, ResponseState
from gateway.control.reactive import Capability, ReactiveMode, ReactiveSettings
from gateway.control.recovery import RecoverySettings
from gateway.control.schedule import Schedule
from gateway.control.targets.agc import AgcController, AgcPlan, AgcRows
from gateway.control.targets.fleet import FleetController, FleetPlan, FleetRows, Member
from gateway.control.targets.reactive import ReactiveController, ReactivePlan, ReactiveRows
from gateway.control.targets.schedule import ScheduleController, SchedulePlan, ScheduleRows
from tests.kit.controlkit import WALL_NS, image, view

BAND = Band(49.97, 50.03)
PMU, METER, SOC, POWER = 1, 2, 3, 4


def rows(kind: type) -> object:  # type: ignore[type-arg]
    """Rows from 100 on, in the order of the fields."""
    return kind(**{field.name: 100 + number for number, field in enumerate(fields(kind))})


DROOP_ROWS: DroopRows = rows(DroopRows)  # type: ignore[assignment]


def droop(**more: object) -> DroopController:
    settings = ResponseSettings(curve=no_step(50, 5, BAND), band=BAND, hold_s=1.0, lost_ramp_percent_per_s=5.0)
    plan = DroopPlan(
        unit=0,
        name="bess1",
        frequency=(PMU, METER),
        rated_kw=1000,
        response=settings,
        envelope=EnvelopeSettings(discharge_kw=1000, charge_kw=1000, capacity_kwh=2000, reserve_s=900),
        grounds=Grounds(band=BAND, nominal_hz=50, rated_kw=1000, counted_from_hz=(49.97, 50.03)),
        rows=DROOP_ROWS,
        ramp_kw_per_s=math.inf,
        soc=SOC,
        power=POWER,
        **more,  # type: ignore[arg-type]
    )
    return DroopController(plan)


def added(controller: DroopController, values: dict[int, float | None], now_s: float, **unit: bool) -> float:
    result = controller.step(image(values, now_s), [view(**unit)])  # type: ignore[arg-type]
    [add] = [request.add_kw for request in result.requests if request.priority is PriorityClass.RESPONSE]
    assert add is not None
    return add


GOOD: dict[int, float | None] = {PMU: 50.0, METER: 50.0, SOC: 50.0, POWER: 0.0}


@pytest.mark.parametrize(
    ("values", "kw"),
    [({}, 0), ({PMU: 49.72}, 100), ({PMU: 50.28}, -100), ({PMU: None, METER: 49.72}, 100), ({PMU: 49.98}, 0)],
)
def test_droop_adds_to_the_base(values: dict[int, float | None], kw: float) -> None:
    assert added(droop(), GOOD | values, 0.0) == pytest.approx(kw)


def test_without_any_frequency_it_holds_then_fades_and_says_so() -> None:
    controller = droop()
    assert added(controller, GOOD | {PMU: 49.72}, 0.0) == pytest.approx(100)
    lost = GOOD | {PMU: None, METER: None}
    assert added(controller, lost, 0.5) == pytest.approx(100)
    result = controller.step(image(lost, 1.4), [view()])
    assert dict(result.points)[DROOP_ROWS.frequency_lost] == 1.0
    assert DROOP_ROWS.frequency_hz in result.invalid
    assert added(controller, lost, 2.4) < 100
    assert added(controller, lost, 30.0) == 0


@pytest.mark.parametrize("unit", [{"local": True}, {"tripped": True}])
def test_in_local_and_after_a_trip_it_rests(unit: dict[str, bool]) -> None:
    assert added(droop(), GOOD | {PMU: 49.5}, 0.0, **unit) == 0


def test_switched_off_it_rests() -> None:
    controller = droop()
    assert controller.commands[DROOP_ROWS.droop_enable](0.0, 0) == ""
    assert added(controller, GOOD | {PMU: 49.5}, 0.0) == 0
    controller.commands[DROOP_ROWS.droop_enable](1.0, 0)
    assert added(controller, GOOD | {PMU: 49.5}, 0.02) > 0


def test_a_test_frequency_holds_for_its_lease_and_ends_by_itself() -> None:
    controller = droop()
    assert controller.commands[DROOP_ROWS.test_hz](49.72, 0) == ""
    assert added(controller, GOOD, 0.0) == pytest.approx(100)
    assert added(controller, GOOD, 2.9) == pytest.approx(100)
    assert added(controller, GOOD, 3.1) == 0
    assert "outside" in controller.commands[DROOP_ROWS.test_hz](10.0, 0)


def test_energy_limits_the_set_point_before_the_response() -> None:
    result = droop().step(image(GOOD | {SOC: 32.5}, 0.0), [view()])
    limits = next(request for request in result.requests if request.priority is PriorityClass.INTERLOCK)
    assert (limits.low_kw, limits.high_kw) == (-1000, 1000)
    assert limits.base_high_kw == 0


def test_recovery_in_the_dead_band_alone() -> None:
    controller = droop(recovery=RecoverySettings(capacity_kwh=2000, limit_kw=50))
    assert added(controller, GOOD | {SOC: 30.0}, 0.0) == -50
    assert added(controller, GOOD | {SOC: 30.0, PMU: 49.72}, 0.02) == pytest.approx(100)


def test_states_and_headroom_are_shown() -> None:
    shown = dict(droop().step(image(GOOD | {PMU: 49.72, POWER: 300.0}, 0.0), [view(300.0)]).points)
    assert shown[DROOP_ROWS.droop_state] == ResponseState.RESPONDING
    assert shown[DROOP_ROWS.headroom_up_kw] == 700
    assert shown[DROOP_ROWS.headroom_down_kw] == 1300
    assert shown[DROOP_ROWS.frequency_band] == 1  # alert low


def test_an_excursion_is_kept_with_what_the_unit_did() -> None:
    controller = droop()
    for cycle in range(100 + 50 + 3100):
        frequency = 49.72 if 100 <= cycle < 150 else 50.0
        controller.step(image(GOOD | {PMU: frequency}, cycle * 0.02), [view(10.0, 10.0)])
    [stored] = controller.finished()
    excursion = stored.excursion
    assert controller.finished() == []
    assert (excursion.samples["frequency_hz"] == 49.72).sum() == 50
    assert excursion.samples["expected_kw"].max() == pytest.approx(110)


# -- AGC, schedule ----------------------------------------------------------------------------------------------------


def targets(requests: object) -> list[tuple[int, float | None, str]]:
    return [(request.priority, request.target_kw, request.source) for request in requests]  # type: ignore[attr-defined]


def test_agc_by_command_needs_a_fresh_signal() -> None:
    at: AgcRows = rows(AgcRows)  # type: ignore[assignment]
    agc = AgcController(AgcPlan(unit=0, settings=AgcSettings(low_kw=-500, high_kw=500), rows=at))
    assert agc.step(image({}, 0.0), [view()]).requests == []
    assert agc.commands[at.agc_enable](1.0, 0) == ""
    lost = agc.step(image({}, 0.0), [view()])
    assert (lost.requests, dict(lost.points)[at.agc_lost]) == ([], 1.0)
    assert agc.commands[at.agc_kw](250.0, 1_000_000_000) == ""
    assert targets(agc.step(image({}, 2.0), [view()]).requests) == [(PriorityClass.REMOTE, 250.0, "agc")]
    assert agc.step(image({}, 14.0), [view()]).requests == []
    assert "outside" in agc.commands[at.agc_kw](501.0, 0)


def test_a_schedule_asks_below_a_masters_set_point() -> None:
    at: ScheduleRows = rows(ScheduleRows)  # type: ignore[assignment]
    plan = SchedulePlan(
        unit=0, schedule=Schedule(tuple(float(i) for i in range(96))), blocks=(), zone="UTC", power=POWER, rows=at
    )
    controller = ScheduleController(plan)
    result = controller.step(image({POWER: 1.0}, 0.0, wall_s=0.0), [view()])
    [(priority, kw, source)] = targets(result.requests)
    assert priority is PriorityClass.SCHEDULE
    assert source == f"schedule, block {round(kw or 0) + 1}"


def test_a_schedule_of_points_that_are_not_known_asks_for_nothing() -> None:
    at: ScheduleRows = rows(ScheduleRows)  # type: ignore[assignment]
    blocks = tuple(range(1000, 1096))
    controller = ScheduleController(
        SchedulePlan(unit=0, schedule=None, blocks=blocks, zone="UTC", power=POWER, rows=at)
    )
    assert controller.step(image(dict.fromkeys(blocks), 0.0), [view()]).requests == []
    assert controller.step(image(dict.fromkeys(blocks, 7.0), 0.02), [view()]).requests[0].target_kw == 7.0


# -- reactive power, fleets -------------------------------------------------------------------------------------------


def test_reactive_power_is_written_when_it_moves_and_again_after_a_failure() -> None:
    at: ReactiveRows = rows(ReactiveRows)  # type: ignore[assignment]
    settings = ReactiveSettings(mode=ReactiveMode.FIXED, capability=Capability(rated_kva=1000), kvar=100)
    controller = ReactiveController(ReactivePlan(unit=0, setpoint=50, settings=settings, rows=at, power=POWER))

    def written(now_s: float, **unit: bool) -> list[float]:
        found = controller.step(image({POWER: 0.0, 50: 0.0}, now_s), [view(**unit)])  # type: ignore[arg-type]
        return [write.value for write in found.writes]

    assert written(10.0) == [100.0]
    assert written(10.02) == []
    assert controller.trouble_with(-200.0) == ""
    assert "outside" in controller.trouble_with(1200.0)
    controller.ask(-200.0)
    assert written(10.04) == [-200.0]
    controller.failed(50, 10_060_000_000, WriteLost("no answer"))
    assert written(10.5) == []
    assert written(11.1) == [-200.0]
    assert written(11.2, tripped=True) == [0.0]
    assert written(11.3, local=True) == []


def fleet(method: DispatchMethod = DispatchMethod.PROPORTIONAL) -> tuple[FleetController, FleetRows]:
    at: FleetRows = rows(FleetRows)  # type: ignore[assignment]
    members = tuple(
        Member(unit=i, soc=10 + i, power=20 + i, capacity_kwh=100, soc_limits=(20, 95), min_run_kw=0) for i in range(3)
    )
    return FleetController(FleetPlan(name="campus", members=members, method=method, rows=at, valid_s=60)), at


SOCS: dict[int, float | None] = {10: 50.0, 11: 50.0, 12: 50.0}


def test_a_fleet_shares_its_set_point_and_a_lost_unit_is_replaced_in_the_next_cycle() -> None:
    controller, _ = fleet()
    units = [view(limits_kw=(-100, 100)) for _ in range(3)]
    assert controller.step(image(SOCS, 0.0), units).requests == []
    assert controller.trouble_with(150.0) == ""
    controller.ask(150.0, 0)

    def shares(units: list[object], now_s: float) -> list[float]:
        found = controller.step(image(SOCS, now_s), units)  # type: ignore[arg-type]
        return [round(request.target_kw or 0.0, 3) for request in found.requests]

    assert shares(units, 0.02) == [50, 50, 50]
    lost = [*units[:2], view(limits_kw=(0, 0), tripped=True)]
    assert shares(lost, 0.04) == [75, 75, 0]
    assert shares(units, 61.0) == [], "a set-point that has expired asks for nothing"


def test_a_fleet_refuses_what_its_units_cannot_do() -> None:
    controller, _ = fleet()
    controller.step(image(SOCS, 0.0), [view(limits_kw=(-100, 100)) for _ in range(3)])
    assert "outside -300 to 300 kW" in controller.trouble_with(301.0)


def test_a_unit_whose_state_of_charge_is_not_known_is_left_alone() -> None:
    controller, _ = fleet()
    units = [view(limits_kw=(-100, 100)) for _ in range(3)]
    controller.step(image(SOCS, 0.0), units)
    controller.ask(100.0, 0)
    found = controller.step(image(SOCS | {11: None}, 0.02), units)
    assert [request.target_kw for request in found.requests] == [50, 0, 50]
    assert all(isinstance(request, Request) for request in found.requests)


# -- over a restart ---------------------------------------------------------------------------------------------------

NOW_NS = 500_000_000_000
"""Monotonic clock of the second life: it has nothing to do with the first one's."""


def test_reactive_power_waits_until_the_device_has_been_heard_of() -> None:
    at: ReactiveRows = rows(ReactiveRows)  # type: ignore[assignment]
    settings = ReactiveSettings(mode=ReactiveMode.FIXED, capability=Capability(rated_kva=1000), kvar=100)
    plan = ReactivePlan(unit=0, setpoint=50, settings=settings, rows=at, power=POWER, ramp_kvar_per_s=1000)
    controller = ReactiveController(plan)
    silent = image({POWER: None, 50: None}, 10.0)
    silent.never = [True, True]
    assert controller.step(silent, [view()]).writes == ()
    assert controller.waiting
    silent.now_ns += 60_000_000_000
    assert controller.step(silent, [view()]).writes == (), "no time of grace makes a dead device known"
    [first] = controller.step(image({POWER: 0.0, 50: 80.0}, 71.0), [view()]).writes
    assert first.value == 80.0, "it begins at what the device has"
    [second] = controller.step(image({POWER: 0.0, 50: 80.0}, 71.01), [view()]).writes
    assert second.value == pytest.approx(90.0)


def test_reactive_power_whose_set_point_cannot_be_read_begins_at_nothing_once_the_unit_is_heard_of() -> None:
    at: ReactiveRows = rows(ReactiveRows)  # type: ignore[assignment]
    settings = ReactiveSettings(mode=ReactiveMode.FIXED, capability=Capability(rated_kva=1000), kvar=100)
    controller = ReactiveController(ReactivePlan(unit=0, setpoint=50, settings=settings, rows=at, power=POWER))
    early = image({POWER: 1.0, 50: None}, 1.0)
    late = image({POWER: 1.0, 50: None}, 11.5)
    for each in (early, late):
        each.never = [each.slots[50] == slot for slot in range(2)]
    assert controller.step(early, [view()]).writes == ()
    assert [write.value for write in controller.step(late, [view()]).writes] == [100.0]


@pytest.mark.parametrize(("later_s", "kw"), [(3.0, 250.0), (13.0, None), (-5.0, None)])
def test_agc_is_on_after_a_restart_and_its_signal_counts_for_the_rest_of_its_validity(
    later_s: float, kw: float | None
) -> None:
    at: AgcRows = rows(AgcRows)  # type: ignore[assignment]
    plan = AgcPlan(unit=0, name="bess1", settings=AgcSettings(low_kw=-500, high_kw=500), rows=at)
    before, after = AgcController(plan), AgcController(plan)
    before.step(image({}, 1.0), [view()])
    before.commands[at.agc_enable](1.0, 0)
    before.commands[at.agc_kw](250.0, 1_000_000_000)
    kept = before.kept()
    assert kept is not None
    after.restore(json.loads(json.dumps(kept)), NOW_NS, WALL_NS + round((1.0 + later_s) * 1e9))
    found = after.step(image({}, NOW_NS / 1e9, wall_s=1.0 + later_s), [view()])
    assert [request.target_kw for request in found.requests] == ([] if kw is None else [kw])
    assert dict(found.points)[at.agc_enabled] == 1.0
    assert dict(found.points)[at.agc_lost] == float(kw is None)


@pytest.mark.parametrize(("valid_s", "later_s", "kw"), [(60, 20, 150), (60, 61, None), (math.inf, 1, None)])
def test_a_fleets_set_point_comes_back_if_its_validity_says_so(
    valid_s: float, later_s: float, kw: float | None
) -> None:
    lives = []
    for _ in range(2):
        controller, _ = fleet()
        controller.plan = controller._plan = replace(controller.plan, valid_s=valid_s)
        lives.append(controller)
    before, after = lives
    units = [view(limits_kw=(-100, 100)) for _ in range(3)]
    before.step(image(SOCS, 5.0), units)
    before.ask(150.0, 5_000_000_000)
    kept = before.kept()
    assert (kept is None) == math.isinf(valid_s)
    if kept is not None:
        after.restore(kept, NOW_NS, WALL_NS + round((5 + later_s) * 1e9))
    found = after.step(image(SOCS, NOW_NS / 1e9, wall_s=5 + later_s), units)
    assert sum(request.target_kw or 0.0 for request in found.requests) == (kw or 0)
