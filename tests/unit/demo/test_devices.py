"""The devices of the demo plant beside the PCS: what they show fits the plant, and they protect themselves."""

from __future__ import annotations

import math

import pytest

from gateway.demo import bms, pmu, solar
from gateway.demo.plant import Plant
from gateway.demo.watchdog import Watchdog

BMS, PCS, PMU, PV = "bess1/bms/", "bess1/pcs/", "poi/pmu/", "pv1/"


def passes(plant: Plant, seconds: float, *, alive: bool = False) -> dict[str, float]:
    """Time passes, with or without the gateway's heartbeat on CAN; what is shown then."""
    for _ in range(round(seconds / 0.05)):
        if alive:
            plant.alive(bms.PREFIX)
        plant.step(0.05)
    return plant.values()


def test_battery_and_converter_tell_one_story() -> None:
    shown = passes(Plant(setpoint_kw=-600.0), 5.0)
    assert shown[BMS + "voltage"] == shown[PCS + "dc_voltage"]
    assert shown[BMS + "current"] == shown[PCS + "dc_current"] < 0.0
    assert shown[BMS + "soc"] == shown[PCS + "soc"]
    assert shown[BMS + "mode"] == bms.CHARGE
    cells = [shown[f"{BMS}cell_voltage[{number}]"] for number in range(bms.SHOWN_CELLS)]
    assert sum(cells) / len(cells) == pytest.approx(shown[BMS + "voltage"] / bms.SERIES, abs=0.01)
    assert 0.002 < max(cells) - min(cells) < 0.05


def test_cells_sag_under_load_and_warm_with_the_losses() -> None:
    idle, loaded = Plant(setpoint_kw=0.0), Plant(setpoint_kw=1000.0)
    one, other = passes(idle, 600.0), passes(loaded, 600.0)
    assert other[f"{BMS}cell_voltage[0]"] < one[f"{BMS}cell_voltage[0]"]
    assert other[f"{BMS}cell_temperature[0]"] > one[f"{BMS}cell_temperature[0]"] + 3.0


def test_without_a_heartbeat_there_is_no_power_then_no_contactor() -> None:
    plant = Plant(setpoint_kw=500.0)
    assert passes(plant, 3.0, alive=True)[PCS + "active_power"] > 490.0
    shown = passes(plant, bms.HEARTBEAT_S + 1.5)
    assert (shown[BMS + "alarm/communication"], shown[BMS + "max_discharge_power"]) == (1.0, 0.0)
    assert shown[PCS + "active_power"] < 100.0 and shown[BMS + "contactor"] == bms.CLOSED
    shown = passes(plant, bms.OPENS_S)
    assert (shown[BMS + "contactor"], shown[BMS + "fault_code"]) == (bms.OPEN, bms.COMMUNICATION)
    assert shown[PCS + "active_power"] == 0.0


def test_nothing_closes_again_by_itself_when_the_gateway_is_back() -> None:
    plant = Plant(setpoint_kw=500.0)
    passes(plant, 1.0, alive=True)
    passes(plant, 6.0)
    shown = passes(plant, 10.0, alive=True)
    assert (shown[BMS + "contactor"], shown[BMS + "alarm/communication"]) == (bms.OPEN, 0.0)
    assert shown[PCS + "active_power"] == 0.0
    plant.command(BMS + "close_contactor", 1.0)
    assert passes(plant, 0.2, alive=True)[BMS + "precharge"] == 1.0
    shown = passes(plant, 5.0, alive=True)
    assert shown[BMS + "contactor"] == bms.CLOSED and shown[PCS + "active_power"] > 490.0


def test_a_contactor_is_not_closed_into_silence() -> None:
    plant = Plant()
    passes(plant, 1.0, alive=True)
    passes(plant, 6.0)
    plant.command(BMS + "close_contactor", 1.0)
    assert passes(plant, 2.0)[BMS + "contactor"] == bms.OPEN


def test_a_plant_that_never_heard_a_heartbeat_waits_for_none() -> None:
    assert passes(Plant(setpoint_kw=500.0), 60.0)[PCS + "active_power"] > 490.0


def test_a_hot_cell_is_derated_then_tripped_and_reset() -> None:
    plant = Plant(setpoint_kw=1000.0)
    plant.cell_temperature(54.0)
    shown = passes(plant, 5.0)
    assert shown[PCS + "active_power"] == pytest.approx(500.0, abs=20.0)
    assert (shown[BMS + "warning/overtemperature"], shown[BMS + "alarm/overtemperature"]) == (1.0, 0.0)
    plant.cell_temperature(62.0)
    shown = passes(plant, 6.0)
    assert (shown[BMS + "alarm/overtemperature"], shown[BMS + "contactor"]) == (1.0, bms.OPEN)
    assert (shown[BMS + "mode"], shown[BMS + "fault_code"]) == (bms.FAULT, bms.OVERTEMPERATURE)
    plant.command(BMS + "reset_faults", 1.0)
    assert plant.values()[BMS + "fault_code"] == bms.OVERTEMPERATURE, "it is still hot"
    plant.cell_temperature(None)
    plant.command(BMS + "reset_faults", 1.0)
    plant.command(BMS + "close_contactor", 1.0)
    shown = passes(plant, 5.0)
    assert shown[BMS + "fault_code"] == 0.0 and shown[PCS + "active_power"] > 900.0


