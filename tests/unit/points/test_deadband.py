"""The deadband as an engineer sets it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gateway.points import Quality
from gateway.points.deadband import Deadband


def passes(deadband: Deadband, *values: float, quality: int = 0) -> list[bool]:
    """The same binding, one value after the other."""
    one = np.zeros(1, np.uint32)
    return [bool(deadband.passes(one, np.array([value]), np.array([quality], np.uint32))[0]) for value in values]


def test_a_slow_drift_is_reported_once_it_has_gone_far_enough() -> None:
    """Compared with the last *reported* value: 0.4 a step never hides behind a limit of 1."""
    assert passes(Deadband(np.array([1.0])), 0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4) == [
        *(True, False, False, True, False, False, True),
    ]


def test_quality_always_reports_and_sets_a_new_base() -> None:
    deadband = Deadband(np.array([5.0]))
    assert passes(deadband, 100.0, 104.0) == [True, False]
    assert passes(deadband, 104.0, quality=int(Quality.INVALID)) == [True]
    assert passes(deadband, 104.0, 107.0, 110.0) == [True, False, True]


@pytest.mark.parametrize("limit", [0.0, math.nan])
def test_without_a_limit_every_change_reports(limit: float) -> None:
    assert passes(Deadband(np.array([limit])), 1.0, 1.0, 1.0000001, 1.0, 1.0) == [True, False, True, True, False]


def test_nan_is_a_value_of_its_own() -> None:
    assert passes(Deadband(np.array([1.0])), 1.0, math.nan, math.nan, 1.0) == [True, True, False, True]


def test_an_interrogation_sets_the_base() -> None:
    deadband = Deadband(np.array([1.0, 1.0]))
    deadband.reset(np.arange(2), np.array([10.0, 20.0]), np.zeros(2, np.uint32))
    out = deadband.passes(np.arange(2), np.array([10.5, 21.5]), np.zeros(2, np.uint32))
    assert out.tolist() == [False, True]


def test_the_limit_may_change_while_running() -> None:
    deadband = Deadband(np.array([1.0]))
    assert passes(deadband, 0.0, 0.5) == [True, False]
    deadband.set_limit(0, 0.2)
    assert passes(deadband, 0.5) == [True]
    assert deadband.limits.tolist() == [0.2]
    deadband.forget(np.array([0]))
    assert passes(deadband, 0.5) == [True]


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Deadband(np.array([-1.0]))
    with pytest.raises(ValueError, match="negative"):
        Deadband(np.array([1.0])).set_limit(0, -1)


def test_an_empty_batch() -> None:
    assert len(Deadband(np.ones(3)).passes(np.empty(0, np.uint32), np.empty(0), np.empty(0, np.uint32))) == 0
