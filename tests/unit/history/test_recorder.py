"""Which changes of the table become samples of the store."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.history.batch import newest
from gateway.history.plan import RecordingPlan
from gateway.history.recorder import Recorder
from gateway.points.change import CHANGE, Changes
from gateway.points.quality import Quality

LOST, NEVER = int(Quality.COMM_LOST), int(Quality.NEVER_REPORTED)
SECOND = 10**9


def recorder(
    limit: float = 0.0, interval_s: float = 0.0, swinging: bool = False, recorded: bool = True, size: int = 2
) -> Recorder:
    plan = RecordingPlan(
        recorded=np.full(size, recorded),
        limit=np.full(size, limit),
        interval_ns=np.full(size, int(interval_s * 1e9)),
        swinging=np.full(size, swinging),
    )
    return Recorder(plan, np.arange(101, 101 + size, dtype=np.uint32))


def changes(*rows: tuple[int, float, int, float]) -> Changes:
    """(row, value, quality, seconds)."""
    return np.array([(row, quality, value, int(at * SECOND)) for row, value, quality, at in rows], CHANGE)


def told(batch: np.ndarray) -> list[tuple[int, float, int, float]]:  # type: ignore[type-arg]
    return [(int(r["series"]), float(r["value"]), int(r["quality"]), int(r["time_ns"]) / SECOND) for r in batch]


def test_every_change_by_default_under_the_series_of_its_row() -> None:
    assert told(recorder().take(changes((0, 1.0, 0, 1), (1, 2.0, 0, 1), (0, 3.0, 0, 2)), 0)) == [
        (101, 1.0, 0, 1),
        (102, 2.0, 0, 1),
        (101, 3.0, 0, 2),
    ]


def test_a_deadband_counts_from_what_was_recorded_and_quality_passes_always() -> None:
    one = recorder(limit=1.0)
    values = [(0, 10.0, 0, 1), (0, 10.8, 0, 2), (0, 11.1, 0, 3), (0, 11.2, LOST, 4), (0, 11.2, 0, 5)]
    assert [row[1] for row in told(one.take(changes(*values), 0))] == [10.0, 11.1, 11.2, 11.2]


def test_what_was_never_reported_and_what_is_not_wanted_is_not_recorded() -> None:
    assert told(recorder().take(changes((0, 0.0, NEVER, 0)), 0)) == []
    assert told(recorder(recorded=False).take(changes((0, 1.0, 0, 1)), 0)) == []


def test_a_loss_keeps_its_value_and_gets_the_time_at_which_the_core_told_it() -> None:
    one = recorder()
    one.take(changes((0, 10.0, 0, 5)), 5 * SECOND)
    assert told(one.take(changes((0, 10.0, LOST, 5)), 8 * SECOND)) == [(101, 10.0, LOST, 8)]
    one = recorder()
    batch = changes((0, 10.0, 0, 5), (0, 10.0, LOST, 5))
    assert told(one.take(batch, 8 * SECOND)) == [(101, 10.0, 0, 5), (101, 10.0, LOST, 8)]


def test_a_clock_that_stands_behind_makes_no_two_samples_of_one_time() -> None:
    one = recorder()
    batch = one.take(changes((0, 10.0, 0, 5), (0, 10.0, LOST, 5), (0, 10.0, 0, 5)), 0)
    assert len(set(batch["time_ns"].tolist())) == 3


def test_a_loss_comes_before_the_return_whatever_the_clocks_say() -> None:
    """The device's clock lags by a second; both are told at once."""
    batch = changes((0, 10.0, 0, 5), (0, 10.0, LOST, 5), (0, 11.0, 0, 7))
    assert [row[2] for row in sorted(told(recorder().take(batch, 8 * SECOND)), key=lambda row: row[3])] == [0, LOST, 0]
    two = changes((0, 10.0, 0, 5), (0, 10.0, LOST, 5), (0, 10.0, LOST | 1, 5), (0, 11.0, 0, 5 + 3e-9))
    times = recorder().take(two, 8 * SECOND)["time_ns"] - 5 * SECOND
    assert times.tolist() == [0, 1, 2, 3]


def test_a_value_that_comes_late_keeps_its_time_and_the_point_ends_as_what_it_is() -> None:
    one = recorder()
    one.take(changes((0, 10.0, 0, 5)), 5 * SECOND)
    one.take(changes((0, 10.0, LOST, 5)), 10 * SECOND)
    assert told(one.take(changes((0, 11.0, 0, 7), (0, 12.0, 0, 8), (1, 1.0, 0, 9)), 20 * SECOND)) == [
        (101, 11.0, 0, 7),
        (101, 12.0, 0, 8),
        (102, 1.0, 0, 9),
        (101, 12.0, 0, 20),
    ]
    assert told(one.take(changes((0, 13.0, 0, 21)), 21 * SECOND)) == [(101, 13.0, 0, 21)]


