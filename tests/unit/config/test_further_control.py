"""Droop, AGC, schedules, reactive power, fleets and locations of a site: compiled, or told what is wrong where."""

from __future__ import annotations

import math

import pytest

from gateway.control.frequency.plan import DroopPlan
from gateway.control.targets.agc import AgcPlan
from gateway.control.targets.fleet import FleetPlan
from gateway.control.targets.places import PlacesPlan
from gateway.control.targets.reactive import ReactivePlan
from gateway.control.targets.schedule import SchedulePlan
from gateway.points.model import NO_ROW
from tests.kit.sitekit import Site

DROOP = "  droop: [{{unit: bess1, setpoint: bess1/pcs/setpoint, frequency: [bess1/pcs/power]{0}}}]\n"


def droop(site: Site, more: str = "") -> None:
    site.change("site.yaml", "control:\n", "control:\n" + DROOP.format(more))


def test_a_droop_entry_makes_a_unit_and_its_response(site: Site) -> None:
    droop(site, ", capacity_kwh: 2000, ramp_kw_per_s: 500, droop_percent: 4")
    plan = site.load()
    assert plan.control is not None
    [unit] = plan.control.units
    assert (unit.name, unit.rated_kw, unit.ramp_kw_per_s) == ("bess1", 1000, 500)
    [response] = plan.control.controllers
    assert isinstance(response, DroopPlan)
    assert response.response.curve(49.77) == pytest.approx(10)
    assert response.settings["droop_percent"] == 4
    assert response.settings["deadband_hz"] == [49.97, 50.03]
    assert plan.catalogue.names[response.rows.headroom_up_kw] == "system/control/bess1/headroom_up_kw"


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        (", droop_percent: 6", "9.0 % at 0.3 Hz below nominal: at least 10 % are wanted above 0.3 Hz [U]"),
        (", droop_percent: 8", "a droop of 8 %: a droop of 3 to 6 % is wanted [U]"),
        (", deadband_hz: [49.9, 50.05]", "a dead band of 0.1 Hz: a dead band of at most 0.03 Hz"),
    ],
)
def test_settings_that_miss_a_rule_are_told(site: Site, more: str, warning: str) -> None:
    droop(site, more)
    assert any(warning in problem.message for problem in site.load().warnings)


def test_what_meets_the_rules_is_not_told(site: Site) -> None:
    droop(site, ", droop_percent: 5.4")
    assert not [problem for problem in site.load().warnings if "[U]" in problem.message]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (", profile: iegcc", "there is no profile iegcc"),
        (", deadband_hz: [50.1, 50.2]", "does not hold the nominal 50 Hz"),
        (", curve: [[49, 100], [49.5, 0], [50.5, 10]]", "power rises with frequency"),
        (", curve: [[49, 100], [51, -100]]", "the curve is not 0 at the edges"),
        (", curve: [[51, 0], [49, 1]]", "give the points in rising order"),
        (", curve: [[49, 200], [50, 0], [51, 0]]", "more than 100 % of rated power"),
        (", reserve_min: 15", "reserve_min needs capacity_kwh"),
        (", power_over_temperature: [[40, 100], [60, 0]]", "power_over_temperature needs temperature"),
        (", insensitivity_hz: 0.02", "insensitivity_hz"),
        (", rocof_window_ms: 50", "rocof_window_ms"),
        (", soc: bess1/pcs/local", "of kind binary"),
        (", soc: bess1/pcs/sox", "does not exist"),
        (", recovery: {low_percent: 60, high_percent: 40}, capacity_kwh: 1, soc: poi/power", "in rising order"),
        (", bands: {edges_hz: [50, 49], names: [a, b, c]}", "edges of the bands must rise"),
    ],
)
def test_what_is_wrong_with_a_droop_entry(site: Site, more: str, error: str) -> None:
    droop(site, more)
    errors = site.errors()
    assert any(error in text for text in errors), errors
    assert all(text.startswith("site.yaml, line") for text in errors)


def test_all_the_others(site: Site) -> None:
    site.write("day.csv", "block,kw,date\n1,100,\n2,200,\n1,5,2026-11-25\n")
    site.change(
        "site.yaml",
        "control:\n",
        "control:\n"
        "  units: [{unit: bess1, setpoint: bess1/pcs/setpoint, rated_kw: 1000}]\n"
        "  agc: [{unit: bess1, limits_kw: [-500, 500]}]\n"
        "  schedules: [{unit: bess1, file: day.csv}]\n"
        "  reactive: [{unit: bess1, setpoint: bess1/pcs/setpoint, rated_kva: 1100}]\n"
        "  fleets: [{name: campus, units: [bess1], method: balanced, min_run_kw: {bess1: 50}}]\n"
        "  locations: [{name: region, members: [hall1]}, {name: hall1, members: [bess1]}]\n",
    )
    plan = site.load()
    assert plan.control is not None
    kinds = [type(each) for each in plan.control.controllers]
    assert kinds == [FleetPlan, AgcPlan, SchedulePlan, ReactivePlan, PlacesPlan]
    schedule = plan.control.controllers[2]
    assert isinstance(schedule, SchedulePlan) and schedule.schedule is not None
    assert schedule.schedule.every_day[:2] == (100, 200)
    assert math.isnan(schedule.schedule.every_day[2])
    assert [days[0] for days in schedule.schedule.days.values()] == [5]
    assert plan.catalogue.rows["system/location/region/power_kw"] != NO_ROW
    assert plan.catalogue.rows["system/fleet/campus/setpoint_kw"] != NO_ROW


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ("agc: [{unit: bess2}]", "there is no unit bess2"),
        ("schedules: [{unit: bess1}]", "either a file or points"),
        ("schedules: [{unit: bess1, file: day.csv}]", "block 1 stands here a second time"),
        ("schedules: [{unit: bess1, points: poi/plan}]", "poi/plan[1] does not exist"),
        ("schedules: [{unit: bess1, file: day.csv, time_zone: Asia/Kolkatta}]", "expected a time zone"),
        ("reactive: [{unit: bess1, setpoint: poi/power, rated_kva: 1}]", "of kind analog: expected setpoint"),
        ("reactive: [{unit: bess1, setpoint: bess1/pcs/setpoint, rated_kva: 1, mode: voltage}]", "needs voltage"),
        ("fleets: [{name: f, units: [bess1, bess1]}]", "a unit stands here twice"),
        ("fleets: [{name: f, units: [bess1], min_run_kw: {bess9: 1}}]", "bess9 is no unit of this fleet"),
        ("locations: [{name: a, members: [b]}]", "b is neither a unit nor a location"),
        ("locations: [{name: a, members: [a]}]", "lies within itself"),
    ],
)
def test_what_is_wrong_with_the_others(site: Site, section: str, error: str) -> None:
    site.write("day.csv", "block,kw\n1,100\n1,200\n")
    unit = "  units: [{unit: bess1, setpoint: bess1/pcs/setpoint, rated_kw: 1000}]\n"
    site.change("site.yaml", "control:\n", f"control:\n{unit}  {section}\n")
    errors = site.errors()
    assert any(error in text for text in errors), errors
