"""One target over many units, and what places add up to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.dispatch import DispatchMethod, FleetState, dispatch
from gateway.control.locations import LocationError, Locations, UnitSums

PROPORTIONAL, BALANCED, PRIORITY = DispatchMethod


def fleet(
    high: list[float], soc: list[float], low: list[float] | None = None, minimum: list[float] | None = None
) -> FleetState:
    """Units of 100 kWh with a floor of 20 % and a ceiling of 95 %."""
    level = np.array(soc, float)
    return FleetState(
        high_kw=np.array(high, float),
        low_kw=-np.array(high, float) if low is None else np.array(low, float),
        energy_kwh=np.maximum(level - 20, 0),
        space_kwh=np.maximum(95 - level, 0),
        soc_percent=level,
        min_run_kw=np.zeros(len(high)) if minimum is None else np.array(minimum, float),
    )


@pytest.mark.parametrize(
    ("method", "target_kw", "shares"),
    [
        (PROPORTIONAL, 100, [25, 25, 50]),
        (PROPORTIONAL, -100, [-25, -25, -50]),
        (PROPORTIONAL, 500, [100, 100, 200]),
        (BALANCED, 100, [50, 16.666667, 33.333333]),  # energies 60, 20, 40
        (BALANCED, -100, [-12.5, -45.833333, -41.666667]),  # spaces 15, 55, 35: the second is not yet full
        (PRIORITY, 150, [100, 0, 50]),
        (PRIORITY, -250, [0, -100, -150]),
        (PROPORTIONAL, 0, [0, 0, 0]),
    ],
)
def test_shares(method: DispatchMethod, target_kw: float, shares: list[float]) -> None:
    state = fleet([100, 100, 200], [80, 40, 60])
    got = dispatch(target_kw, state, method)
    if method is BALANCED and target_kw < 0:
        shares = [-100 * space / 105 for space in (15, 55, 35)]
    np.testing.assert_allclose(got.kw, shares, atol=1e-5)


def test_what_nobody_can_take_is_told() -> None:
    assert dispatch(500, fleet([100, 100], [80, 80]), PROPORTIONAL).unserved_kw == pytest.approx(300)


def test_a_unit_at_its_floor_is_never_discharged_and_its_share_goes_to_the_others_at_once() -> None:
    for method in DispatchMethod:
        got = dispatch(100, fleet([100, 100], [20, 50]), method)
        np.testing.assert_allclose(got.kw, [0, 100])


def test_a_lost_unit_is_replaced_within_the_same_call() -> None:
    np.testing.assert_allclose(dispatch(100, fleet([100, 100, 0], [50, 50, 50]), PROPORTIONAL).kw, [50, 50, 0])


def test_units_run_at_their_minimum_or_not_at_all() -> None:
    state = fleet([100, 100, 100], [80, 60, 40], minimum=[40, 40, 40])
    np.testing.assert_allclose(dispatch(90, state, PROPORTIONAL).kw, [45, 45, 0])
    np.testing.assert_allclose(dispatch(30, state, PROPORTIONAL).kw, [0, 0, 0])
    np.testing.assert_allclose(dispatch(130, state, PRIORITY).kw, [50, 40, 40])


unit = st.tuples(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100))


@settings(max_examples=300)
@given(st.lists(unit, min_size=1, max_size=12), st.floats(-5000, 5000), st.sampled_from(DispatchMethod))
def test_within_limits_and_nothing_lost(
    units: list[tuple[float, float, float, float]], target_kw: float, method: DispatchMethod
) -> None:
    high, low, soc, minimum = (list(column) for column in zip(*units, strict=True))
    state = fleet(high, soc, [-value for value in low], minimum)
    got = dispatch(target_kw, state, method)
    assert (got.kw <= state.high_kw + 1e-6).all()
    assert (got.kw >= state.low_kw - 1e-6).all()
    assert got.kw.sum() + got.unserved_kw == pytest.approx(target_kw, abs=1e-6)
    assert abs(got.kw.sum()) <= abs(target_kw) + 1e-6
    assert (got.kw[np.array(soc) <= 20] <= 1e-9).all()
    running = np.abs(got.kw) > 1e-6
    assert (np.abs(got.kw[running]) >= np.minimum(state.min_run_kw[running], 1e9) - 1e-6).all()
    if not any(minimum):
        able = (
            np.where(state.energy_kwh > 0, state.high_kw, 0)
            if target_kw >= 0
            else np.where(state.space_kwh > 0, -state.low_kw, 0)
        )
        assert abs(got.kw.sum()) == pytest.approx(min(abs(target_kw), able.sum()), abs=1e-5)


# -- places ----------------------------------------------------------------------------------------------------------

MEMBERS = {"region": ["campus1", "pv1"], "campus1": ["hall1", "hall2"], "hall1": ["bess1", "bess2"], "hall2": ["bess3"]}


def test_places_add_up() -> None:
    places = Locations.of(["bess1", "bess2", "bess3", "pv1"], MEMBERS)
    sums = places.add_up(
        UnitSums(
            power_kw=np.array([100, -50, np.nan, 30]),
            energy_kwh=np.array([10, 20, 30, 0.0]),
            stored_kwh=np.array([100, 300, 100, 0.0]),
            soc_percent=np.array([80, 40, 50, np.nan]),
            online=np.array([True, True, False, True]),
        )
    )
    assert dict(zip(places.names, sums.power_kw.tolist(), strict=True)) == {
        "region": 80,
        "campus1": 50,
        "hall1": 50,
        "hall2": 0,
    }
    np.testing.assert_allclose(sums.soc_percent, [50, 50, 50, 50])
    assert sums.units_online.tolist() == [3, 2, 2, 0]
    assert sums.energy_kwh.tolist() == [60, 60, 30, 30]


def test_a_place_without_a_known_state_of_charge_has_none() -> None:
    places = Locations.of(["pv1"], {"roof": ["pv1"]})
    zero = np.zeros(1)
    assert np.isnan(places.add_up(UnitSums(zero, zero, zero, np.array([np.nan]), np.array([True]))).soc_percent[0])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a": ["b"], "b": ["a"]}, "lies within itself: a > b > a|lies within itself"),
        ({"a": ["stranger"]}, "stranger is neither a unit nor a location"),
        ({"a": ["u1"], "b": ["a", "u1"]}, "that it has already"),
        ({"u1": ["u1"]}, "is the name of a unit"),
    ],
)
def test_what_is_no_tree_is_told(members: dict[str, list[str]], words: str) -> None:
    with pytest.raises(LocationError, match=words):
        Locations.of(["u1"], members)