def test_the_converter_runs_down_without_its_heartbeat_and_waits_for_a_new_set_point() -> None:
    plant = Plant(setpoint_kw=500.0)
    plant.command(PCS + "watchdog_timeout", 2.0)
    for beat in range(40):
        plant.command(PCS + "heartbeat", float(beat))
        passes(plant, 0.5)
    assert plant.values()[PCS + "active_power"] > 490.0
    passes(plant, 1.3)
    assert plant.values()[PCS + "watchdog"] == 0.0
    shown = passes(plant, 4.0)
    assert shown[PCS + "watchdog"] == 1.0 and abs(shown[PCS + "active_power"]) < 1.0
    plant.command(PCS + "heartbeat", 77.0)
    shown = passes(plant, 1.0)
    assert (shown[PCS + "watchdog"], shown[PCS + "power_setpoint"]) == (0.0, 0.0)
    assert abs(shown[PCS + "active_power"]) < 1.0, "nothing jumps"
    plant.command(PCS + "power_setpoint", 300.0)
    plant.command(PCS + "heartbeat", 78.0)
    assert passes(plant, 1.9)[PCS + "active_power"] > 290.0


def test_a_heartbeat_that_stands_still_is_none() -> None:
    watchdog = Watchdog(1.0)
    assert not watchdog.step(10.0), "not armed"
    watchdog.alive()
    assert [watchdog.step(0.6), watchdog.step(0.6), watchdog.step(0.6)] == [False, True, False]
    assert watchdog.tripped


def test_the_pmu_measures_the_grid_that_the_meter_measures() -> None:
    plant = Plant(setpoint_kw=400.0)
    shown = passes(plant, 5.0)
    assert shown[PMU + "frequency"] == shown["poi/frequency"]
    assert shown[PMU + "active_power"] == shown["poi/power"]
    assert shown[PMU + "voltage_l1"] * math.sqrt(3) == pytest.approx(shown["poi/voltage"])
    apparent_kva = 3 * shown[PMU + "voltage_l1"] * shown[PMU + "current_l1"]
    assert apparent_kva == pytest.approx(shown["poi/power"], rel=0.01)


def test_a_frequency_step_turns_the_angle_and_triggers() -> None:
    plant = Plant()
    plant.grid.hold(49.5)
    plant.step(0.05)
    assert plant.values()[PMU + "rocof"] < -1.0 and plant.values()[PMU + "triggered"] == 1.0
    before = passes(plant, 2.0)[PMU + "voltage_l1_angle"]
    after = passes(plant, 0.5)[PMU + "voltage_l1_angle"]
    assert (before - after) % 360.0 == pytest.approx(0.5 * 0.5 * 360.0, abs=0.5)
    assert plant.values()[PMU + "frequency"] == 49.5
    plant.grid.hold(None)
    assert passes(plant, 0.1)[PMU + "frequency"] > 49.8


def test_angles_stay_within_half_a_turn() -> None:
    view = pmu.PmuView(49.0)
    for _ in range(500):
        view.step(0.05, 49.0)
        shown = view.values(33.0, -500.0, True)
        assert all(-180.0 <= shown[PMU + name] <= 180.0 for name in ("voltage_l1_angle", "current_l1_angle"))


def test_the_sun_rises_clips_and_sets() -> None:
    day = [solar.irradiance(hour / 4) for hour in range(96)]
    assert day[0] == day[20] == day[80] == 0.0 and max(day) == pytest.approx(1.0, abs=0.01)
    assert day[32] < day[40] < day[48]


def test_the_inverter_feeds_the_meter_and_obeys_its_limit() -> None:
    dark, sunny = Plant(setpoint_kw=0.0), Plant(setpoint_kw=0.0, solar=True)
    one, other = passes(dark, 20.0), passes(sunny, 20.0)
    assert one[PV + "active_power"] == 0.0
    assert other[PV + "active_power"] > 100.0
    fed_kw = other["poi/power"] - other[PCS + "active_power"] + sunny.auxiliary_kw
    assert fed_kw == pytest.approx(other[PV + "active_power"])
    assert other[PV + "dc_power"] > other[PV + "active_power"]
    sunny.command(PV + "power_limit", 10.0)
    shown = passes(sunny, 10.0)
    assert shown[PV + "active_power"] == pytest.approx(40.0)
    assert (shown[PV + "throttled"], shown[PV + "limited"], shown[PV + "state"]) == (1.0, 1.0, solar.THROTTLED)


def test_energy_balances_with_the_sun() -> None:
    plant = Plant(solar=True)
    passes(plant, 600.0)
    energy = plant.energy
    assert energy.solar > 10.0
    assert energy.exported - energy.imported == pytest.approx(
        energy.discharged - energy.charged + energy.solar - energy.auxiliary, abs=1e-9
    )


def test_the_emergency_stop_stops_everything_and_a_start_brings_it_back() -> None:
    plant = Plant(setpoint_kw=400.0, solar=True)
    passes(plant, 5.0)
    plant.estop(True)
    shown = passes(plant, 6.0)
    assert (shown[PCS + "breaker"], shown[BMS + "contactor"], shown[BMS + "alarm/emergency_stop"]) == (1.0, 1.0, 1.0)
    assert shown[PCS + "active_power"] == shown[PV + "active_power"] == 0.0
    plant.estop(False)
    plant.command(PCS + "run", 1.0)
    shown = passes(plant, 5.0)
    assert shown[PCS + "active_power"] > 390.0 and shown[BMS + "contactor"] == bms.CLOSED