def test_a_loss_and_a_return_of_one_time_do_not_overwrite_each_other() -> None:
    one = recorder()
    one.take(changes((0, 10.0, 0, 5)), 5 * SECOND)
    one.take(changes((0, 10.0, LOST, 5)), 8 * SECOND)
    batch = one.take(changes((0, 10.0, 0, 8)), 8 * SECOND)
    assert batch["time_ns"].tolist() == [8 * SECOND + 1]
    assert batch["late_ns"].tolist() == [1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.sampled_from([0, LOST, 1]), st.integers(0, 5), st.booleans(), st.integers(-3, 9)
        ),
        min_size=1,
        max_size=40,
    )
)
def test_no_sample_has_the_time_of_the_newest_before_it_and_what_stands_is_last(
    steps: list[tuple[int, int, int, bool, int]],
) -> None:
    """Of two points, told in batches, by a core whose clock goes to and fro; sources go on, or stand still."""
    one, clock, source = recorder(), 100, [90, 90]
    batch: list[tuple[int, float, int, float]] = []
    out: list[tuple[int, float, int, float]] = []
    stands: dict[int, tuple[float, int]] = {}
    for row, quality, forward, ends, tick in steps:
        source[row] += forward
        stands[row] = float(source[row]), quality
        batch.append((row, float(source[row]), quality, source[row] * 1e-9))
        if ends:
            out += told(one.take(changes(*batch), clock))
            batch = []
        clock += tick
    out += told(one.take(changes(*batch), clock))
    for row, last in stands.items():
        times = np.array([round(sample[3] * 1e9) for sample in out if sample[0] == 101 + row])
        mine = [sample[1:3] for sample in out if sample[0] == 101 + row]
        assert (times[1:] != np.maximum.accumulate(times)[:-1]).all()
        assert mine[int(np.argmax(times))] == last


def test_a_restart_changes_nothing() -> None:
    before = recorder(limit=1.0)
    recorded = newest(before.take(changes((0, 10.0, 0, 5), (1, 20.0, 0, 5), (1, 20.0, LOST, 5)), 8 * SECOND))
    after = recorder(limit=1.0)
    after.restore(recorded)
    assert told(after.take(changes((0, 10.0, 0, 5), (1, 20.0, LOST, 5)), 9 * SECOND)) == []
    assert told(after.take(changes((0, 10.0, LOST, 5), (1, 20.0, 0, 5)), 10 * SECOND)) == [
        (101, 10.0, LOST, 10),
        (102, 20.0, 0, 10),
    ]
    assert told(after.take(changes((0, 10.5, LOST, 11), (1, 21.5, 0, 11)), 11 * SECOND)) == [(102, 21.5, 0, 11)]


def test_for_a_reader_that_has_nothing_what_stands_is_recorded_once_more() -> None:
    recorded = newest(recorder().take(changes((0, 10.0, 0, 5)), 5 * SECOND))
    after = recorder()
    after.restore(recorded, again=True)
    assert told(after.take(changes((0, 10.0, 0, 5), (1, 1.0, 0, 6)), 9 * SECOND)) == [
        (101, 10.0, 0, 9),
        (102, 1.0, 0, 6),
    ]


def test_an_interval_takes_the_newest_and_lets_a_quality_pass_at_once() -> None:
    one = recorder(interval_s=10)
    assert told(one.take(changes((0, 1.0, 0, 0)), 0)) == [(101, 1.0, 0, 0)]
    assert told(one.take(changes((0, 2.0, 0, 3), (0, 3.0, 0, 4)), 4 * SECOND)) == []
    assert told(one.tick(9 * SECOND)) == []
    assert told(one.tick(10 * SECOND)) == [(101, 3.0, 0, 4)]
    assert told(one.tick(30 * SECOND)) == []
    assert told(one.take(changes((0, 3.0, LOST, 4)), 31 * SECOND)) == [(101, 3.0, LOST, 31)]


def test_a_quality_that_comes_and_goes_within_one_batch_is_recorded_both_times() -> None:
    one = recorder(interval_s=10)
    one.take(changes((0, 1.0, 0, 0)), 0)
    batch = changes((0, 1.0, LOST, 1), (0, 1.0, 0, 2))
    assert [row[2] for row in told(one.take(batch, 2 * SECOND))] == [LOST, 0]


def test_an_orderly_end_records_what_waits() -> None:
    one = recorder(interval_s=10)
    one.take(changes((0, 1.0, 0, 0), (0, 2.0, 0, 1)), SECOND)
    assert told(one.flush(2 * SECOND)) == [(101, 2.0, 0, 1)]
    assert told(one.flush(3 * SECOND)) == []


def test_a_swinging_door_records_the_corners() -> None:
    one = recorder(limit=0.1, swinging=True)
    ramp_up = [(0, float(at), 0, at) for at in range(10)]
    ramp_down = [(0, 9.0 - (at - 9), 0, at) for at in range(10, 20)]
    out = told(one.take(changes(*ramp_up, *ramp_down), 0)) + told(one.flush(0))
    assert [(row[1], row[3]) for row in out] == [(0.0, 0), (9.0, 9), (-1.0, 19)]


@given(st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=60), st.sampled_from([0.5, 2.0]))
def test_no_sample_lies_further_from_the_line_than_the_door_is_wide(values: list[float], width: float) -> None:
    """As the table tells changes alone, a value that stays is told once."""
    values = [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
    one = recorder(limit=width, swinging=True)
    stream = [(0, value, 0, at) for at, value in enumerate(values)]
    out = told(one.take(changes(*stream), 0)) + told(one.flush(0))
    times = [row[3] for row in out]
    assert times == sorted(times)
    drawn = np.interp(np.arange(len(values)), times, [row[1] for row in out])
    assert np.abs(drawn - values).max() <= width + 1e-6


@pytest.mark.parametrize("limit", [0.0, 0.5])
@given(values=st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([0, LOST])), min_size=1, max_size=50))
def test_the_last_value_recorded_is_within_the_deadband_of_the_last_one(
    limit: float, values: list[tuple[float, int]]
) -> None:
    one = recorder(limit=limit)
    out = [
        row for at, (value, quality) in enumerate(values) for row in told(one.take(changes((0, value, quality, at)), 0))
    ]
    assert abs(out[-1][1] - values[-1][0]) <= limit
    assert out[-1][2] == values[-1][1]
