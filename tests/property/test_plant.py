"""Whatever is commanded, whenever: energy balances, and no limit is passed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo.plant import CAPACITY_KWH, RAMP_KW_PER_S, RATED_KW, Plant, losses_kw

SETPOINT, RUN = "bess1/pcs/power_setpoint", "bess1/pcs/run"

orders = st.one_of(
    st.tuples(st.just("power"), st.floats(-3000.0, 3000.0)),
    st.tuples(st.just("run"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.sampled_from(["fault", "estop", "local"]), st.booleans()),
    st.tuples(st.just("wait"), st.floats(0.0, 30.0)),
)
starts = st.one_of(st.floats(10.0, 95.0), st.sampled_from([10.0, 10.01, 94.99, 95.0]))


def obey(plant: Plant, what: str, value: Any) -> None:
    if what == "power":
        plant.command(SETPOINT, value)
    elif what == "run":
        plant.command(RUN, value)
    elif what != "wait":
        getattr(plant, what)(value)


@settings(max_examples=60, deadline=None)
@given(soc=starts, story=st.lists(orders, min_size=1, max_size=8), dt_s=st.floats(0.005, 2.0))
def test_energy_in_is_energy_out_plus_losses_plus_stored(soc: float, story: list[tuple[str, Any]], dt_s: float) -> None:
    plant = Plant(soc_percent=soc)
    before = plant.energy.stored
    for what, value in story:
        obey(plant, what, value)
        for _ in range(20):
            plant.step(dt_s)
    energy = plant.energy
    assert before - energy.stored == pytest.approx(energy.discharged - energy.charged + energy.lost, abs=1e-9)
    assert energy.exported - energy.imported == pytest.approx(
        energy.discharged - energy.charged - energy.auxiliary, abs=1e-9
    )
    assert energy.lost >= 0.0
    assert 10.0 <= 100.0 * energy.stored / CAPACITY_KWH <= 95.0


@settings(max_examples=60, deadline=None)
@given(soc=starts, story=st.lists(orders, min_size=1, max_size=10), dt_s=st.floats(0.001, 0.05))
def test_power_ramp_and_state_of_charge_stay_within_their_limits(
    soc: float, story: list[tuple[str, Any]], dt_s: float
) -> None:
    plant = Plant(soc_percent=soc)
    for what, value in story:
        obey(plant, what, value)
        for _ in range(30):
            before_kw, could_ramp = plant.power_kw, plant.breaker.closed
            plant.step(dt_s)
            assert abs(plant.power_kw) <= RATED_KW
            assert 10.0 <= plant.soc_percent <= 95.0
            if could_ramp:
                assert abs(plant.power_kw - before_kw) <= RAMP_KW_PER_S * dt_s + 1e-9
            else:
                assert plant.breaker.closed or plant.power_kw == 0.0


@settings(max_examples=200, deadline=None)
@given(power_kw=st.floats(-RATED_KW, RATED_KW))
def test_losses_are_losses_and_never_more_than_the_power_itself(power_kw: float) -> None:
    assert 0.0 <= losses_kw(power_kw) <= 0.064 * abs(power_kw)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 40))
def test_long_steps_are_cut_into_short_ones(seed: int, cut: int) -> None:
    whole, pieces = Plant(seed), Plant(seed)
    whole.step(cut * 0.05)
    for _ in range(cut):
        pieces.step(0.05)
    assert whole.values() == pytest.approx(pieces.values(), rel=1e-9, abs=1e-9)
