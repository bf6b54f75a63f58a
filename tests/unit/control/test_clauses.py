"""Clauses of a droop test, and the profiles that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.evidence.clauses import judge
from gateway.control.frequency.profiles import Clause, ProfileError, load_profile, shipped_profiles

ANSWER = [(0.0, 0.0), (0.5, 4.0), (1.0, 9.0), (1.5, 10.5), (2.0, 10.8)]


def clause(**more: float) -> Clause:
    return Clause(clause="a clause", hz=49.7, hold_s=2.0, **more)


@pytest.mark.parametrize(
    ("wanted", "passed"),
    [
        (clause(at_least_percent=10, within_s=1.5), True),
        (clause(at_least_percent=10, within_s=1.0), False),
        (clause(tolerance_percent=0.5, within_s=1.5), True),
        (clause(tolerance_percent=0.2, within_s=1.5), False),
        (clause(at_most_percent=11), True),
        (clause(at_most_percent=10), False),
        (clause(at_least_percent=1, within_s=9.0), False),
        (clause(), False),
    ],
)
def test_from_within_s_on_every_sample_holds(wanted: Clause, passed: bool) -> None:
    assert judge(wanted, ANSWER, 10.8).passed is passed


def test_a_high_frequency_is_answered_downwards() -> None:
    down = [(at, -percent) for at, percent in ANSWER]
    assert judge(clause(at_least_percent=10, within_s=1.5), down, -10.8).passed
    assert not judge(clause(at_least_percent=10, within_s=1.5), ANSWER, -10.8).passed


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_profile_that_ships_can_be_used_and_has_clauses(name: str) -> None:
    profile = load_profile(name, Path())
    assert profile.clauses
    assert profile.title
    assert "deadband_hz" in profile.droop


def test_a_profile_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ProfileError, match="expected continental_fcr, gb_dynamic_containment, ieee_1547, iegc"):
        load_profile("iegcc", Path())
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile("own.yaml", Path("/nowhere"))
