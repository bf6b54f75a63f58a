"""The grid frequency, watched by a dispatcher."""

from __future__ import annotations

import pytest

from gateway.demo.grid import BAND_HZ, LIMITS_HZ, Grid


def calm(seed: int) -> Grid:
    grid = Grid(seed)
    grid._next_trip_s = float("inf")
    return grid


def test_it_stays_in_its_band_and_does_not_stand_still() -> None:
    grid = calm(1)
    seen = [grid.step(0.5) for _ in range(4000)]
    assert min(seen) >= BAND_HZ[0]
    assert max(seen) <= BAND_HZ[1]
    assert max(seen) - min(seen) > 0.03


def test_generator_trip_dips_to_about_49_6_and_recovers() -> None:
    grid = Grid(4)
    grid._next_trip_s = 10.0
    seen = [grid.step(0.1) for _ in range(300)]
    grid._next_trip_s = float("inf")
    assert 49.5 < min(seen) < 49.7
    for _ in range(4000):
        grid.step(0.1)
    assert BAND_HZ[0] <= grid.frequency_hz <= BAND_HZ[1]


def test_trips_come_at_random_but_come() -> None:
    grid = Grid(2)
    seen = [grid.step(1.0) for _ in range(4 * 3600)]
    assert min(seen) < 49.75


def test_injected_event_holds_for_its_duration() -> None:
    grid = calm(3)
    grid.step(0.1)
    grid.inject(-0.5, 10.0)
    for _ in range(50):
        grid.step(0.1)
    assert grid.frequency_hz == pytest.approx(49.48, abs=0.1)
    for _ in range(400):
        grid.step(0.1)
    assert grid.frequency_hz > 49.85


def test_no_event_leaves_what_a_grid_can_be() -> None:
    grid = calm(3)
    grid.inject(-40.0, 100.0)
    assert min(grid.step(1.0) for _ in range(100)) == LIMITS_HZ[0]
