"""The plant, asked by an operator who knows what a battery does."""

from __future__ import annotations

import pytest

from gateway.demo.plant import AUXILIARY_KW, BREAKER_CLOSED, BREAKER_INTERMEDIATE, BREAKER_OPEN, Plant, losses_kw

SETPOINT, RUN = "bess1/pcs/power_setpoint", "bess1/pcs/run"


def run(plant: Plant, seconds: float, dt_s: float = 0.05) -> None:
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s)


def test_operator_sets_power_and_the_meter_shows_it_less_the_site_itself() -> None:
    plant = Plant(seed=7)
    assert plant.command(SETPOINT, 600.0)
    run(plant, 6.0)
    shown = plant.values()
    assert shown["bess1/pcs/active_power"] == pytest.approx(600.0, abs=0.1)
    used_kw = shown["bess1/pcs/active_power"] - shown["poi/power"]
    assert AUXILIARY_KW[0] <= used_kw <= AUXILIARY_KW[1]
    assert shown["bess1/pcs/dc_current"] > 0


def test_power_follows_with_a_lag_and_within_the_ramp() -> None:
    plant = Plant(setpoint_kw=0.0)
    plant.command(SETPOINT, 1000.0)
    plant.step(0.05)
    assert plant.power_kw == pytest.approx(25.0), "500 kW/s at most"
    run(plant, 1.0)
    assert 400.0 < plant.power_kw < 550.0
    run(plant, 4.0)
    assert plant.power_kw == pytest.approx(1000.0, abs=0.5)


def test_small_step_is_a_first_order_lag() -> None:
    plant = Plant(setpoint_kw=0.0)
    plant.command(SETPOINT, 100.0)
    run(plant, 0.3, 0.01)
    assert plant.power_kw == pytest.approx(63.2, abs=1.0)


def test_stop_ramps_down_and_leaves_the_breaker_closed() -> None:
    plant = Plant(setpoint_kw=500.0)
    run(plant, 5.0)
    plant.command(RUN, 0.0)
    run(plant, 5.0)
    assert plant.power_kw == pytest.approx(0.0, abs=0.1)
    assert plant.values()["bess1/pcs/running"] == 0.0
    assert plant.values()["bess1/pcs/breaker"] == BREAKER_CLOSED


@pytest.mark.parametrize("cause", ["fault", "estop"])
def test_trip_opens_the_breaker_at_once_and_only_a_start_closes_it(cause: str) -> None:
    plant = Plant(setpoint_kw=500.0)
    run(plant, 5.0)
    getattr(plant, cause)(True)
    shown = plant.values()
    assert (shown["bess1/pcs/breaker"], shown["bess1/pcs/active_power"]) == (BREAKER_OPEN, 0.0)
    assert shown[f"bess1/pcs/{cause}"] == 1.0

    plant.command(RUN, 1.0)
    run(plant, 1.0)
    assert plant.values()["bess1/pcs/breaker"] == BREAKER_OPEN, "the cause still stands"

    getattr(plant, cause)(False)
    run(plant, 1.0)
    assert plant.values()["bess1/pcs/breaker"] == BREAKER_OPEN, "gone, but nobody has started it"

    plant.command(RUN, 1.0)
    assert plant.values()["bess1/pcs/breaker"] == BREAKER_INTERMEDIATE
    run(plant, 5.0)
    assert plant.values()["bess1/pcs/breaker"] == BREAKER_CLOSED
    assert plant.power_kw == pytest.approx(500.0, abs=1.0)


def test_in_local_the_panel_has_the_word() -> None:
    plant = Plant(setpoint_kw=100.0)
    plant.local(True)
    assert not plant.command(SETPOINT, 900.0)
    assert plant.values()[SETPOINT] == 100.0
    plant.local(False)
    assert plant.command(SETPOINT, 900.0)


def test_unknown_point_is_not_obeyed() -> None:
    assert not Plant().command("bess1/pcs/active_power", 1.0)


@pytest.mark.parametrize(("start_percent", "setpoint_kw"), [(10.5, 1000.0), (94.5, -1000.0)])
def test_battery_is_derated_near_its_limits_and_never_beyond_them(start_percent: float, setpoint_kw: float) -> None:
    plant = Plant(soc_percent=start_percent, setpoint_kw=setpoint_kw)
    run(plant, 1200.0)
    assert 10.0 <= plant.soc_percent <= 95.0
    assert abs(plant.power_kw) < 20.0


def test_round_trip_costs_twelve_percent() -> None:
    out_kw = 1000.0
    assert (out_kw - losses_kw(out_kw)) / (out_kw + losses_kw(out_kw)) == pytest.approx(0.88, abs=0.005)


def test_cabinets_warm_under_load() -> None:
    plant = Plant(setpoint_kw=1000.0)
    before = plant.values()["bess1/pcs/cabinet_temp_a"]
    run(plant, 900.0)
    shown = plant.values()
    assert shown["bess1/pcs/cabinet_temp_a"] > before + 8.0
    assert shown["bess1/pcs/cabinet_temp_c"] > shown["bess1/pcs/cabinet_temp_b"]
    assert shown["bess1/pcs/cabinet_temp_c"] < 60.0, "no alarm in normal service"


def test_line_sags_when_the_site_imports() -> None:
    exporting, importing = Plant(seed=3, setpoint_kw=1000.0), Plant(seed=3, setpoint_kw=-1000.0)
    run(exporting, 10.0)
    run(importing, 10.0)
    assert importing.voltage_kv < exporting.voltage_kv - 0.5


def test_counters_show_tenths_of_a_kilowatt_hour() -> None:
    plant = Plant(setpoint_kw=1000.0)
    run(plant, 30.0)
    counter = plant.values()["bess1/pcs/energy_discharged"]
    assert counter > 5.0
    assert counter * 10 == pytest.approx(round(counter * 10))
    assert plant.energy.discharged - 0.1 < counter <= plant.energy.discharged


def test_same_seed_same_day() -> None:
    one, other, third = Plant(seed=5), Plant(seed=5), Plant(seed=6)
    for plant in (one, other, third):
        run(plant, 60.0)
    assert one.values() == other.values()
    assert one.values() != third.values()


def test_it_does_not_start_outside_its_limits() -> None:
    with pytest.raises(ValueError, match="within 10"):
        Plant(soc_percent=5.0)
