"""Cycles of the frequency response: what is measured, what is answered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.frequency.curve import Band, no_step
from gateway.control.frequency.response import (
    FastResponse,
    FrequencyResponse,
    Response,
    ResponseSettings,
    ResponseState,
)
from gateway.control.frequency.rocof import Rocof
from gateway.control.frequency.sources import NO_SOURCE, Chosen, FrequencySources, Reading
from gateway.control.frequency.states import IEGC, FrequencyBands

BAND = Band(49.97, 50.03)
PLAIN = ResponseSettings(curve=no_step(50.0, 5.0, BAND), band=BAND, hold_s=2.0, lost_ramp_percent_per_s=5.0)
LOST = Chosen(NO_SOURCE, 0.0, 0.0)


def at(frequency_hz: float) -> Chosen:
    return Chosen(0, frequency_hz, 0.0)


def play(
    response: FrequencyResponse, cycles: list[tuple[float, Chosen, float | None]]
) -> list[tuple[float, ResponseState]]:
    """(time, what is believed, rate) -> (percent, state) for each cycle."""
    answers: list[Response] = [response.step(chosen, rate, time_s) for time_s, chosen, rate in cycles]
    return [(pytest.approx(answer.percent, abs=1e-6), answer.state) for answer in answers]


def test_in_the_band_nothing_outside_the_droop() -> None:
    assert play(
        FrequencyResponse(PLAIN),
        [(0.00, at(50.0), None), (0.02, at(49.96), None), (0.04, at(49.72), None), (0.06, at(50.01), None)],
    ) == [
        (0.0, ResponseState.IN_BAND),
        (0.4, ResponseState.RESPONDING),
        (10.0, ResponseState.RESPONDING),
        (0.0, ResponseState.IN_BAND),
    ]


def test_without_frequency_the_answer_is_held_then_fades() -> None:
    assert play(
        FrequencyResponse(PLAIN),
        [
            (0.0, at(49.72), None),
            *((time_s, LOST, None) for time_s in (1.0, 2.9, 3.0, 4.0, 5.0)),
            (6.0, at(49.72), None),
        ],
    ) == [
        (10.0, ResponseState.RESPONDING),
        (10.0, ResponseState.HOLDING),
        (10.0, ResponseState.HOLDING),
        (9.5, ResponseState.LOST),
        (4.5, ResponseState.LOST),
        (0.0, ResponseState.LOST),
        (10.0, ResponseState.RESPONDING),
    ]


def test_small_changes_are_not_acted_on() -> None:
    response = FrequencyResponse(replace(PLAIN, insensitivity_hz=0.01))
    assert play(response, [(0.0, at(49.72), None), (0.02, at(49.725), None), (0.04, at(49.735), None)]) == [
        (10.0, ResponseState.RESPONDING),
        (10.0, ResponseState.RESPONDING),
        (9.4, ResponseState.RESPONDING),
    ]


def test_an_insensitive_response_still_rests_in_its_band() -> None:
    response = FrequencyResponse(replace(PLAIN, insensitivity_hz=0.01))
    assert play(response, [(0.0, at(49.965), None), (0.02, at(49.971), None)])[1] == (0.0, ResponseState.IN_BAND)


def test_damping_adds_while_frequency_runs_away_only() -> None:
    response = FrequencyResponse(replace(PLAIN, damping_percent_s_per_hz=4.0))
    assert play(response, [(0.0, at(49.72), -0.5), (0.02, at(49.72), 0.5), (0.04, at(50.0), -0.5)]) == [
        (12.0, ResponseState.RESPONDING),
        (10.0, ResponseState.RESPONDING),
        (0.0, ResponseState.IN_BAND),
    ]


def test_fast_response_is_held_and_fades() -> None:
    fast = FastResponse(rate_hz_per_s=1.0, deviation_hz=0.1, percent=30.0, hold_s=1.0, fade_s=2.0)
    response = FrequencyResponse(replace(PLAIN, fast=fast))
    cycles = [(0.0, at(49.72), -0.5), (0.02, at(49.72), -1.2), (1.02, at(49.72), 0.0), (2.02, at(49.72), 0.0)]
    assert play(response, [*cycles, (3.02, at(49.72), 0.0)]) == [
        (10.0, ResponseState.RESPONDING),
        (40.0, ResponseState.FAST),
        (40.0, ResponseState.FAST),
        (25.0, ResponseState.FAST),
        (10.0, ResponseState.RESPONDING),
    ]


def test_a_quick_return_to_nominal_triggers_nothing() -> None:
    fast = FastResponse(rate_hz_per_s=1.0, deviation_hz=0.1, percent=30.0)
    assert play(FrequencyResponse(replace(PLAIN, fast=fast)), [(0.0, at(49.72), 1.5)]) == [
        (10.0, ResponseState.RESPONDING)
    ]


def test_damping_rests_in_the_band_also_while_a_fast_response_ends() -> None:
    fast = FastResponse(rate_hz_per_s=1.0, deviation_hz=0.1, percent=80.0, hold_s=0.0, fade_s=0.0)
    response = FrequencyResponse(replace(PLAIN, fast=fast, damping_percent_s_per_hz=10.0))
    assert play(response, [(0.0, at(51.0), 1.0), (0.02, at(49.984375), -1.0)])[1] == (0.0, ResponseState.IN_BAND)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.floats(45, 55), st.one_of(st.none(), st.floats(-5, 5)), st.booleans()), min_size=1, max_size=40
    )
)
def test_never_beyond_rated_power_and_never_against_the_grid(
    cycles: list[tuple[float, float | None, bool]],
) -> None:
    fast = FastResponse(rate_hz_per_s=1.0, deviation_hz=0.1, percent=80.0, hold_s=0.0, fade_s=0.0)
    response = FrequencyResponse(replace(PLAIN, fast=fast, damping_percent_s_per_hz=10.0))
    for number, (frequency_hz, rate, known) in enumerate(cycles):
        answer = response.step(at(frequency_hz) if known else LOST, rate, number * 0.02)
        assert -100 <= answer.percent <= 100
        if known and BAND.holds(frequency_hz) and answer.state is ResponseState.IN_BAND:
            assert answer.percent == 0
        if known and answer.state is ResponseState.RESPONDING:
            assert answer.percent * (50.0 - frequency_hz) >= 0


# -- sources ---------------------------------------------------------------------------------------------------------


def reading(frequency_hz: float, good: bool = True) -> Reading:
    return Reading(frequency_hz, good, 1.0)


def test_the_first_good_source_wins_and_the_change_makes_no_jump() -> None:
    sources = FrequencySources(45, 55, blend_s=1.0, return_s=2.0)
    assert sources.choose([reading(50.00), reading(50.02)], 0.0).frequency_hz == 50.00
    lost = [reading(50.00, good=False), reading(50.02)]
    changed = sources.choose(lost, 0.1)
    assert (changed.source, changed.changed) == (1, True)
    assert changed.frequency_hz == pytest.approx(50.00)
    assert sources.choose(lost, 0.6).frequency_hz == pytest.approx(50.01)
    assert sources.choose(lost, 1.2).frequency_hz == pytest.approx(50.02)


def test_a_better_source_proves_itself_before_it_is_believed_again() -> None:
    sources = FrequencySources(45, 55, blend_s=0.0, return_s=2.0)
    sources.choose([reading(50.0), reading(50.0)], 0.0)
    sources.choose([reading(50.0, good=False), reading(50.0)], 1.0)
    back = [reading(50.0), reading(50.0)]
    assert [sources.choose(back, time_s).source for time_s in (2.0, 3.9, 4.0)] == [1, 1, 0]


def test_a_reading_that_is_no_frequency_is_not_believed() -> None:
    sources = FrequencySources(45, 55)
    assert sources.choose([reading(0.0), reading(50.0)], 0.0).source == 1
    assert sources.choose([reading(0.0), reading(float("nan"))], 0.1).source == NO_SOURCE


def test_after_a_loss_of_all_sources_nothing_old_is_blended_in() -> None:
    sources = FrequencySources(45, 55, blend_s=1.0)
    sources.choose([reading(50.0)], 0.0)
    lost = sources.choose([reading(50.0, good=False)], 1.0)
    assert (lost.source, lost.frequency_hz, lost.changed) == (NO_SOURCE, 50.0, True)
    assert sources.choose([reading(49.9)], 60.0).frequency_hz == 49.9


# -- rate of change --------------------------------------------------------------------------------------------------


def ramp(rocof: Rocof, rate: float, seconds: float, start_s: float = 0.0) -> float:
    count = round(seconds / 0.02)
    for number in range(count + 1):
        rocof.sample(start_s + number * 0.02, 50.0 + rate * number * 0.02)
    return start_s + count * 0.02


def test_rate_over_the_window() -> None:
    rocof = Rocof(window_s=0.5)
    end_s = ramp(rocof, -1.25, 1.0)
    assert rocof.hz_per_s(end_s) == pytest.approx(-1.25)


def test_no_rate_before_the_window_has_filled_nor_after_a_gap() -> None:
    rocof = Rocof(window_s=0.5)
    end_s = ramp(rocof, -1.0, 0.2)
    assert rocof.hz_per_s(end_s) is None
    end_s = ramp(rocof, -1.0, 0.6)
    assert rocof.hz_per_s(end_s) is not None
    rocof.sample(end_s + 0.6, 50.0)
    assert rocof.hz_per_s(end_s + 0.6) is None


def test_blocked_after_a_voltage_dip() -> None:
    rocof = Rocof(window_s=0.5, block_s=0.3)
    end_s = ramp(rocof, -1.0, 1.0)
    rocof.dip(end_s)
    assert rocof.hz_per_s(end_s + 0.29) is None
    assert rocof.hz_per_s(end_s + 0.30) == pytest.approx(-1.0)


def test_a_repeated_sample_counts_once() -> None:
    rocof = Rocof(window_s=0.5)
    for number in range(60):
        rocof.sample(number // 2 * 0.02, 50.0 - 0.5 * (number // 2) * 0.02)
    assert rocof.hz_per_s(0.58) == pytest.approx(-0.5)


# -- bands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frequency_hz", "name"),
    [
        (49.4, "emergency low"),
        (49.5, "alert low"),
        (49.89, "alert low"),
        (49.9, "normal"),
        (50.05, "normal"),
        (50.051, "alert high"),
        (50.5, "alert high"),
        (50.51, "emergency high"),
    ],
)
def test_iegc_bands(frequency_hz: float, name: str) -> None:
    assert IEGC.names[IEGC.state(frequency_hz)] == name


def test_bands_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="make 3 bands, 2 names"):
        FrequencyBands.of((49.5, 50.5), ("low", "high"))
    with pytest.raises(ValueError, match="must rise"):
        FrequencyBands.of((50.5, 49.5), ("a", "b", "c"))
