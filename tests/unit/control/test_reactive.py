"""Reactive power: fixed, by power factor, by voltage, within the unit's capability."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.frequency.curve import Curve
from gateway.control.reactive import Capability, ReactiveControl, ReactiveMode, ReactiveSettings, voltage_curve

ROUND = Capability(rated_kva=1000)
Q_OF_U = voltage_curve(1.0, 0.01, 4.0, 400)


def control(mode: ReactiveMode, **more: object) -> ReactiveControl:
    return ReactiveControl(ReactiveSettings(mode=mode, capability=ROUND, **more))  # type: ignore[arg-type]


def test_a_fixed_value_or_what_is_asked() -> None:
    fixed = control(ReactiveMode.FIXED, kvar=100.0)
    assert fixed.step(0, None, 0.0) == 100
    assert fixed.step(0, None, 0.0, asked_kvar=-250) == -250


def test_active_power_goes_first() -> None:
    fixed = control(ReactiveMode.FIXED, kvar=900.0)
    assert fixed.step(800, None, 0.0) == pytest.approx(600)
    assert fixed.step(1000, None, 0.0) == 0


def test_power_factor_in_both_quadrants_and_directions() -> None:
    over = control(ReactiveMode.POWER_FACTOR, power_factor=0.95)
    under = control(ReactiveMode.POWER_FACTOR, power_factor=-0.95)
    assert over.step(500, None, 0.0) == pytest.approx(164.3, abs=0.1)
    assert over.step(-500, None, 0.0) == pytest.approx(164.3, abs=0.1)
    assert under.step(500, None, 0.0) == pytest.approx(-164.3, abs=0.1)


@pytest.mark.parametrize(
    ("voltage_pu", "kvar"), [(1.0, 0), (0.99, 0), (1.01, 0), (0.97, 200), (1.03, -200), (0.9, 400), (1.2, -400)]
)
def test_voltage_has_a_dead_band_and_a_slope(voltage_pu: float, kvar: float) -> None:
    assert control(ReactiveMode.VOLTAGE, kvar_over_voltage=Q_OF_U).step(0, voltage_pu, 0.0) == pytest.approx(kvar)


def test_without_voltage_held_then_nothing() -> None:
    by_voltage = control(ReactiveMode.VOLTAGE, kvar_over_voltage=Q_OF_U, hold_s=5.0)
    told = [by_voltage.step(0, voltage, time_s) for time_s, voltage in ((0, 0.97), (1, None), (5.9, None), (6, None))]
    assert told == pytest.approx([200, 200, 200, 0])


@given(st.sampled_from(ReactiveMode), st.floats(-1200, 1200), st.floats(0, 2), st.floats(-2000, 2000))
def test_always_within_what_the_unit_can_do(mode: ReactiveMode, power: float, voltage: float, asked: float) -> None:
    capability = Capability(
        rated_kva=1000, high_over_power=Curve.of([(0, 500), (900, 300)]), low_over_power=Curve.of([(0, -200)])
    )
    settings = ReactiveSettings(mode=mode, capability=capability, power_factor=0.8, kvar_over_voltage=Q_OF_U)
    kvar = ReactiveControl(settings).step(power, voltage, 0.0, asked)
    low, high = capability.limits_kvar(power)
    assert -200 <= low <= kvar <= high <= 500
    assert math.hypot(kvar, min(abs(power), 1000)) <= 1000 + 1e-6
