"""Droop as a curve: power in % of rated over frequency. Positive is export."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.frequency.curve import Band, Curve, CurveError, no_step, with_step

BAND = Band(49.97, 50.03)


@pytest.mark.parametrize(
    ("frequency_hz", "percent"),
    [
        (50.0, 0.0),
        (49.97, 0.0),  # the edge belongs to the band
        (50.03, 0.0),
        (49.7, 10.8),  # 0.27 Hz beyond the band at 5 % of 50 Hz = 2.5 Hz for all of it
        (50.3, -10.8),
        (47.47, 100.0),
        (45.0, 100.0),
        (55.0, -100.0),
    ],
)
def test_no_step_counts_from_the_edge(frequency_hz: float, percent: float) -> None:
    assert no_step(50.0, 5.0, BAND)(frequency_hz) == pytest.approx(percent)


@pytest.mark.parametrize(
    ("frequency_hz", "percent"),
    [(49.97, 0.0), (49.969999, 1.2), (49.7, 12.0), (50.03, 0.0), (50.030001, -1.2), (47.5, 100.0), (52.5, -100.0)],
)
def test_with_step_counts_from_nominal(frequency_hz: float, percent: float) -> None:
    assert with_step(50.0, 5.0, BAND)(frequency_hz) == pytest.approx(percent, abs=1e-3)


def test_six_percent_without_step_gives_nine_percent_at_three_tenths_of_a_hertz() -> None:
    assert no_step(50.0, 6.0, BAND)(49.7) == pytest.approx(9.0)


def test_a_band_may_be_asymmetric() -> None:
    curve = no_step(50.0, 5.0, Band(49.90, 50.05))
    assert curve(49.95) == curve(50.04) == 0.0
    assert curve(49.80) == pytest.approx(4.0)
    assert curve(50.15) == pytest.approx(-4.0)


def test_a_free_curve_goes_through_its_points() -> None:
    dynamic_containment = Curve.of([(49.5, 100), (49.8, 5), (49.985, 0), (50.015, 0), (50.2, -5), (50.5, -100)])
    assert dynamic_containment(49.8) == 5
    assert dynamic_containment(49.65) == pytest.approx(52.5)
    assert dynamic_containment(51) == -100
    assert dynamic_containment.falling


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "at least one point"),
        ([(50.0, 0), (49.9, 1)], "rising order"),
        ([(50.0, 0), (50.0, 1), (50.0, 2)], "a step has two"),
    ],
)
def test_what_is_no_curve_is_told(points: list[tuple[float, float]], words: str) -> None:
    with pytest.raises(CurveError, match=words):
        Curve.of(points)


droops = st.floats(1.0, 12.0)
edges = st.floats(0.0, 0.2)
frequencies = st.floats(45.0, 55.0)


@given(droops, edges, edges, frequencies, frequencies, st.sampled_from([no_step, with_step]))
def test_a_droop_never_rises_with_frequency_and_is_still_in_its_band(
    droop: float, low: float, high: float, one: float, two: float, shape: object
) -> None:
    band = Band(50.0 - low, 50.0 + high)
    curve = shape(50.0, droop, band)  # type: ignore[operator]
    assert curve.falling
    first, second = sorted((one, two))
    assert curve(first) >= curve(second) - 1e-9
    assert -100 <= curve(one) <= 100
    if band.holds(one):
        assert curve(one) == 0.0
